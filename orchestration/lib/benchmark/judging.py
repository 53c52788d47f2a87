"""One company's judgement: the truth, the marts and the naive ways asked side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import duckdb

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.scoring import Rows, Score, score, truth_size
from orchestration.lib.errors import BenchmarkError

WayState = Literal["scored", "not built"]


@dataclass(frozen=True)
class Answer:
    """What came of one way: its score, or what it would have needed."""

    state: WayState
    score: Score | None = None
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """One measure in one company; `naive` is None if the truth is not planted or no peer has it."""

    measure: Measure
    item_count: int
    ours: Answer
    naive: Answer | None


def judge(connection: duckdb.DuckDBPyConnection, measures: Iterable[Measure]) -> list[Judgement]:
    """Ask truth, marts and naive ways of one company.

    Args:
        connection: Shows the schemas `marts`, `staging`, `raw_<source>` and `truth`.
        measures: What to ask.

    Raises:
        BenchmarkError: A query failed although everything it needs is there.
    """
    columns = _columns(connection)
    return [_judge(connection, columns, measure) for measure in measures]


def _judge(
    connection: duckdb.DuckDBPyConnection, columns: dict[str, set[str]], measure: Measure
) -> Judgement:
    true = _rows(connection, measure, "truth", measure.true)
    size = truth_size(measure.kind, true)

    def asked(way: Way, name: str) -> Answer:
        lacks = _lacks(connection, columns, measure, way)
        if lacks:
            return Answer("not built", lacks=lacks)
        if not size:
            return Answer("scored")
        said = _rows(connection, measure, name, way.sql)
        return Answer("scored", score(measure.kind, measure.unit, true, said))

    naive = asked(measure.naive, "naive") if size and measure.naive is not None else None
    return Judgement(measure, size, asked(measure.ours, "ours"), naive)


def _lacks(
    connection: duckdb.DuckDBPyConnection,
    columns: dict[str, set[str]],
    measure: Measure,
    way: Way,
) -> tuple[str, ...]:
    """Return what a way needs and nobody has built."""
    lacks = []
    for table, names in way.needs.items():
        if table not in columns:
            lacks.append(table)
        else:
            lacks += [f"{table}.{name}" for name in names if name not in columns[table]]
    if lacks or way.ready_when is None:
        return tuple(lacks)
    is_ready = _rows(connection, measure, "readiness", way.ready_when)
    return () if is_ready and is_ready[0][0] else (way.not_ready,)


def _rows(connection: duckdb.DuckDBPyConnection, measure: Measure, name: str, query: str) -> Rows:
    try:
        return connection.execute(query).fetchall()
    except duckdb.Error as error:
        line = str(error).strip().splitlines()[0]
        raise BenchmarkError(
            f"{measure.measure_id}: the query of its {name} failed ({line})."
        ) from error


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for schema, table, column in connection.execute(
        "select table_schema, table_name, column_name from information_schema.columns"
        " where table_catalog = current_database()"
    ).fetchall():
        found.setdefault(f"{schema}.{table}", set()).add(column)
    return found
