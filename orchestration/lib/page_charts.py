"""Geometry of the page's charts: numbers in, SVG coordinates out.

Drawings stretch to the width of the screen (`preserveAspectRatio="none"` with strokes that do not
scale), and every word stands beside them as HTML: text in a scaled SVG would be 6 px high on a
phone. Without a chart library the page stays under half a megabyte; Plotly alone is 4.7 MB of
script, and its charts cannot be read when scripts are off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 1000.0
HEIGHT = 300.0


@dataclass(frozen=True)
class Scale:
    """An axis that starts at zero (or below) and ends on a round number.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        ticks: Values with a line, ascending.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def up(self, value: float) -> float:
        """Return the SVG height of `value`, measured from the top."""
        span = self.high - self.low or 1.0
        return round(HEIGHT - (value - self.low) / span * HEIGHT, 2)


def scale(values: Sequence[float | None], *, whole: bool = False) -> Scale:
    """Return an axis for `values` with at most four steps; `whole` keeps its ticks whole."""
    known = [value for value in values if value is not None]
    highest = max([0.0, *known])
    lowest = min([0.0, *known])
    reach = max(highest, -lowest)
    if reach <= 0:
        return Scale(0.0, 1.0, (0.0,))
    if whole and reach <= 1:
        reach = 1.0
    power = 10.0 ** math.floor(math.log10(reach))
    step = next(
        power * part
        for part in (0.25, 0.5, 1.0, 2.5, 5.0)
        if (not whole or power * part >= 1)
        and math.ceil(highest / (power * part)) + math.ceil(-lowest / (power * part)) <= 4
    )
    top = math.ceil(round(highest / step, 9))
    bottom = math.floor(round(lowest / step, 9))
    ticks = tuple(step * at for at in range(bottom, top + 1))
    return Scale(step * bottom, step * top, ticks)


def line_points(values: Sequence[float | None], axis: Scale) -> list[list[tuple[float, float]]]:
    """Return the runs of a line; a missing value breaks it."""
    runs: list[list[tuple[float, float]]] = [[]]
    last = max(len(values) - 1, 1)
    for at, value in enumerate(values):
        if value is None:
            if runs[-1]:
                runs.append([])
            continue
        runs[-1].append((round(at / last * WIDTH, 2), axis.up(value)))
    return [run for run in runs if run]


@dataclass(frozen=True)
class Bar:
    """A rectangle in SVG coordinates."""

    x: float
    y: float
    width: float
    height: float


def column_bars(
    values: Sequence[float | None], axis: Scale, *, lane: int = 0, lanes: int = 1
) -> list[Bar | None]:
    """Return upright bars; `lane` of `lanes` puts several measures side by side."""
    slot = WIDTH / max(len(values), 1)
    width = slot * 0.72 / lanes
    zero = axis.up(0.0)
    bars: list[Bar | None] = []
    for at, value in enumerate(values):
        if value is None:
            bars.append(None)
            continue
        top = min(axis.up(value), zero)
        left = at * slot + slot * 0.14 + lane * width
        bars.append(Bar(round(left, 2), top, round(width, 2), round(abs(axis.up(value) - zero), 2)))
    return bars


def sparkline(values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Return a small line over its own range, with a margin so that strokes are not cut."""
    known = [value for value in values if value is not None]
    if len(known) < 3:
        return []
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    axis = Scale(low - span * 0.12, high + span * 0.12, ())
    return line_points(values, axis)


def shades(values: Sequence[float | None], steps: int = 6) -> list[int]:
    """Return the depth of colour of each value, 0 (none) to `steps` (the largest).

    By square root: losses are skewed, and on an even scale one big cell would leave the others
    white.
    """
    top = max((value for value in values if value is not None), default=0.0)
    if top <= 0:
        return [0] * len(values)
    return [
        0 if not value or value < 0 else max(1, round(math.sqrt(value / top) * steps))
        for value in values
    ]
