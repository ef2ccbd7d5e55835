"""What has been counted, and how far: one SQLite file, moved on in one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from follow import Broken, Place

SCHEMA = """
CREATE TABLE IF NOT EXISTS source (topic TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS place (
  partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL, sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS revenue (
  day TEXT, currency TEXT, orders INTEGER NOT NULL, cents INTEGER NOT NULL,
  PRIMARY KEY (day, currency));
CREATE TABLE IF NOT EXISTS placed (
  user_id TEXT, order_id TEXT, day TEXT NOT NULL, currency TEXT NOT NULL, cents INTEGER NOT NULL,
  PRIMARY KEY (user_id, order_id));
CREATE TABLE IF NOT EXISTS skipped (type TEXT PRIMARY KEY, events INTEGER NOT NULL);
"""


class Elsewhere(Exception):
    """The file cannot be used for this topic, or by this process now."""


class Results:
    """Revenue by day and currency, and the places up to which events have been counted."""

    def __init__(self, path: str, topic: str):
        self.path = path
        # Transactions are begun by hand: one around each batch.
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(SCHEMA)
        with self.transaction():
            known = self.db.execute("SELECT topic FROM source").fetchone()
            if known is None:
                self.db.execute("INSERT INTO source VALUES (?)", (topic,))
            elif known != (topic,):
                raise Elsewhere(f"{path} holds what was counted of {known[0]}, not of {topic}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done inside, or nothing: also if the process is killed."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def places(self, partitions: list[int]) -> dict[int, Place]:
        """How far each partition has been counted."""
        start = Place()
        rows = [(number, start.offset, start.sequence) for number in partitions]
        self.db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?)", rows)
        kept = self.db.execute("SELECT partition, offset, sequence FROM place")
        return {number: Place(offset, sequence) for number, offset, sequence in kept}

    def move(self, number: int, before: Place, after: Place) -> None:
        """Moves a partition's place on, from where this process last saw it and no other."""
        moved = self.db.execute(
            "UPDATE place SET offset = ?, sequence = ? WHERE partition = ? AND offset = ? AND sequence = ?",
            (after.offset, after.sequence, number, before.offset, before.sequence),
        )
        if moved.rowcount != 1:
            raise Elsewhere(f"another process counts into {self.path}: this one steps down")

    def placed(self, user_id: str, order_id: str, day: str, currency: str, cents: int) -> None:
        self.db.execute("INSERT INTO placed VALUES (?, ?, ?, ?, ?)", (user_id, order_id, day, currency, cents))
        self.add(day, currency, 1, cents)

    def called_off(self, user_id: str, order_id: str) -> None:
        """Takes an order back, on the day on which it had been placed."""
        order = self.db.execute(
            "DELETE FROM placed WHERE user_id = ? AND order_id = ? RETURNING day, currency, cents",
            (user_id, order_id),
        ).fetchone()
        if order is None:
            raise Broken(f"order {order_id} of user {user_id} is called off and was never placed")
        day, currency, cents = order
        self.add(day, currency, -1, -cents)

    def add(self, day: str, currency: str, orders: int, cents: int) -> None:
        self.db.execute(
            "INSERT INTO revenue VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET orders = orders + excluded.orders, cents = cents + excluded.cents",
            (day, currency, orders, cents),
        )

    def skip(self, type_name: str) -> None:
        self.db.execute(
            "INSERT INTO skipped VALUES (?, 1) ON CONFLICT DO UPDATE SET events = events + 1", (type_name,)
        )

    def summary(self) -> dict:
        """Everything that has been counted so far."""
        days = self.db.execute("SELECT day, currency, orders, cents FROM revenue ORDER BY day, currency")
        columns = ("day", "currency", "orders", "cents")
        events = self.db.execute("SELECT coalesce(sum(sequence), 0) FROM place").fetchone()[0]
        return {
            "revenue": [dict(zip(columns, row)) for row in days],
            "events": events,
            "skipped": dict(self.db.execute("SELECT type, events FROM skipped ORDER BY type")),
        }
