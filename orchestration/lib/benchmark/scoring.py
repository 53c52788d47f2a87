"""Scores of one company, and their mean with its interval over several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestration.lib.benchmark.measure import Kind, Unit

# Where a perfect score stands: at one (precision, recall), or at zero (errors, alarms).
Ideal = Literal[0, 1]

# Student's t, two-sided 95 %, by degrees of freedom; beyond the table the normal distribution's.
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z_95 = 1.96


@dataclass(frozen=True)
class Statistic:
    """What a score means: its name, where perfection stands and between what it may lie."""

    name: str
    ideal: Ideal
    low: float | None = 0.0
    high: float | None = 1.0
    is_percent: bool = False


PRECISION = Statistic("precision", 1)
RECALL = Statistic("recall", 1)
RIGHT = Statistic("right", 1)
ALARMS = Statistic("false alarms", 0)
MISPLACED = Statistic("misplaced", 0, high=None, is_percent=True)
ERROR = Statistic("error", 0, low=None, high=None, is_percent=True)

STATISTICS: Mapping[Kind, tuple[Statistic, ...]] = {
    "found": (PRECISION, RECALL),
    "recalled": (RECALL,),
    "alarms": (ALARMS,),
    "label": (RIGHT,),
    "breakdown": (MISPLACED,),
    "number": (ERROR,),
}

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Score:
    """The scores of one way in one company, by statistic; None: not defined (nothing was found)."""

    values: Mapping[str, float | None]
    # What the scores were made of, for the JSON: counts, or the two numbers compared.
    parts: Mapping[str, float]


def truth_size(kind: Kind, true: Rows) -> int:
    """Return how many things the truth is about; 0: it is not planted here."""
    if kind == "number":
        return int(true[0][1] or 1) if true and true[0][0] is not None else 0
    if kind == "breakdown":
        return sum(int(row[2]) for row in true)
    return len({row[0] for row in true})


def score(kind: Kind, unit: Unit, true: Rows, said: Rows) -> Score:
    """Compare what a way said with the truth.

    Args:
        kind: The shape of both.
        unit: Of a number's error.
        true: Rows of the truth; not empty.
        said: Rows of the way.
    """
    if kind in ("found", "recalled", "alarms"):
        return _of_sets(kind, {str(row[0]) for row in true}, {str(row[0]) for row in said})
    if kind == "label":
        labels = {str(item): label for item, label in said}
        right = sum(labels.get(str(item)) == label for item, label in true)
        return Score({"right": right / len(true)}, {"right": right, "items": len(true)})
    if kind == "breakdown":
        return _of_parts(_summed(true), _summed(said))
    expected, answer = float(true[0][0]), said[0][0] if said else None
    if answer is None:
        return Score({"error": None}, {"true": expected})
    difference = float(answer) - expected
    error = difference if unit == "points" else _ratio(difference, expected)
    return Score({"error": error}, {"true": expected, "said": float(answer)})


def _of_sets(kind: Kind, true: set[str], said: set[str]) -> Score:
    both = len(true & said)
    if kind == "alarms":
        return Score(
            {"false alarms": _ratio(both, len(true))}, {"items": len(true), "flagged": both}
        )
    return Score(
        {"precision": _ratio(both, len(said)), "recall": _ratio(both, len(true))},
        {"true": len(true), "found": len(said), "both": both},
    )


def _of_parts(true: Mapping[str, float], said: Mapping[str, float]) -> Score:
    """Return the share of the sum that is missing from its row or stands in a wrong one."""
    total = math.fsum(true.values())
    differences = [
        said.get(key, 0.0) - true.get(key, 0.0) for key in sorted(true.keys() | said.keys())
    ]
    too_much = math.fsum(one for one in differences if one > 0)
    too_little = math.fsum(-one for one in differences if one < 0)
    return Score(
        {"misplaced": _ratio(max(too_much, too_little), total)},
        {"true": total, "said": math.fsum(said.values())},
    )


def _summed(rows: Rows) -> dict[str, float]:
    sums: dict[str, float] = {}
    for key, value, *_ in rows:
        sums[str(key)] = sums.get(str(key), 0.0) + float(value or 0)
    return sums


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval; one seed has no interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @classmethod
    def of(cls, values: Iterable[float | None], statistic: Statistic) -> Estimate | None:
        """Return the mean of the seeds that have a value, cut to what the statistic can be.

        Args:
            values: One by seed; None where it is not defined.
            statistic: What they are.
        """
        known = [one for one in values if one is not None]
        if not known:
            return None
        mean = math.fsum(known) / len(known)
        half = half_interval(known)
        if half is None:
            return cls(mean, None, None, len(known))
        low, high = mean - half, mean + half
        if statistic.low is not None:
            low = max(low, statistic.low)
        if statistic.high is not None:
            high = min(high, statistic.high)
        return cls(mean, low, high, len(known))


def half_interval(values: Sequence[float]) -> float | None:
    """Return half the width of Student's 95 % interval of a mean; None of a single value."""
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((one - mean) ** 2 for one in values) / (count - 1)
    quantile = _T_95[count - 2] if count - 2 < len(_T_95) else _Z_95
    return quantile * math.sqrt(variance / count)


Comparison = Literal["better", "no difference", "worse", "one seed", "not comparable"]


def compare(
    ours: Sequence[float | None], naive: Sequence[float | None], statistic: Statistic
) -> Comparison:
    """Say whether ours is nearer to the truth, seed by seed.

    The interval is of the paired differences: both ways looked at the same companies, and each must
    have said something in all of them, or the silent way would be judged by its best companies.
    """
    gains = [
        abs(theirs - statistic.ideal) - abs(mine - statistic.ideal)
        for mine, theirs in zip(ours, naive, strict=True)
        if mine is not None and theirs is not None
    ]
    if not gains or len(gains) < len(ours):
        return "not comparable"
    half = half_interval(gains)
    if half is None:
        return "one seed"
    mean = math.fsum(gains) / len(gains)
    if mean - half > 1e-9:
        return "better"
    return "worse" if mean + half < -1e-9 else "no difference"
