"""The scores over all companies: an aligned table for people, JSON for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.lib.benchmark.judging import Answer, Judgement
from orchestration.lib.benchmark.measure import Measure
from orchestration.lib.benchmark.scoring import (
    STATISTICS,
    Comparison,
    Estimate,
    Statistic,
    compare,
)

NOT_BUILT = "not built"
NOT_PLANTED = "not planted"
NO_PEERS = "peers: none"
_HEADINGS = ("truth, and what is measured", "n", "ours", "naive", "state")
_WIDTH = 100


@dataclass(frozen=True)
class Line:
    """One statistic of one measure over all companies; `companies`: in which it is planted."""

    measure: Measure
    statistic: Statistic
    companies: int
    item_count: int
    ours: Estimate | None
    naive: Estimate | None
    state: str


@dataclass(frozen=True)
class Report:
    """What the benchmark found.

    Attributes:
        seeds: The companies, by seed.
        judgements: By seed, in the order of the measures.
    """

    seeds: tuple[int, ...]
    judgements: tuple[tuple[Judgement, ...], ...]

    def lines(self) -> list[Line]:
        """Return the lines of the table in the order of the measures."""
        return [line for of_measure in self._by_measure() for line in _lines(of_measure)]

    def table(self) -> str:
        """Return the table for people, with what the naive ways are and what is missing."""
        lines = self.lines()
        parts = [_heading(self.seeds), _aligned(lines)]
        naive = _naive_ways(
            line.measure
            for line in lines
            if line.naive is not None or (line.item_count and line.measure.naive is None)
        )
        if naive:
            parts.append("Naive ways (letters: the sources of peers.md)\n" + naive)
        missing = self._missing()
        if missing:
            parts.append("Not built yet\n" + missing)
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return everything, the scores of each company included."""
        return {
            "seeds": list(self.seeds),
            "confidence": 0.95,
            "measures": [self._measure_json(of_measure) for of_measure in self._by_measure()],
        }

    def _by_measure(self) -> list[list[Judgement]]:
        return [list(same) for same in zip(*self.judgements, strict=True)]

    def _missing(self) -> str:
        rows = []
        for of_measure in self._by_measure():
            lacks = sorted({one for judgement in of_measure for one in judgement.ours.lacks})
            if lacks:
                measure = of_measure[0].measure
                needed = f"needs {', '.join(lacks)}"
                builds = f": {measure.builds}" if measure.builds else ""
                rows.append((measure.measure_id, f"{needed}{builds}"))
        return _listed(rows)

    def _measure_json(self, judgements: Sequence[Judgement]) -> dict[str, Any]:
        measure = judgements[0].measure
        return {
            "truth_id": measure.truth_id,
            "measure_id": measure.measure_id,
            "title": measure.title,
            "kind": measure.kind,
            "n": sum(one.item_count for one in judgements),
            "statistics": [
                {
                    "statistic": line.statistic.name,
                    "state": line.state,
                    "ours": _estimate_json(line.ours),
                    "naive": _estimate_json(line.naive),
                }
                for line in _lines(judgements)
            ],
            "naive_way": measure.naive
            and {
                "title": measure.naive_title,
                "source": measure.naive_source,
                "sql": textwrap.dedent(measure.naive.sql).strip(),
            },
            "lacks": sorted({lack for one in judgements for lack in one.ours.lacks}),
            "builds": measure.builds or None,
            "by_seed": [
                {
                    "seed": seed,
                    "n": one.item_count,
                    "ours": _answer_json(one.ours),
                    "naive": _answer_json(one.naive),
                }
                for seed, one in zip(self.seeds, judgements, strict=True)
            ],
        }


def _lines(judgements: Sequence[Judgement]) -> list[Line]:
    measure = judgements[0].measure
    items = sum(one.item_count for one in judgements)
    planted = [one for one in judgements if one.item_count]
    found = []
    for statistic in STATISTICS[measure.kind]:
        ours = [_value(one.ours, statistic) for one in planted]
        naive = [_value(one.naive, statistic) for one in planted]
        found.append(
            Line(
                measure,
                statistic,
                len(planted),
                items,
                Estimate.of(ours, statistic),
                Estimate.of(naive, statistic),
                _state(judgements, compare(ours, naive, statistic)),
            )
        )
    return found


def _value(answer: Answer | None, statistic: Statistic) -> float | None:
    if answer is None or answer.score is None:
        return None
    return answer.score.values.get(statistic.name)


def _state(judgements: Sequence[Judgement], comparison: Comparison) -> str:
    if any(one.ours.state == "not built" for one in judgements):
        return NOT_BUILT
    if not any(one.item_count for one in judgements):
        return NOT_PLANTED
    return comparison


def _heading(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"One company (seed {seeds[0]}): no intervals."
    return (
        f"{len(seeds)} companies (seeds {', '.join(map(str, seeds))}). Means with Student's 95 % "
        "interval over the companies; n: true items in all of them.\n"
        "(2 of 5): defined in two of the five companies where the truth is planted."
    )


def _aligned(lines: Sequence[Line]) -> str:
    rows: list[tuple[str, ...]] = [_HEADINGS]
    before = None
    for line in lines:
        if line.measure.truth_id != before:
            before = line.measure.truth_id
            rows.append((before, "", "", "", ""))
        rows.append(
            (
                f"  {line.measure.title}: {line.statistic.name}",
                str(line.item_count) if line.item_count else "-",
                NOT_BUILT if line.state == NOT_BUILT else _cell(line, line.ours),
                NO_PEERS
                if line.item_count and line.measure.naive is None
                else _cell(line, line.naive),
                line.state,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            text.rjust(width) if column == 1 else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cell(line: Line, estimate: Estimate | None) -> str:
    if estimate is None:
        return "-" if not line.item_count else "undefined"
    statistic, unit = line.statistic, line.measure.unit
    sign = "+" if statistic.low is None else ""

    def shown(value: float) -> str:
        if not statistic.is_percent:
            return f"{value:.3f}"
        # A zero has no sign.
        return f"{round(100 * value, 1) + 0.0:{sign}.1f}"

    suffix = "" if not statistic.is_percent else " pp" if unit == "points" else " %"
    cell = f"{shown(estimate.mean)}{suffix}"
    if estimate.low is not None and estimate.high is not None:
        cell += f" [{shown(estimate.low)} .. {shown(estimate.high)}]"
    if estimate.seeds < line.companies:
        cell += f" ({estimate.seeds} of {line.companies})"
    return cell


def _naive_ways(measures: Iterable[Measure]) -> str:
    ways: dict[str, tuple[str, str]] = {}
    for measure in measures:
        way = f"{measure.naive_title}. Source: " if measure.naive else f"{NO_PEERS}: "
        ways[measure.measure_id] = (measure.measure_id, f"{way}{measure.naive_source}")
    return _listed(list(ways.values()))


def _listed(rows: Sequence[tuple[str, str]]) -> str:
    indent = max((len(name) for name, _ in rows), default=0) + 4
    return "\n".join(
        textwrap.fill(
            text,
            width=_WIDTH + indent,
            initial_indent=f"  {name}".ljust(indent),
            subsequent_indent=" " * indent,
        )
        for name, text in rows
    )


def _estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "seeds": estimate.seeds,
    }


def _answer_json(answer: Answer | None) -> Mapping[str, Any] | None:
    if answer is None:
        return None
    if answer.score is None:
        return {"state": answer.state}
    return {"state": answer.state, **answer.score.values, "parts": dict(answer.score.parts)}
