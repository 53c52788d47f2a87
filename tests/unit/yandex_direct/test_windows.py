"""Days, names and options of Yandex Direct without a server."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from ingest.sources.yandex_direct import _midnight, _months_before, _moscow_days
from ingest.sources.yandex_direct.client import report_name
from ingest.sources.yandex_direct.settings import YandexDirectSettings
from ingest.windows import Window


def test_days_are_moscow_days() -> None:
    window = Window(_midnight(dt.date(2026, 11, 17)), _midnight(dt.date(2026, 11, 21)))
    assert window.start == dt.datetime.fromisoformat("2026-11-16T21:00")
    assert _moscow_days(window) == (dt.date(2026, 11, 17), dt.date(2026, 11, 20))


@pytest.mark.parametrize(
    ("day", "start"),
    [(dt.date(2026, 11, 20), dt.date(2023, 11, 1)), (dt.date(2024, 2, 29), dt.date(2021, 2, 1))],
)
def test_history_begins_on_the_first_of_the_month_three_years_ago(
    day: dt.date, start: dt.date
) -> None:
    assert _months_before(day, 36) == start


def test_report_name_does_not_show_the_token_and_depends_on_it() -> None:
    first = report_name({"a": 1}, "token-one", None, "")
    assert "token" not in first
    assert first != report_name({"a": 1}, "token-two", None, "")
    assert first == report_name({"a": 1}, "token-one", None, "")


def test_vat_is_off_and_explicit() -> None:
    assert YandexDirectSettings().include_vat == "NO"
    with pytest.raises(ValidationError):
        YandexDirectSettings.model_validate({"include_vat": "maybe"})
