"""Whether a number moved more than it always does.

A week differs from the four before it every week. The yardstick is the company itself: how far
earlier weeks lay from the mean of the four weeks before *them*. A change counts as one only beyond
the 99 % band of that spread (Student's t, few weeks widen it), so that six numbers watched at once
raise a false alarm about once in twenty weeks and not every fourth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_BEFORE = 4
_LOOK_BACK = 13
_FEWEST = 6

Verdict = Literal["notable", "usual", "unknown"]


@dataclass(frozen=True)
class Change:
    """A value against what is usual.

    Attributes:
        value: The number of the period.
        usual: The mean of the four periods before, or None.
        band: How far it may lie from the usual by chance, or None where too little is known.
        verdict: Whether the difference is beyond the band.
    """

    value: float
    usual: float | None
    band: float | None
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Return value minus usual, 0 where nothing is usual yet."""
        return 0.0 if self.usual is None else self.value - self.usual

    @property
    def ratio(self) -> float | None:
        """Return the relative change; None where it would mean nothing (around or below zero)."""
        if self.usual is None or self.usual <= 0 or self.value < 0:
            return None
        return self.difference / self.usual

    @property
    def size(self) -> float:
        """Return how large the change is next to the others, as a share of the usual."""
        if self.usual is None or self.difference == 0:
            return 0.0
        return abs(self.difference) / max(abs(self.usual), abs(self.value))


def judge(history: Sequence[float | None], usual: float | None, *, is_count: bool) -> Change | None:
    """Return the last value of `history` against the usual one.

    Args:
        history: Values by period, ascending; the last is judged, None where unknown.
        usual: What the last one is compared with (the mart's mean of four periods before).
        is_count: Adds the chance of counting: a mean of 9 people a week swings by 3 even where
            nothing changes.

    Returns:
        The change, or None when the last value is unknown.
    """
    if not history or history[-1] is None:
        return None
    value = float(history[-1])
    if usual is None:
        return Change(value, None, None, "unknown")
    windows = [history[at - _BEFORE : at + 1] for at in range(_BEFORE, len(history) - 1)]
    earlier = [
        known[-1] - math.fsum(known[:-1]) / _BEFORE
        for window in windows
        if len(known := [float(one) for one in window if one is not None]) == len(window)
    ][-_LOOK_BACK:]
    if len(earlier) < _FEWEST:
        return Change(value, float(usual), None, "unknown")
    spread = math.sqrt(math.fsum(one * one for one in earlier) / len(earlier))
    if is_count:
        spread = max(spread, math.sqrt(max(float(usual), 1.0) * (1 + 1 / _BEFORE)))
    # The 99.5 % point of Student's t, good to 3 % from 6 degrees of freedom on.
    band = (2.576 + 5.2 / len(earlier) + 9.0 / len(earlier) ** 2) * spread
    beyond = abs(value - float(usual)) > band
    return Change(value, float(usual), band, "notable" if beyond else "usual")
