"""Numbers, money and dates as a reader of each language expects them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestration.lib.cards import Format
from orchestration.lib.page_formats import ABSENT, MINUS, NARROW, NO_BREAK, Writer, tied

RU = Writer("ru", "RUB", ZoneInfo("Europe/Moscow"), 2026)
EN = Writer("en", "RUB", ZoneInfo("Europe/Moscow"), 2026)


def plain(text: str) -> str:
    return text.replace(NARROW, " ").replace(NO_BREAK, " ").replace(MINUS, "-")


@pytest.mark.parametrize(
    ("kind", "value", "ru", "en"),
    [
        ("money", Decimal("1234567.00"), "1 234 567 ₽", "1 234 567 ₽"),
        ("money", Decimal("-1234.5"), "-1 235 ₽", "-1 235 ₽"),
        ("money", Decimal("0.00"), "0 ₽", "0 ₽"),
        ("money", Decimal("4.25"), "4,25 ₽", "4.25 ₽"),
        ("integer", 1234567, "1 234 567", "1 234 567"),
        ("integer", 2.5, "3", "3"),
        ("integer", -0.2, "0", "0"),
        ("decimal", 1.25, "1,3", "1.3"),
        ("ratio", 0.123, "12,3 %", "12.3%"),
        ("ratio", 1, "100 %", "100%"),
        ("ratio", 0, "0 %", "0%"),
        ("days", 1, "1 день", "1 day"),
        ("days", 22, "22 дня", "22 days"),
        ("days", 11, "11 дней", "11 days"),
        ("days", 3.4, "3,4 дня", "3.4 days"),
        ("duration", Decimal("45"), "45 с", "45 s"),
        ("duration", Decimal("600"), "10 мин", "10 min"),
        ("duration", Decimal("5400"), "1,5 ч", "1.5 h"),
        ("duration", Decimal(86400 * 20), "20 дней", "20 days"),
        ("date", dt.date(2026, 11, 16), "16 ноября", "16 November"),
        ("date", dt.date(2025, 11, 16), "16 ноября 2025", "16 November 2025"),
        ("week", dt.date(2026, 11, 9), "9–15 ноября", "9–15 November"),
        ("week", dt.date(2026, 9, 28), "28 сентября – 4 октября", "28 September – 4 October"),
        ("week", dt.date(2025, 12, 29), "29 декабря 2025 – 4 января",
         "29 December 2025 – 4 January"),
        ("month", dt.date(2026, 11, 1), "ноябрь 2026", "November 2026"),
        ("datetime", dt.datetime.fromisoformat("2026-11-21T20:40:00"), "21 ноября, 23:40",
         "21 November, 23:40"),
        ("text", "<b>", "<b>", "<b>"),
    ],
)  # fmt: skip
def test_value_is_written_in_both_languages(kind: Format, value: Any, ru: str, en: str) -> None:
    assert plain(RU.value(value, kind)) == ru
    assert plain(EN.value(value, kind)) == en


def test_thousands_and_the_sign_of_money_never_break_apart() -> None:
    assert RU.money(1234567) == f"1{NARROW}234{NARROW}567{NARROW}₽"
    assert RU.ratio(0.5).endswith(f"{NARROW}%")


@pytest.mark.parametrize("kind", ["money", "integer", "ratio", "date", "text", "unit"])
def test_what_is_unknown_is_a_dash(kind: Format) -> None:
    assert RU.value(None, kind) == ABSENT
    assert EN.value(float("nan"), kind) == ABSENT


def test_large_sums_are_shortened_where_asked() -> None:
    assert plain(RU.money(12_345_678, compact=True)) == "12,3 млн ₽"
    assert plain(EN.money(-2_500_000_000, compact=True)) == "-2.5B ₽"
    assert plain(RU.money(9_999_999, compact=True)) == "9 999 999 ₽"


def test_dollars_stand_before_the_number_in_english() -> None:
    dollars = Writer("en", "USD")
    assert plain(dollars.money(-1200)) == "-$1 200"
    assert plain(dollars.in_("ru").money(1200)) == "1 200 $"


def test_sum_without_a_known_currency_has_no_sign() -> None:
    assert plain(Writer("ru").money(1200)) == "1 200"


@pytest.mark.parametrize(
    ("count", "word"),
    [(1, "сделка"), (2, "сделки"), (5, "сделок"), (11, "сделок"), (21, "сделка"), (104, "сделки"),
     (112, "сделок"), (0, "сделок")],
)  # fmt: skip
def test_russian_nouns_follow_their_number(count: int, word: str) -> None:
    assert RU.plural(count, "сделка", "сделки", "сделок") == word


def test_changes_are_said_as_a_person_would() -> None:
    assert plain(RU.change_by(0.123)) == "на 12 %"
    assert plain(RU.change_by(-0.043)) == "на 4,3 %"
    assert plain(RU.change_by(2.5)) == "в 3,5 раза"
    assert plain(RU.change_by(4)) == "в 5 раз"
    assert EN.change_by(2.5) == "250%"


def test_moment_in_utc_says_so() -> None:
    moment = dt.datetime.fromisoformat("2026-11-21T20:40:00")
    assert plain(Writer("en", year=2026).moment(moment)) == "21 November, 20:40 UTC"


def test_period_and_unit_take_their_kind_from_the_row() -> None:
    day = dt.date(2026, 11, 1)
    assert plain(RU.value(day, "period", beside="month")) == "ноябрь 2026"
    assert plain(RU.value(0.25, "unit", beside="ratio")) == "25,0 %"
    assert plain(RU.value(30, "unit", beside="hours")) == "1,3 дня"
    assert plain(RU.value(12, "unit", beside="count")) == "12"


def test_short_words_and_dashes_are_tied_to_their_neighbours() -> None:
    assert tied("9–15 ноября") == "9\u2060–\u206015 ноября"
    assert tied("продали на 5 — мало") == f"продали на{NO_BREAK}5{NO_BREAK}— мало"
