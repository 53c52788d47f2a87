"""Repeatable randomness and working time, both in vectors."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.demo.arrow import Column
from ingest.demo.story import HOLIDAYS, MOSCOW_OFFSET_SECONDS, SHORT_DAYS

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

DAY = 86_400
OPENS = 9 * 3600
CLOSES = 19 * 3600
# 1970-01-01 was a Thursday.
_EPOCH_WEEKDAY = 3


class Streams:
    """One independent random stream per name: a new entity never shifts what the others draw."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, name: str) -> np.random.Generator:
        """Return the stream of a name, from its beginning."""
        sequence = np.random.SeedSequence([self._seed, zlib.crc32(name.encode())])
        return np.random.Generator(np.random.PCG64(sequence))


def choose(rng: np.random.Generator, weights: Sequence[float] | Floats, count: int) -> Ints:
    """Return `count` positions drawn with the given weights."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    found: Ints = np.minimum(drawn, len(edges) - 1).astype(np.int64)
    return found


def take_text(values: Sequence[str | None], positions: Ints) -> Column:
    """Return texts by position; a negative position is null."""
    index: Column = pa.array(positions, mask=positions < 0)
    return pa.array(values, pa.string()).take(index)


def nullable(values: Ints, absent: Flags) -> Column:
    """Return integers with nulls where they are absent."""
    return pa.array(values, pa.int64(), mask=absent)


def weekday(days: Ints) -> Ints:
    """Return the weekday of days since 1970, Monday 0."""
    return (days + _EPOCH_WEEKDAY) % 7


class WorkingTime:
    """The reps' calendar: Monday to Saturday, 9 to 19 Moscow time, no public holidays.

    On the eve of some holidays the office closes an hour earlier.
    """

    def __init__(self, first_day: int, last_day: int) -> None:
        self._first = first_day - 5
        days = np.arange(self._first, last_day + 40, dtype=np.int64)
        holidays = np.array([(day - _EPOCH_DATE).days for day in HOLIDAYS], dtype=np.int64)
        off = (weekday(days) == 6) | np.isin(days, holidays)
        # From the back: the next working day of a day off is that of the day after it.
        following = np.where(off, np.iinfo(np.int64).max, days)
        self._next_open = np.minimum.accumulate(following[::-1])[::-1]
        self._short = np.array([(day - _EPOCH_DATE).days for day in SHORT_DAYS], dtype=np.int64)

    def snap(self, local_seconds: Ints, rng: np.random.Generator) -> Ints:
        """Return the moments moved into working time: a moment outside waits for a morning."""
        day, second = local_seconds // DAY, local_seconds % DAY
        early = second < OPENS
        late = second >= np.where(np.isin(day, self._short), CLOSES - 3600, CLOSES)
        wanted = day + late
        opening = self._next_open[np.clip(wanted - self._first, 0, len(self._next_open) - 1)]
        moved = early | late | (opening != wanted)
        morning = OPENS + rng.exponential(2700, len(day)).astype(np.int64) % (CLOSES - OPENS)
        return np.where(moved, opening * DAY + morning, local_seconds)

    def is_open_day(self, days: Ints) -> Flags:
        """Return whether reps work on these days."""
        place = np.clip(days - self._first, 0, len(self._next_open) - 1)
        found: Flags = self._next_open[place] == days
        return found


def to_utc(local_seconds: Ints) -> Ints:
    """Return Moscow wall-clock seconds as Unix seconds."""
    return local_seconds - MOSCOW_OFFSET_SECONDS


def after(
    rng: np.random.Generator, median_seconds: float | Floats, spread: float | Floats, count: int
) -> Ints:
    """Return `count` log-normal delays in seconds, at least one second."""
    drawn = np.asarray(median_seconds) * np.exp(np.asarray(spread) * rng.standard_normal(count))
    found: Ints = np.maximum(1, drawn).astype(np.int64)
    return found


def concatenated(frames: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return frames (dicts of equally long vectors) one under another."""
    return {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}


_EPOCH_DATE = np.datetime64("1970-01-01").astype(object)
