"""Eight people who never stop reading, each in another way, while builds are published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from orchestration.lib.postgres_serving import MartDescriptions
from tests.postgres.cluster import Database

NOTHING_SAID = MartDescriptions({}, {}, {})
# Two tables in one statement: a reader who sees one old and one new sees a half-switched build.
QUESTION = (
    "select min(deals.number), max(deals.number), min(people.number), max(people.number), count(*)"
    " from {}deals as deals inner join {}people as people on deals.id = people.id"
)
ROWS = 200

Ask = Callable[[], Sequence[tuple[int, ...]]]
Style = Callable[[Database], Iterator[Ask]]


@dataclass
class Watch:
    """What the readers saw."""

    shown: int = 0
    reads: int = 0
    failures: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, name: str, ask: Ask) -> None:
        """Ask once; an answer older than what was shown before the question is stale."""
        floor = self.shown
        try:
            answers = ask()
        except Exception as error:
            with self._lock:
                self.failures.append(f"{name}: {type(error).__name__}: {error}")
            return
        with self._lock:
            self.reads += 1
            for answer in answers:
                low, high, other_low, other_high, rows = answer
                if not low == high == other_low == other_high or rows != ROWS:
                    self.torn.append(f"{name}: {answer}")
                elif low < floor:
                    self.stale.append(f"{name}: saw {low} after {floor} was shown")


def write_build(path: Path, number: int) -> Path:
    """Write a small audited file whose every row names its build."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        for table in ("deals", "people"):
            connection.execute(
                f"create table marts.{table} as select range as id, {number}::bigint as number,"
                f" 'deal ' || range as name from range({ROWS})"
            )
    return path


@contextmanager
def reading(database: Database, watch: Watch) -> Iterator[None]:
    """Let eight readers ask until the block ends; each has asked once before it begins."""
    stop = threading.Event()
    started = threading.Barrier(len(STYLES) + 1)

    def run(name: str, style: Style) -> None:
        asks = style(database)
        watch.read(name, next(asks))
        started.wait(30)
        for ask in asks:
            watch.read(name, ask)
            if stop.wait(0.01):
                break
        asks.close()  # type: ignore[attr-defined]

    threads = [
        threading.Thread(target=run, args=(name, style), daemon=True)
        for name, style in STYLES.items()
    ]
    for thread in threads:
        thread.start()
    started.wait(30)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def _open_connection(database: Database) -> Iterator[Ask]:
    with database.connect() as connection:
        while True:
            yield lambda: connection.execute(QUESTION.format("marts.", "marts.")).fetchall()


def _prepared(database: Database) -> Iterator[Ask]:
    with database.connect() as connection:
        while True:
            yield lambda: connection.execute(
                QUESTION.format("marts.", "marts."), prepare=True
            ).fetchall()


def _generic_plan(database: Database) -> Iterator[Ask]:
    with database.connect() as connection:
        connection.execute("set plan_cache_mode = force_generic_plan")
        query = QUESTION.format("marts.", "marts.") + " where deals.id >= %s"
        while True:
            yield lambda: connection.execute(query, [0], prepare=True).fetchall()


def _search_path(database: Database) -> Iterator[Ask]:
    with database.connect() as connection:
        connection.execute("set search_path = marts")
        while True:
            yield lambda: connection.execute(QUESTION.format("", ""), prepare=True).fetchall()


def _new_connection(database: Database) -> Iterator[Ask]:
    def ask() -> list[Any]:
        with database.connect() as connection:
            return connection.execute(QUESTION.format("marts.", "marts.")).fetchall()

    while True:
        yield ask


def _cursor(database: Database) -> Iterator[Ask]:
    # As Metabase reads: a cursor of the server in a transaction, a few rows at a time.
    with database.connect(autocommit=False) as connection:

        def ask() -> list[Any]:
            with connection.transaction(), connection.cursor("rows") as cursor:
                cursor.itersize = 50
                cursor.execute(
                    "select deals.number, people.number from marts.deals as deals"
                    " inner join marts.people as people on deals.id = people.id"
                )
                rows = list(cursor)
            firsts, seconds = [row[0] for row in rows], [row[1] for row in rows]
            return [(min(firsts), max(firsts), min(seconds), max(seconds), len(rows))]

        while True:
            yield ask


def _two_statements(database: Database) -> Iterator[Ask]:
    # Each statement sees a whole build; the second may see a newer one, never an empty table.
    with database.connect(autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask() -> list[Any]:
            with connection.transaction():
                query = QUESTION.format("marts.", "marts.")
                connection.execute("select 1")
                first = connection.execute(query).fetchall()
                connection.execute("select pg_sleep(0.05)")
                return first + connection.execute(query).fetchall()

        while True:
            yield ask


def _catalogue(database: Database) -> Iterator[Ask]:
    # As a synchronisation: the list of tables first, then each by its name.
    with database.connect() as connection:

        def ask() -> list[Any]:
            tables = connection.execute(
                "select table_name from information_schema.tables where table_schema = 'marts'"
            ).fetchall()
            assert sorted(tables) == [("deals",), ("people",)], tables
            return connection.execute(QUESTION.format("marts.", "marts.")).fetchall()

        while True:
            yield ask


STYLES: dict[str, Style] = {
    "open connection": _open_connection,
    "prepared statement": _prepared,
    "generic plan": _generic_plan,
    "search path": _search_path,
    "new connection": _new_connection,
    "cursor": _cursor,
    "two statements": _two_statements,
    "catalogue": _catalogue,
}
