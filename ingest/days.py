"""Whole local days as windows: how daily reports are asked for, and when a day stands still."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from ingest.windows import Window

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class LocalDays:
    """The days of one time zone; moments are naive UTC, as in all windows."""

    zone: ZoneInfo

    def midnight(self, day: dt.date) -> dt.datetime:
        """Return the start of a day.

        Args:
            day: Local.
        """
        local = dt.datetime.combine(day, dt.time(), tzinfo=self.zone)
        return local.astimezone(dt.UTC).replace(tzinfo=None)

    def day_of(self, moment: dt.datetime) -> dt.date:
        """Return the day in which a moment lies.

        Args:
            moment: Naive UTC.
        """
        return moment.replace(tzinfo=dt.UTC).astimezone(self.zone).date()

    def first_and_last(self, window: Window) -> tuple[dt.date, dt.date]:
        """Return the first and the last day of a window of whole days.

        Args:
            window: From midnight to midnight.
        """
        return self.day_of(window.start), self.day_of(window.end) - _DAY

    def id_prefixes(self, window: Window) -> list[str]:
        """Return what the ids of a window's records begin with, where an id is `day|rest`.

        Args:
            window: From midnight to midnight.
        """
        first, last = self.first_and_last(window)
        return [f"{first + _DAY * offset}|" for offset in range((last - first).days + 1)]

    def settled(self, covered: Sequence[Window], *, unsettled_days: int) -> list[Window]:
        """Return the part of what was read that had settled by then.

        The last days of every stretch were still changing when it was read; of an old one too,
        because its reading may have been broken off before the days that follow.

        Args:
            covered: What complete pulls read, merged.
            unsettled_days: So many days before the end of a stretch are to be read again.
        """
        found = []
        for known in covered:
            end = self.midnight(self.day_of(known.end) - _DAY * unsettled_days)
            if known.start < end:
                found.append(Window(known.start, end))
        return found

    def pieces(self, windows: Sequence[Window], *, days: int) -> list[Window]:
        """Return windows of whole days cut into shorter ones, newest first.

        Args:
            windows: From midnight to midnight.
            days: The most that one piece may have.
        """
        found = []
        for window in windows:
            first, after = self.day_of(window.start), self.day_of(window.end)
            while first < after:
                end = min(first + _DAY * days, after)
                found.append(Window(self.midnight(first), self.midnight(end)))
                first = end
        return sorted(found, reverse=True)


def months_before(day: dt.date, months: int) -> dt.date:
    """Return the first day of the month so many months before a day's.

    Args:
        day: Any day.
        months: How many.
    """
    count = day.year * 12 + day.month - 1 - months
    return dt.date(count // 12, count % 12 + 1, 1)
