"""Reads a topic of events: what is committed, partition by partition, nothing left out."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

# How long a look at the topic waits for records, in seconds.
LOOK = 1.0


class Broken(Exception):
    """The topic is not what a topic of events is: reading on would give wrong results."""


@dataclass(frozen=True)
class Place:
    """How far a partition has been read: the offset to go on from, and the last event's sequence.

    Offsets have gaps, since a transaction leaves a marker; only sequences tell whether an event
    is missing.
    """

    offset: int = OFFSET_BEGINNING
    sequence: int = 0


class Follower:
    """Follows a topic from the places that are given, and checks every step."""

    def __init__(self, brokers: str, topic: str):
        self.topic = topic
        self.consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                # librdkafka wants a name; nothing is ever committed to it: the places are kept
                # with the results.
                "group.id": "analytics",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # An offset that is not there is told, and never replaced by another one.
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                # librdkafka tries again by itself, for as long as it takes, and says so here.
                "log_level": 0,
                "error_cb": lambda error: print(f"waiting: {error.str()}", file=sys.stderr),
            }
        )

    def partitions(self) -> list[int]:
        """The topic's partitions."""
        found = self.consumer.list_topics(self.topic, timeout=10).topics[self.topic]
        if found.error is not None:
            raise Broken(f"{self.topic}: {found.error.str()}")
        return sorted(found.partitions)

    def batches(self, places: dict[int, Place], size: int) -> Iterator[tuple[list[dict], dict[int, Place], bool]]:
        """Yields events, the places that they lead to, and whether the end has been reached.

        Whoever is given a batch stores what comes of it and the places in one transaction.
        """
        starts = [TopicPartition(self.topic, number, place.offset) for number, place in places.items()]
        self.consumer.assign(starts)
        places = dict(places)
        at_end: set[int] = set()
        while True:
            events, moved = [], {}
            for record in self.consumer.consume(size, timeout=LOOK):
                number = record.partition()
                if record.error() is not None:
                    if record.error().code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(record.error())
                    at_end.add(number)
                    continue
                at_end.discard(number)
                event = json.loads(record.value())
                self.check(number, places[number], event)
                places[number] = moved[number] = Place(record.offset() + 1, places[number].sequence + 1)
                events.append(event)
            yield events, moved, len(at_end) == len(places)

    def check(self, number: int, place: Place, event: dict) -> None:
        """In each partition sequences go 1, 2, 3, …: anything else is damage."""
        found, last = int(event["sequence"]), place.sequence
        if found == last + 1:
            return
        kind = "a gap" if found > last else "a repeat" if found == last else "a step back"
        raise Broken(f"{self.topic}/{number}: {kind}, event {found} comes after {last}")

    def close(self) -> None:
        self.consumer.close()
