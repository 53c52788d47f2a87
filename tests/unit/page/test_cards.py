"""Card files: the shipped ones hold; every mistake is named with file, key and what is allowed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ingest.sources import SOURCES
from orchestration.lib.cards import (
    CardError,
    bound_sql,
    check_dashboards,
    open_serve_file,
    read_dashboard,
    read_dashboards,
    read_vocabulary,
    sql_findings,
)
from orchestration.lib.page import DASHBOARDS

CARD = """
name: small
order: 1
title: {en: Small, ru: Малая}
description: {en: One card., ru: Одна карточка.}
owner: {name: {en: analyst, ru: аналитик}}
exposure: small_dashboard
methodology: {en: Counted., ru: Посчитано.}
filters:
  channel: {label: {en: Channel, ru: Канал}}
tabs:
  - key: first
    title: {en: First, ru: Первая}
    cards:
      - key: reasons
        title: {en: Reasons, ru: Причины}
        description: {en: Losses by reason., ru: Отказы по причинам.}
        display: row
        layout: {column: 0, row: 0, width: 12, height: 6}
        filters: {channel: rpt_rejection_matrix.channel}
        dimension: reason
        metrics: [rejection_count]
        empty: {en: None., ru: Нет.}
        sql: |
          select reason, sum(rejection_count) as rejection_count
          from marts.rpt_rejection_matrix
          where true [[and {{channel}}]]
          group by reason
        columns:
          reason: {label: {en: Reason, ru: Причина}}
          rejection_count: {label: {en: Losses, ru: Отказов}, format: integer}
