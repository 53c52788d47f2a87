"""What is measured: a truth, how the marts answer it, and how peers compute it.

SQL of a measure sees the schemas of `judging.Schemas`: `marts` (the published file), `staging` and
`raw_<source>` (the warehouse), `truth` (what the simulation knows). It returns

    found      (item): the things said to be so; also of recalled and alarms
    label      (item, label): what each thing is said to be
    breakdown  (key, value, n): a sum and its parts
    number     (value, n): one number

n, of a truth alone: how many things the number was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# found: precision and recall. recalled: recall alone. alarms: share of innocents flagged. label:
# share of things named rightly. breakdown: share of the sum in a wrong row. number: its error.
Kind = Literal["found", "recalled", "alarms", "label", "breakdown", "number"]
# relative: error / truth. points: difference of two ratios.
Unit = Literal["relative", "points"]

Columns = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Way:
    """One way to answer: its SQL and what must exist for it.

    Attributes:
        sql: A query of the shape the measure's kind asks for.
        needs: Tables (`schema.table`) and the columns of them the query reads; where one is
            missing, the way is not built.
        ready_when: A query that returns false while nothing fills a column that already exists.
        not_ready: What is missing then.
    """

    sql: str
    needs: Columns = field(default_factory=dict)
    ready_when: str | None = None
    not_ready: str = ""


@dataclass(frozen=True)
class Measure:
    """One line of the benchmark.

    Attributes:
        truth_id: The truth it belongs to; lines of one truth stand together.
        measure_id: Its own name.
        title: What is measured, for people.
        kind: How both ways are scored.
        true: SQL of the truth, of the same shape as the ways; no rows: the truth is not planted.
        ours: How the marts answer.
        naive: How peers compute it; None: no peer does, or not from data like these.
        naive_title: The naive way in a few words.
        naive_source: Where it is seen, or why there is none, one line (letters: the list in
            peers.md).
        builds: What would build what the marts lack.
        unit: Of the error of a number.
    """

    truth_id: str
    measure_id: str
    title: str
    kind: Kind
    true: str
    ours: Way
    naive: Way | None
    naive_title: str
    naive_source: str
    builds: str = ""
    unit: Unit = "relative"
