"""The SQL around a card's own: it runs, returns what settings name, in the card's order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from orchestration.lib.cards import DashboardFile, Format, bound_sql
from orchestration.lib.cards.parts import (
    Column,
)
from orchestration.lib.metabase.displays import shown
from orchestration.lib.metabase.formats import (
    Company,
    expression,
    formats_sql,
    text_literal,
    value_sql,
    words_sql,
)
from orchestration.lib.metabase.rendering import desired_state
from orchestration.lib.page_formats import Writer
from tests.unit.metabase.files import COMPANY, both
from tests.unit.metabase.running import sent

Published = Callable[[str], duckdb.DuckDBPyConnection]


def value(sql: str) -> Any:
    row = duckdb.sql(f"select {sql}").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(("company", "locale"), [("full", "ru"), ("full", "en"), ("empty", "ru")])
def test_every_card_of_every_dashboard_runs_and_returns_its_columns(
    shipped: list[DashboardFile],
    marts_manifest: dict[str, Any],
    published: Published,
    company: str,
    locale: str,
) -> None:
    state = desired_state(shipped, marts_manifest, locale, company=COMPANY)
    connection = published(company)
    for card in state.cards:
        cursor = connection.execute(sent(card))
        assert tuple(one[0] for one in cursor.description or []) == card.columns, card.key
        rows = cursor.fetchall()
        if company == "full" and not card.may_be_empty:
            assert rows, card.key


def test_rows_come_in_the_order_of_the_card(
    shipped: list[DashboardFile], published: Published
) -> None:
    connection = published("full")
    compared = 0
    for file in shipped:
        for card in file.dashboard.cards():
            got = shown(COMPANY, card)
            plain = [one for one in got.outputs if one.sql == f'answer."{one.name}"']
            if not plain or "\n) as answer\n" in got.sql:
                continue
            inner = columns_of(connection, bound_sql(card, {}))
            around = card.model_copy(update={"sql": got.sql})
            outer = columns_of(connection, bound_sql(around, {}))
            for output in plain:
                assert outer[output.name] == inner[output.name], f"{card.key}.{output.name}"
                compared += len(inner[output.name]) > 1
    assert compared > 20


def columns_of(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, list[Any]]:
    cursor = connection.execute(sql)
    names = [str(one[0]) for one in cursor.description or []]
    rows = cursor.fetchall()
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


@pytest.mark.parametrize(
    ("kind", "number", "ru", "en"),
    [
        ("integer", "1234567", "1 234 567", "1,234,567"),
        ("integer", "-1234567", "-1 234 567", "-1,234,567"),
        ("integer", "-123", "-123", "-123"),
        ("integer", "-123456", "-123 456", "-123,456"),
        ("integer", "123456", "123 456", "123,456"),
        ("integer", "0", "0", "0"),
        ("decimal", "1234.56", "1 234,6", "1,234.6"),
        ("money", "1234567.5::decimal(18, 2)", "1 234 568 ₽", "1,234,568 ₽"),
        ("ratio", "0.0365::double", "3,7 %", "3.7%"),
        ("days", "12", "12,0 дн.", "12.0 d"),
        ("duration", "5400", "1,5 ч", "1.5 h"),
        ("integer", "null::bigint", None, None),
    ],
)
def test_number_is_written_as_text(
    kind: Format, number: str, ru: str | None, en: str | None
) -> None:
    for locale, wanted in (("ru", ru), ("en", en)):
        company = Company("ru" if locale == "ru" else "en", "RUB")
        written = value(value_sql(company, number, kind))
        assert (written.replace("\u00a0", " ") if written else written) == wanted


@pytest.mark.parametrize(
    ("number", "en", "ru"),
    [
        ("-1234567.89", "-$1,234,568", "-1 234 568 $"),
        ("1234.5", "$1,235", "1 235 $"),
        ("-0.2", "$0", "0 $"),
    ],
)
def test_minus_stands_before_the_sign(number: str, en: str, ru: str) -> None:
    assert value(value_sql(Company("en", "USD"), number, "money")) == en
    assert value(value_sql(Company("ru", "USD"), number, "money")).replace("\u00a0", " ") == ru


def test_format_follows_the_code_of_the_row() -> None:
    sql = formats_sql(COMPANY, "amount", "code", {"sold": "money", "came": "integer"}, "decimal")
    query = f"select {sql} from (values ('sold', 1500), ('came', 12), ('x', 1.25)) t (code, amount)"
    rows = duckdb.sql(query).fetchall()
    written = [row[0].replace("\u00a0", " ") for row in rows]
    assert written == ["1 500 ₽", "12", "1,3"]


def test_column_with_a_unit_beside_it_is_written_by_unit() -> None:
    column = Column.model_validate({"label": both("Value"), "format": "unit"})
    sql = expression(COMPANY, column, "value")
    rows = duckdb.sql(
        f"select {sql} from (values ('ratio', 0.042), ('hours', 30.5), ('amount', 1200.0),"
        " ('count', 7.0), ('count', null)) answer (unit, value)"
    ).fetchall()
    assert [row[0] and row[0].replace("\u00a0", " ") for row in rows] == [
        "4,2 %", "30,5 ч", "1 200 ₽", "7", None,
    ]  # fmt: skip


def test_code_becomes_its_word_others_stay_and_null_has_a_word_of_its_own() -> None:
    sql = words_sql("code", {"a": "Первый", "null": "Нет", "same": "same"})
    rows = duckdb.sql(f"select {sql} from (values ('a'), ('b'), (null)) t (code)").fetchall()
    assert rows == [("Первый",), ("b",), ("Нет",)]
    assert duckdb.sql(
        f"select {words_sql('code', {'true': 'да'})} from (values (true), (false)) t (code)"
    ).fetchall() == [("да",), ("false",)]


def test_moment_is_shown_by_the_clock_of_the_company() -> None:
    column = Column.model_validate({"label": both("At"), "format": "datetime"})
    row = duckdb.sql(
        f"select {expression(COMPANY, column, 'closed_at')} from"
        " (values (timestamp '2026-11-16 22:30:00')) answer (closed_at)"
    ).fetchone()
    assert row == (dt.datetime.fromisoformat("2026-11-17T01:30:00"),)


@pytest.mark.parametrize(
    ("zone", "day"), [("Europe/Moscow", 17), ("America/New_York", 16), ("UTC", 16)]
)
@pytest.mark.parametrize("kind", ["date", "week"])
def test_day_of_a_moment_is_the_day_of_the_page(zone: str, day: int, kind: Format) -> None:
    column = Column.model_validate({"label": both("Won on"), "format": kind})
    sql = expression(Company("en", "RUB", zone), column, "closed_at")
    moment = dt.datetime(2026, 11, 16, 23, 30, tzinfo=dt.UTC)
    answer = "(values (timestamp '2026-11-16 23:30:00')) answer (closed_at)"
    row = duckdb.sql(f"select {sql} from {answer}").fetchone()
    # A day, not its midnight: Metabase shows the clock of every moment.
    assert row == (dt.date(2026, 11, day),)
    page = Writer("en", zone=ZoneInfo(zone))
    assert page.value(row[0], kind) == page.value(moment, kind)


def test_day_needs_no_clock() -> None:
    column = Column.model_validate({"label": both("Since"), "format": "date"})
    assert expression(COMPANY, column, "since_date") == 'answer."since_date"'


def test_language_picks_the_column_of_a_text_in_two() -> None:
    column = Column.model_validate({"label": both("Text"), "source": {"en": "t_en", "ru": "t_ru"}})
    assert expression(Company("en"), column, "t") == 'answer."t_en"'
    assert expression(Company("ru"), column, "t") == 'answer."t_ru"'


def test_keys_of_phones_and_mail_in_names_are_hidden() -> None:
    column = Column.model_validate({"label": both("Deal")})
    name = f"Иван ph_{'0a' * 16}:p:main, em_{'1b' * 16}"
    row = duckdb.sql(
        f"select {expression(COMPANY, column, 'deal_name')} from"
        f" (values ('{name}')) answer (deal_name)"
    ).fetchone()
    assert row == ("Иван [телефон скрыт], [почта скрыта]",)


@pytest.mark.parametrize(
    "word",
    [
        "O'Hara", "'); drop table marts.dim_deals; --", "{{channel}}", "[[and 1 = 1]]", "[[[x]]]",
        "}}{{", "back\\slash", "<b>bold</b>", "line\nbreak", "%s ? :name $1", "{{{x}}}",
    ],
)  # fmt: skip
def test_any_word_is_text_to_sql_and_no_filter_to_metabase(word: str) -> None:
    literal = text_literal(word)
    assert value(literal) == word
    for mark in ("{{", "}}", "[[", "]]"):
        assert mark not in literal