"""


def write(folder: Path, text: str = CARD, name: str = "small") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def findings(folder: Path, old: str, new: str) -> str:
    assert old in CARD
    with pytest.raises(CardError) as caught:
        read_dashboard(write(folder, CARD.replace(old, new)))
    return str(caught.value)


def test_shipped_dashboards_hold_against_the_contracts(
    companies: Callable[[str], Path],
) -> None:
    files = check_dashboards(DASHBOARDS, companies("empty"))
    assert [file.dashboard.name for file in files] == [
        "owner", "funnel", "speed", "hand_over", "rejections", "channels", "leaks", "sales_reps",
        "invoices", "data_trust",
    ]  # fmt: skip


def test_small_dashboard_is_read(tmp_path: Path) -> None:
    file = read_dashboard(write(tmp_path))
    assert [card.key for card in file.dashboard.cards()] == ["reasons"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("display: row", "display: raw", "small.yaml:15: tabs[0].cards[0]: display 'raw' is not"),
        ("display: row", "display: raw", "number, headline, progress, text, table, bar, line"),
        ("format: integer", "format: int", "columns.rejection_count.format: 'int' is not allowed"),
        ("format: integer", "format: int", "'ratio'"),
        ("metrics: [", "metrix: [", 'unknown key "metrix"; allowed: key, title'),
        ("metrics: [", "metrix: [", '"metrics" is missing'),
        ("width: 12", "width: 25", "layout.width"),
        ("column: 0", "column: 20", "ends at column 32 of 24"),
        ("{en: Reason, ru: Причина}", "{en: Reason}", 'columns.reason.label.ru: "ru" is missing'),
        ("dimension: reason", "dimension: cause", 'dimension names "cause"'),
        ("{channel: rpt_rejection_matrix.channel}", "{month: rpt_rejection_matrix.month_date}",
         'filter "month" is not declared: channel'),
        ("where true [[and {{channel}}]]", "where {{channel}}", "has no default"),
        ("where true [[and {{channel}}]]", "", "{{channel}} does not stand in its sql"),
        ("name: small", "name: large", '"large" is not the file name'),
        ("key: reasons", "key: Reasons!", "does not have the form"),
        ("order: 1", "order: 1\norder: 2", '"order" is given twice'),
        ("order: 1", "order: [1", "small.yaml:"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_file_key_and_allowed_values(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    message = findings(tmp_path, old, new)
    assert said in message
    assert message.startswith("small.yaml:")


def test_overlapping_cards_are_named(tmp_path: Path) -> None:
    start = CARD.index("      - key: reasons")
    twin = CARD[start:].replace("key: reasons", "key: twin")
    with pytest.raises(CardError, match=r'twin\.layout: lies over card "reasons"'):
        read_dashboard(write(tmp_path, CARD + twin))


def test_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    write(tmp_path, CARD.replace("display: row", "display: raw"))
    write(tmp_path, CARD.replace("order: 1", "order: first"), "other")
    with pytest.raises(CardError) as caught:
        read_dashboards(tmp_path)
    assert "small.yaml" in str(caught.value)
    assert "other.yaml" in str(caught.value)


def test_folder_without_dashboards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no dashboard files"):
        read_dashboards(tmp_path)


def test_unknown_shared_words_are_named(tmp_path: Path) -> None:
    shutil.copy(DASHBOARDS / "vocabulary.yaml", tmp_path)
    text = CARD.replace("ru: Причина}}", "ru: Причина}, values: reasns}")
    with pytest.raises(CardError, match=r'no words "reasns" in vocabulary.yaml; allowed: metric'):
        read_dashboard(write(tmp_path, text))


def test_every_source_has_a_name_that_people_read() -> None:
    assert set(SOURCES) <= set(read_vocabulary(DASHBOARDS).words["system"])


def test_link_to_a_card_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = CARD.replace("dimension: reason", "dimension: reason\n        opens: deals/list")
    write(tmp_path, text)
    with pytest.raises(CardError, match='there is no card "deals/list"'):
        read_dashboards(tmp_path)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 from raw_amocrm.leads", "reads raw_amocrm.leads; only marts.*"),
        ("select 1 from leads", "reads leads; only marts.*"),
        ("select 1 from other.marts.dim_deals", "only marts.*"),
        ("select * from read_csv('/etc/passwd')", "reads read_csv(...)"),
        ("select * from '/etc/passwd'", "only marts.*"),
        ("select 1 from marts.dim_deals where 1 in (select 1 from staging.x)", "staging.x"),
        ("select 1; select 2", "one select is allowed, not 2"),
        ("delete from marts.dim_deals", "only one select is allowed"),
        ("drop table marts.dim_deals", "only one select is allowed"),
        ("select from where", "does not parse"),
        ("select case when true then 1 end from marts.dim_deals", "has a case"),
        ("select now() from marts.dim_deals", "the file has its own clock"),
        ("select current_date from marts.dim_deals", "the file has its own clock"),
        ("select 1 from marts.fct_payments a join marts.fct_invoices b using (invoice_key)",
         "joins fct_invoices and fct_payments"),
    ],
)  # fmt: skip
def test_sql_may_only_select_from_marts(tmp_path: Path, sql: str, said: str) -> None:
    card = next(read_dashboard(write(tmp_path)).dashboard.cards())
    found = sql_findings(card.model_copy(update={"sql": sql}))
    assert any(said in one for one in found), found


def test_with_names_and_dimension_joins_are_allowed(tmp_path: Path) -> None:
    card = next(read_dashboard(write(tmp_path)).dashboard.cards())
    sql = (
        "with losses as (select * from marts.fct_deal_rejections) "
        "select 1 from losses join marts.dim_deals using (deal_key)"
    )
    assert sql_findings(card.model_copy(update={"sql": sql})) == []


def test_chosen_filter_becomes_a_condition_and_quotes_stay_text(tmp_path: Path) -> None:
    card = next(read_dashboard(write(tmp_path)).dashboard.cards())
    assert "and" not in bound_sql(card, {}).split("where true")[1].split("group")[0]
    sql = bound_sql(card, {"channel": "o'hara'; drop table x; --"})
    assert "= 'o''hara''; drop table x; --'" in sql
    assert sql_findings(card.model_copy(update={"sql": sql, "filters": {}})) == []


def test_column_that_the_file_does_not_have_is_named(
    tmp_path: Path, companies: Callable[[str], Path]
) -> None:
    write(tmp_path, CARD.replace("select reason,", "select reasn as reason,"))
    with pytest.raises(CardError, match=r"small.yaml:24: reasons.sql: .*reasn"):
        check_dashboards(tmp_path, companies("empty"))


def test_column_that_the_sql_does_not_give_is_named(
    tmp_path: Path, companies: Callable[[str], Path]
) -> None:
    text = CARD.replace("          rejection_count: {label", "          spare: {label")
    text = text.replace("metrics: [rejection_count]", "metrics: [spare]")
    write(tmp_path, text)
    with pytest.raises(CardError, match='gives no column "spare"'):
        check_dashboards(tmp_path, companies("empty"))


def test_format_that_does_not_fit_the_type_is_named(
    tmp_path: Path, companies: Callable[[str], Path]
) -> None:
    write(tmp_path, CARD.replace("ru: Причина}}", "ru: Причина}, format: money}"))
    with pytest.raises(CardError, match='"reason" has format money and type VARCHAR'):
        check_dashboards(tmp_path, companies("empty"))


def test_published_file_is_opened_for_reading_alone(
    tmp_path: Path, companies: Callable[[str], Path]
) -> None:
    connection = open_serve_file(companies("empty"))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.Error):
        connection.execute(f"select * from read_csv('{tmp_path / 'secret.csv'}')")
    with pytest.raises(duckdb.Error):
        connection.execute("create table marts.x (a int)")
    connection.close()
