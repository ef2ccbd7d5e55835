"""What others use to read the topics: confluent-kafka, and the CloudEvents SDK for Python."""

import argparse
import json
import sys
import time

from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

# How long anything may take, in seconds.
BOUND = 30


def read(arguments):
    """Prints every record of some topics, from the beginning to the present end."""
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.kafka,
            "group.id": "clients",
            "isolation.level": arguments.isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    known = consumer.list_topics(timeout=BOUND).topics
    left = {(topic, number) for topic in arguments.topics for number in known[topic].partitions}
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in left])
    while left:
        record = consumer.poll(BOUND)
        if record is None:
            sys.exit(f"nothing came within {BOUND} s, and {left} have not ended")
        if record.error() is None:
            print(json.dumps(described(record)))
        elif record.error().code() == KafkaError._PARTITION_EOF:
            left.discard((record.topic(), record.partition()))
        else:
            sys.exit(str(record.error()))
    consumer.close()


def described(record):
    """A record as it came, and what the CloudEvents SDK makes of it."""
    headers = dict(record.headers() or [])
    event = from_structured_event(KafkaMessage(headers, None, record.value()))
    return {
        "topic": record.topic(),
        "partition": record.partition(),
        "key": record.key().decode(),
        "headers": {name: value.decode() for name, value in headers.items()},
        "value": record.value().decode(),
        "event": {
            "specversion": event.get_specversion(),
            "id": event.get_id(),
            "type": event.get_type(),
            "source": event.get_source(),
            "subject": event.get_subject(),
            "time": event.get_time().timestamp(),
            "datacontenttype": event.get_datacontenttype(),
            "dataschema": event.get_dataschema(),
            "sequence": event.get_extension("sequence"),
            "data": event.get_data(),
        },
    }


def partitions(arguments):
    """Prints to which partition the Java clients' partitioner sends each key that is read."""
    make(arguments)
    producer = Producer({"bootstrap.servers": arguments.kafka, "partitioner": "murmur2_random"})
    found = {}

    def delivered(error, record):
        if error is None:
            found[record.key().decode()] = record.partition()

    for line in sys.stdin:
        producer.produce(arguments.topic, key=line.strip(), value=b"", on_delivery=delivered)
        producer.poll(0)
    producer.flush(BOUND)
    print(json.dumps(found))


def write(arguments):
    """Makes a topic and writes the events that are read into its only partition."""
    make(arguments)
    producer = Producer({"bootstrap.servers": arguments.kafka})
    for line in sys.stdin:
        key = json.loads(line)["subject"]
        producer.produce(arguments.topic, partition=0, key=key, value=line.strip())
    if producer.flush(BOUND):
        sys.exit("not everything was written")


def make(arguments):
    admin = AdminClient({"bootstrap.servers": arguments.kafka})
    made = admin.create_topics([NewTopic(arguments.topic, arguments.partitions, 1)])
    made[arguments.topic].result(BOUND)


def abort(arguments):
    """Writes a record that looks like an event, and aborts the transaction."""
    producer = Producer({"bootstrap.servers": arguments.kafka, "transactional.id": arguments.topic})
    producer.init_transactions(BOUND)
    producer.begin_transaction()
    producer.produce(arguments.topic, partition=arguments.partition, key=b"nobody", value=sys.stdin.read())
    producer.flush(BOUND)
    producer.abort_transaction(BOUND)


def configure(arguments):
    """Sets one entry of a topic's configuration, and waits until the broker says so too."""
    admin = AdminClient({"bootstrap.servers": arguments.kafka})
    entry = ConfigEntry(arguments.name, arguments.value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, arguments.topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(BOUND)
    deadline = time.monotonic() + BOUND
    asked = ConfigResource(ConfigResource.Type.TOPIC, arguments.topic)
    while admin.describe_configs([asked])[asked].result(BOUND)[arguments.name].value != arguments.value:
        if time.monotonic() > deadline:
            sys.exit(f"{arguments.name} has not become {arguments.value} within {BOUND} s")


def names(arguments):
    """Prints the topics whose names begin with a prefix."""
    admin = AdminClient({"bootstrap.servers": arguments.kafka})
    known = admin.list_topics(timeout=BOUND).topics
    print(json.dumps(sorted(topic for topic in known if topic.startswith(arguments.prefix))))


def delete(arguments):
    """Deletes every topic whose name begins with a prefix."""
    admin = AdminClient({"bootstrap.servers": arguments.kafka})
    known = admin.list_topics(timeout=BOUND).topics
    mine = [topic for topic in known if topic.startswith(arguments.prefix)]
    for deleted in admin.delete_topics(mine).values() if mine else []:
        deleted.result(BOUND)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kafka")
    commands = parser.add_subparsers(required=True)

    def command(run, *names, **options):
        added = commands.add_parser(run.__name__)
        added.set_defaults(run=run, **options)
        for name in names:
            added.add_argument(name, type=int if name.startswith("partition") else str)
        return added

    command(read, "isolation").add_argument("topics", nargs="+")
    command(partitions, "topic", "partitions")
    command(write, "topic", partitions=1)
    command(abort, "topic", "partition")
    command(configure, "topic", "name", "value")
    command(names, "prefix")
    command(delete, "prefix")
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
