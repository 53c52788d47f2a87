"""What a dashboard file says for Metabase; every slip is named with line, key and way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.lib.cards import CardError, read_dashboard, read_dashboards
from tests.unit.metabase.files import DEALS, both, card, column

COLUMNS = {"deal_name": column("Deal", link="deal_url"), "channel": column("Channel")}


def deals(key: str = "list", **more: Any) -> Any:
    return card(key, "table", DEALS, COLUMNS, filters={"channel": "dim_deals.channel"}, **more)


def content(*cards: Any, name: str = "small", **more: Any) -> dict[str, Any]:
    placed = [{**one, "layout": {**one["layout"], "row": 10 * at}} for at, one in enumerate(cards)]
    return {
        "name": name,
        "order": 1,
        "title": both("Small"),
        "description": both("One."),
        "owner": {"name": both("analyst")},
        "exposure": f"{name}_dashboard",
        "methodology": both("Counted."),
        "filters": {"channel": {"label": both("Channel")}},
        "tabs": [{"key": "first", "title": both("First"), "cards": placed}],
        **more,
    }


def write(folder: Path, dashboard: dict[str, Any]) -> Path:
    path = folder / f"{dashboard['name']}.yaml"
    path.write_text(yaml.safe_dump(dashboard, allow_unicode=True, sort_keys=False), "utf-8")
    return path


def refused(folder: Path, dashboard: dict[str, Any]) -> str:
    with pytest.raises(CardError) as caught:
        read_dashboard(write(folder, dashboard))
    said = str(caught.value)
    assert said.startswith("small.yaml:")
    assert not said.startswith("small.yaml:1: tabs")
    return said


def test_headings_and_notes_stand_between_cards(tmp_path: Path) -> None:
    box = {"column": 0, "row": 0, "width": 24, "height": 1}
    heading = {"key": "head", "display": "heading", "title": both("Leaks"), "layout": box}
    note = {
        "key": "note", "display": "note", "title": both("Note"), "layout": box,
        "text": both("Read this."),
    }  # fmt: skip
    file = read_dashboard(write(tmp_path, content(heading, note, deals())))
    (tab,) = file.dashboard.tabs
    assert [one.key for one in tab.pieces] == ["head", "note", "list"]
    assert [one.key for one in tab.cards] == ["list"]
    assert [one.key for one in file.dashboard.cards()] == ["list"]


def test_heading_with_sql_is_refused_with_what_it_may_have(tmp_path: Path) -> None:
    heading = {
        "key": "head", "display": "heading", "title": both("Leaks"), "sql": "select 1",
        "layout": {"column": 0, "row": 0, "width": 24, "height": 1},
    }  # fmt: skip
    said = refused(tmp_path, content(heading, deals()))
    assert 'tabs[0].cards[0].sql: unknown key "sql"; allowed: key, title, layout, tier' in said


def test_note_lies_on_the_grid_like_a_card(tmp_path: Path) -> None:
    note = {
        "key": "note", "display": "note", "title": both("Note"), "text": both("Read this."),
        "layout": {"column": 0, "row": 0, "width": 24, "height": 30},
    }  # fmt: skip
    assert 'list.layout: lies over card "note"' in refused(tmp_path, content(note, deals()))


def test_text_of_a_note_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    note = {
        "key": "note", "display": "note", "title": both("Note"), "text": {"en": "Read {{this}}"},
        "layout": {"column": 0, "row": 0, "width": 24, "height": 2},
    }  # fmt: skip
    said = refused(tmp_path, content(note, deals()))
    assert 'tabs[0].cards[0].text.en: "{{" is for filters in sql' in said
    assert 'tabs[0].cards[0].text.ru: "ru" is missing' in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"opens": "small/list", "link": "deal_url"}, '"opens" and "link" cannot both'),
        ({"passes": {"channel": "channel"}}, '"passes" needs "opens"'),
        ({"opens": "small"}, "does not have the form"),
    ],
)
def test_column_answers_a_tap_in_one_way(tmp_path: Path, more: Any, said: str) -> None:
    columns = {"channel": column("Channel", **more)}
    one = card("list", "table", DEALS, columns, filters={"channel": "dim_deals.channel"})
    assert said in refused(tmp_path, content(one))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"opens": "deals/lost"}, 'columns.channel.opens: there is no card "deals/lost"'),
        ({"opens": "small/list", "passes": {"stage": "channel"}},
         'passes: card "small/list" takes no filter "stage"; allowed: channel'),
    ],
)  # fmt: skip
def test_tap_that_leads_nowhere_is_named(tmp_path: Path, more: Any, said: str) -> None:
    columns = {"channel": column("Channel", **more)}
    one = card("top", "table", DEALS, columns, filters={"channel": "dim_deals.channel"})
    write(tmp_path, content(one, deals()))
    with pytest.raises(CardError, match=r"small\.yaml") as caught:
        read_dashboards(tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "dates"}, "'dates' is not allowed; allowed: 'category', 'week', 'month' or"),
        ({"kind": "date", "default": "lastyear"}, "a range such as past12months~"),
        ({"kind": "month", "default": "2026"}, "a day such as 2026-01-01, not '2026'"),
        ({"multi": True}, 'unknown key "multi"; allowed: label, kind, default'),
    ],
)
def test_filter_names_what_it_may_be(tmp_path: Path, given: Any, said: str) -> None:
    filters = {"channel": {"label": both("Channel"), **given}}
    assert said in refused(tmp_path, content(deals(), filters=filters))


@pytest.mark.parametrize("default", ["past12months~", "thisyear", "2026-01-01~2026-03-31", None])
def test_range_of_days_is_a_filter_the_page_passes_over(
    tmp_path: Path, default: str | None
) -> None:
    kind = {"label": both("Created"), "kind": "date"} | ({"default": default} if default else {})
    sql = DEALS.replace("{{channel}}", "{{created}}")
    one = card("list", "table", sql, COLUMNS, filters={"created": "dim_deals.created_at"})
    file = read_dashboard(write(tmp_path, content(one, filters={"created": kind})))
    assert not file.dashboard.filters["created"].is_offered_by_page


def test_filter_that_no_card_takes_is_named(tmp_path: Path) -> None:
    filters = {"channel": {"label": both("Channel")}, "rep": {"label": both("Rep")}}
    said = refused(tmp_path, content(deals(), filters=filters))
    assert 'filters.rep: no card binds it in "filters"' in said


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"display": "pies"}, "'pies' is not allowed; allowed: 'table', 'bar'"),
        ({"settings": {"graph.metric": []}}, 'no setting "graph.metric" (nearest: graph.metrics)'),
        ({"colour": "red"}, 'unknown key "colour"; allowed: display, settings'),
    ],
)  # fmt: skip
def test_override_names_what_metabase_has(tmp_path: Path, over: Any, said: str) -> None:
    assert said in refused(tmp_path, content(deals(metabase=over)))


@pytest.mark.parametrize("words", ["{{channel}}", "a }} b", "bell \a"])
def test_words_that_metabase_would_fill_in_are_refused(tmp_path: Path, words: str) -> None:
    said = refused(tmp_path, content(deals(), title={"en": words, "ru": words}))
    assert "title.en: " in said


def test_title_longer_than_a_name_may_be_is_refused(tmp_path: Path) -> None:
    title = {"en": "Deals", "ru": "Сделки " * 40}
    assert "list.title: 279 signs; Metabase holds 254" in refused(
        tmp_path, content(deals(title=title))
    )


def test_semicolon_at_the_end_is_refused(tmp_path: Path) -> None:
    one = deals()
    one["sql"] = "select deal_name, deal_url, channel from marts.dim_deals where {{channel}};"
    assert "list.sql: ends with a semicolon" in refused(tmp_path, content(one))


def test_two_tabs_of_one_key_are_named(tmp_path: Path) -> None:
    dashboard = content(deals())
    twin = content(deals("twin"))["tabs"][0]
    assert "tabs[1].key: this key stands twice" in refused(
        tmp_path, {**dashboard, "tabs": [*dashboard["tabs"], twin]}
    )
