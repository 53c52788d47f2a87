"""Whole local days as windows."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.days import LocalDays, months_before
from ingest.windows import Window, merge_windows

# Berlin has days of 23 and 25 hours, Moscow none.
ZONES = st.sampled_from(["Europe/Moscow", "Europe/Berlin", "UTC", "Pacific/Auckland"])
FIRST = dt.date(2026, 1, 1)
DAYS = st.integers(0, 700).map(lambda number: FIRST + dt.timedelta(days=number))


def whole(days: LocalDays, first: dt.date, last: dt.date) -> Window:
    return Window(days.midnight(first), days.midnight(last + dt.timedelta(days=1)))


def test_days_of_moscow_begin_three_hours_before_those_of_utc() -> None:
    moscow = LocalDays(ZoneInfo("Europe/Moscow"))
    window = whole(moscow, dt.date(2026, 11, 17), dt.date(2026, 11, 20))
    assert window.start == dt.datetime.fromisoformat("2026-11-16T21:00")
    assert moscow.first_and_last(window) == (dt.date(2026, 11, 17), dt.date(2026, 11, 20))
    assert moscow.id_prefixes(whole(moscow, dt.date(2026, 12, 31), dt.date(2027, 1, 1))) == [
        "2026-12-31|",
        "2027-01-01|",
    ]


@pytest.mark.parametrize(
    ("day", "start"),
    [(dt.date(2026, 11, 20), dt.date(2023, 11, 1)), (dt.date(2024, 2, 29), dt.date(2021, 2, 1))],
)
def test_history_begins_on_the_first_of_the_month_three_years_ago(
    day: dt.date, start: dt.date
) -> None:
    assert months_before(day, 36) == start


@given(ZONES, DAYS, st.integers(0, 200), st.integers(1, 40))
def test_pieces_are_the_same_days_and_none_is_longer_than_asked(
    zone: str, first: dt.date, more: int, longest: int
) -> None:
    days = LocalDays(ZoneInfo(zone))
    window = whole(days, first, first + dt.timedelta(days=more))
    pieces = days.pieces([window], days=longest)
    assert merge_windows(pieces) == [window]
    assert pieces == sorted(pieces, reverse=True)
    read = [day for piece in reversed(pieces) for day in days.id_prefixes(piece)]
    assert read == days.id_prefixes(window)
    assert max(len(days.id_prefixes(piece)) for piece in pieces) <= longest


@given(ZONES, DAYS, st.integers(0, 200), st.integers(0, 40))
def test_the_last_days_of_a_stretch_are_not_settled(
    zone: str, first: dt.date, more: int, unsettled: int
) -> None:
    days = LocalDays(ZoneInfo(zone))
    last = first + dt.timedelta(days=more)
    settled = days.settled([whole(days, first, last)], unsettled_days=unsettled)
    left = more + 1 - unsettled
    if left <= 0:
        assert settled == []
    else:
        assert settled == [whole(days, first, first + dt.timedelta(days=left - 1))]
