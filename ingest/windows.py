"""Closed windows of time: what was read, and what is still to be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, order=True)
class Window:
    """A closed time window [start, end), naive UTC."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Window") -> bool:
        """Return whether some moment lies in both.

        Args:
            other: Another window.
        """
        return self.start < other.end and other.start < self.end


def merge_windows(windows: Iterable[Window]) -> list[Window]:
    """Return the same time as windows that neither touch nor overlap.

    Args:
        windows: In any order.
    """
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def without(windows: Iterable[Window], removed: Window) -> list[Window]:
    """Return what is left of windows when a time is taken out of them.

    Args:
        windows: In any order.
        removed: The time to take out.
    """
    left = []
    for window in windows:
        before = Window(window.start, min(window.end, removed.start))
        after = Window(max(window.start, removed.end), window.end)
        left += [piece for piece in (before, after) if piece.start < piece.end]
    return left


def missing_windows(
    wanted: Window,
    covered: Sequence[Window],
    *,
    overlap: timedelta,
    longest: timedelta | None = None,
) -> list[Window]:
    """Return what is still to be read, newest first, cut into windows of a bounded length.

    The newest covered window is read again from `overlap` before its end, because events arrive
    late and because several rows share a second.

    Args:
        wanted: From the start setting to the server's present.
        covered: What complete pulls read, merged.
        overlap: How much of the newest covered time to read again.
        longest: Upper bound of one window; None leaves each gap whole.
    """
    gaps: list[Window] = []
    position = wanted.start
    for window in covered:
        end = window.end - overlap if window is covered[-1] else window.end
        if window.start > position:
            gaps.append(Window(position, min(window.start, wanted.end)))
        # An overlap longer than the window itself must not reach into the gap before it.
        position = max(position, window.start, end)
    if position < wanted.end:
        gaps.append(Window(position, wanted.end))
    pieces: list[Window] = []
    for gap in gaps:
        start = gap.start
        while start < gap.end:
            end = gap.end if longest is None else min(start + longest, gap.end)
            pieces.append(Window(start, end))
            start = end
    return sorted(pieces, reverse=True)
