"""Revenue per day, counted from the topic of orders."""

import argparse
import json
import sys

from confluent_kafka import KafkaException
from follow import Broken, Follower
from results import Elsewhere, Results


def count(event: dict, results: Results) -> None:
    """What one event does to the results; a type that is not known here does nothing to them."""
    data = event["data"]
    match event["type"]:
        case "order.placed.v1":
            day = data["placed_at"][:10]  # times are in UTC
            results.placed(event["subject"], data["order_id"], day, data["currency"], data["total_cents"])
        case "order.cancelled.v1" | "order.marked-unavailable.v1":
            results.called_off(event["subject"], data["order_id"])
        case "order.approved.v1" | "order.shipped.v1" | "order.delivered.v1":
            pass
        case unknown:
            results.skip(unknown)


def run(arguments: argparse.Namespace) -> None:
    results = Results(arguments.results, arguments.topic)
    follower = Follower(arguments.kafka, arguments.topic)
    places = results.places(follower.partitions())
    shown = None
    for events, moved, at_end in follower.batches(places, arguments.batch):
        if events:
            with results.transaction():
                for number, place in moved.items():
                    results.move(number, places[number], place)
                for event in events:
                    count(event, results)
            places |= moved
        if at_end:
            summary = results.summary()
            if summary != shown:
                show(summary, arguments.json)
                shown = summary
            if not arguments.follow:
                break
    follower.close()


def show(summary: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary), flush=True)
        return
    print(f"{'day':<10}  {'currency':<8}  {'orders':>8}  {'cents':>16}")
    for row in summary["revenue"]:
        print(f"{row['day']:<10}  {row['currency']:<8}  {row['orders']:>8,}  {row['cents']:>16,}")
    print(f"of {summary['events']:,} events", flush=True)
    for name, events in summary["skipped"].items():
        print(f"skipped {events:,} of the type {name}, which this program does not know", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", default="localhost:9092", metavar="HOST:PORT", help="the brokers")
    parser.add_argument("--topic", default="market.orders", help="the topic of the context `orders`")
    parser.add_argument("--results", default="revenue.sqlite", metavar="FILE", help="where results are kept")
    parser.add_argument("--batch", type=int, default=500, metavar="N", help="events in one transaction, at most")
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    try:
        run(parser.parse_args())
    except KeyboardInterrupt:
        pass
    except (Broken, Elsewhere) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KafkaException as error:
        print(f"error: Kafka: {error.args[0].str()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
