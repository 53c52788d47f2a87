"""Dashboards, tabs, places, filters and taps, as Metabase is to hold them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.lib.cards import CardError, DashboardFile
from orchestration.lib.metabase.desired import DesiredDashboard, DesiredDashcard, DesiredState
from orchestration.lib.metabase.published import published_values
from orchestration.lib.metabase.rendering import (
    FRESHNESS_KEY,
    FRESHNESS_PLACE,
    METHOD_PLACE,
    columns_in_settings,
    desired_state,
)
from tests.unit.metabase.files import COMPANY, DEALS, PANEL, REASONS, both, card, column, file_of

CHANNEL = {"channel": {"label": both("Channel"), "values": {"vk": both("VK")}}}
COLUMNS = {
    "deal_name": column("Deal", link="deal_url"),
    "deal_amount": column("Sum", "money"),
}
BY_REASON = {
    "reason_category": column("Reason", values={"price": both("Dear")}),
    "rejection_count": column("Deals", "integer"),
}


def deals(**more: Any) -> Any:
    return card("list", "table", DEALS, COLUMNS, filters={"channel": "dim_deals.channel"}, **more)


def state(*files: DashboardFile, manifest: dict[str, Any]) -> DesiredState:
    return desired_state(files, manifest, "ru", company=COMPANY)


def board(got: DesiredState, name: str = "small") -> DesiredDashboard:
    return next(one for one in got.dashboards if one.key == name)


def place(got: DesiredState, key: str, name: str = "small") -> DesiredDashcard:
    return next(one for one in board(got, name).dashcards if one.key == key)


def test_shipped_dashboards_lie_on_the_grid_without_overlaps(
    shipped: list[DashboardFile], marts_manifest: dict[str, Any]
) -> None:
    got = state(*shipped, manifest=marts_manifest)
    for one in got.dashboards:
        keys = [dashcard.key for dashcard in one.dashcards]
        assert len(set(keys)) == len(keys)
        for dashcard in one.dashcards:
            assert 0 <= dashcard.column < dashcard.column + dashcard.width <= 24
            assert (dashcard.tab_key is None) == (not one.tabs)
        for left, right in itertools.combinations(one.dashcards, 2):
            if left.tab_key == right.tab_key:
                apart = (
                    left.column + left.width <= right.column
                    or right.column + right.width <= left.column
                    or left.row + left.height <= right.row
                    or right.row + right.height <= left.row
                )
                assert apart, f"{one.key}: {left.key} over {right.key}"


def test_shipped_settings_name_only_columns_the_card_returns(
    shipped: list[DashboardFile], marts_manifest: dict[str, Any]
) -> None:
    got = state(*shipped, manifest=marts_manifest)
    cards = {one.key: one for one in got.cards}
    assert len(cards) == len(got.cards)
    for one in got.cards:
        assert columns_in_settings(one.settings) <= set(one.columns), one.key
    for dashcard in (each for one in got.dashboards for each in one.dashcards):
        if dashcard.card_key:
            assert columns_in_settings(dashcard.settings) <= set(cards[dashcard.card_key].columns)


def test_every_filter_is_mapped_wherever_a_card_takes_it(
    shipped: list[DashboardFile], marts_manifest: dict[str, Any]
) -> None:
    got = state(*shipped, manifest=marts_manifest)
    cards = {one.key: one for one in got.cards}
    for one in got.dashboards:
        parameters = {parameter.id: parameter for parameter in one.parameters}
        assert len(parameters) == len(one.parameters)
        mapped = set()
        for dashcard in one.dashcards:
            tags = {tag.name for tag in cards[dashcard.card_key].tags} if dashcard.card_key else ()
            assert {name for _, name in dashcard.mappings} == set(tags)
            for parameter_id, name in dashcard.mappings:
                assert parameters[parameter_id].slug == name
                mapped.add(parameter_id)
        assert mapped == set(parameters)


def test_dashboard_opens_with_its_method_and_the_freshness(marts_manifest: dict[str, Any]) -> None:
    got = state(file_of([deals()], filters=CHANNEL), manifest=marts_manifest)
    method, freshness, first = board(got).dashcards
    assert (method.key, freshness.key, first.key) == (METHOD_PLACE, FRESHNESS_PLACE, "list")
    assert "Counted by hand" in method.settings["text"]
    assert "analyst" in method.settings["text"]
    assert method.settings["virtual_card"]["display"] == "text"
    assert freshness.card_key == FRESHNESS_KEY
    assert (method.column, freshness.column, freshness.width) == (0, 18, 6)
    assert first.row == method.height
    assert got.card(FRESHNESS_KEY).may_be_empty is False


def test_one_tab_is_none_and_several_keep_their_order(marts_manifest: dict[str, Any]) -> None:
    def tab(key: str) -> Any:
        one = card(key, "table", REASONS, BY_REASON)
        return {"key": f"tab_{key}", "title": both(key), "cards": [one]}

    got = state(file_of([], tabs=[tab("one"), tab("two")]), manifest=marts_manifest)
    assert [one.key for one in board(got).tabs] == ["tab_one", "tab_two"]
    assert place(got, "two").tab_key == "tab_two"
    # Method and freshness stand on the first tab alone.
    assert place(got, "two").row == 0
    assert place(got, METHOD_PLACE).tab_key == "tab_one"


def test_low_card_grows_to_what_its_display_needs_and_pushes_what_is_below(
    marts_manifest: dict[str, Any],
) -> None:
    low = card("low", "table", REASONS, BY_REASON)
    low["layout"] = {"column": 0, "row": 0, "width": 12, "height": 1}
    beside = {**card("beside", "table", REASONS, BY_REASON)}
    beside["layout"] = {"column": 12, "row": 0, "width": 12, "height": 6}
    below = card("below", "table", REASONS, BY_REASON)
    below["layout"] = {"column": 0, "row": 1, "width": 12, "height": 5}
    tabs = [{"key": "first", "title": both("First"), "cards": [low, beside, below]}]
    got = state(file_of([], tabs=tabs), manifest=marts_manifest)
    top = place(got, METHOD_PLACE).height
    assert (place(got, "low").row, place(got, "low").height) == (top, 4)
    assert place(got, "below").row == top + 4
    assert place(got, "beside").row == top


def test_filter_becomes_a_tag_by_name_and_one_parameter(marts_manifest: dict[str, Any]) -> None:
    got = state(file_of([deals()], filters=CHANNEL), manifest=marts_manifest)
    (tag,) = got.card("small/list").tags
    assert (tag.field.schema, tag.field.table, tag.field.column) == (
        "marts", "dim_deals", "channel",
    )  # fmt: skip
    assert (tag.name, tag.widget_type, tag.default, tag.is_required) == (
        "channel", "string/=", None, False,
    )  # fmt: skip
    (parameter,) = board(got).parameters
    assert (parameter.id, parameter.slug, parameter.type) == (
        "small-channel",
        "channel",
        "string/=",
    )
    assert parameter.is_multi_select
    assert place(got, "list").mappings == (("small-channel", "channel"),)


def test_filter_with_a_default_always_holds_one_value_of_its_closed_set(
    marts_manifest: dict[str, Any],
) -> None:
    columns = {"value": column("Value", "decimal")}
    panel = card(
        "panel", "table", PANEL, columns, filters={"period": "rpt_owner_panel.period_type"}
    )
    words = {"week": both("Week"), "month": both("Month")}
    filters = {"period": {"label": both("Period"), "default": "week", "values": words}}
    got = state(file_of([panel], filters=filters), manifest=marts_manifest)
    (parameter,) = board(got).parameters
    assert parameter.default == ["week"]
    assert parameter.is_required
    assert not parameter.is_multi_select
    assert parameter.values == (("week", "Week (ру)"), ("month", "Month (ру)"))
    (tag,) = got.card("small/panel").tags
    assert (tag.default, tag.is_required) == (["week"], True)


def test_filter_offers_the_values_in_the_data_by_their_words(
    marts_manifest: dict[str, Any], serve_file: Callable[[str], Path]
) -> None:
    words = {"x": both("Nobody has it"), "vk_ads": both("VK ads")}
    filters = {"channel": {"label": both("Channel"), "values": words}}
    sql = REASONS + "\nwhere true [[and {{channel}}]]"
    one = card("why", "table", sql, BY_REASON, filters={"channel": "rpt_rejection_matrix.channel"})
    file = file_of([one], filters=filters)
    values = published_values(serve_file("full"), [file])
    got = desired_state([file], marts_manifest, "ru", company=COMPANY, values=values)
    (parameter,) = board(got).parameters
    assert parameter.values[0] == ("vk_ads", "VK ads (ру)")
    assert ("organic", "organic") in parameter.values
    assert "x" not in dict(parameter.values)
    # Without the data nobody knows them all, and Metabase lists the column.
    (parameter,) = board(state(file, manifest=marts_manifest)).parameters
    assert parameter.values == ()


def test_range_of_days_takes_every_kind_of_range(marts_manifest: dict[str, Any]) -> None:
    sql = DEALS.replace("{{channel}}", "{{created}}")
    one = card("list", "table", sql, COLUMNS, filters={"created": "dim_deals.created_at"})
    filters = {"created": {"label": both("Created"), "kind": "date", "default": "past12months~"}}
    got = state(file_of([one], filters=filters), manifest=marts_manifest)
    (parameter,) = board(got).parameters
    assert (parameter.type, parameter.default) == ("date/all-options", "past12months~")


def test_tap_on_a_value_opens_the_list_with_the_code_not_the_word(
    marts_manifest: dict[str, Any],
) -> None:
    columns = {
        "channel": column("Channel", values={"vk": both("VK")}),
        "deal_amount": column("Sum", "money", opens="deals/list", passes={"channel": "channel"}),
    }
    source = card("top", "table", DEALS, columns, filters={"channel": "dim_deals.channel"})
    got = state(
        file_of([source], filters=CHANNEL),
        file_of([deals()], name="deals", filters=CHANNEL),
        manifest=marts_manifest,
    )
    assert got.card("small/top").columns == ("channel", "deal_amount", "channel_in_data")
    settings = place(got, "top").settings["column_settings"]
    assert list(settings) == ['["name","deal_amount"]']
    # What stands here covers the card's own settings of the column, so it repeats them.
    assert settings['["name","deal_amount"]']["suffix"] == "\u00a0₽"
    assert settings['["name","deal_amount"]']["click_behavior"] == {
        "type": "link",
        "linkType": "dashboard",
        "targetId": {"$dashboard": "deals"},
        "parameterMapping": {
            "deals-channel": {
                "id": "deals-channel",
                "source": {"type": "column", "id": "channel_in_data", "name": "channel_in_data"},
                "target": {"type": "parameter", "id": "deals-channel"},
            }
        },
    }


def test_tap_on_a_day_hands_over_the_moment_in_the_data(marts_manifest: dict[str, Any]) -> None:
    columns = {
        "created_at": column("Came", "date"),
        "deal_amount": column("Sum", "money", opens="deals/list", passes={"since": "created_at"}),
    }
    filters = {"since": {"label": both("Since"), "kind": "date"}}
    listed = deals()
    listed["filters"] = {"since": "dim_deals.created_at"}
    listed["sql"] = DEALS.replace("{{channel}}", "{{since}}")
    source = card("top", "table", DEALS, columns, filters={"channel": "dim_deals.channel"})
    got = state(
        file_of([source], filters=CHANNEL),
        file_of([listed], name="deals", filters=filters),
        manifest=marts_manifest,
    )
    assert got.card("small/top").columns == ("created_at", "deal_amount", "created_at_in_data")


def test_no_tap_where_the_row_cannot_hand_over_every_value(
    marts_manifest: dict[str, Any],
) -> None:
    columns = {
        "deal_name": column("Deal"),
        "channel": column("Channel", values={"vk": both("VK")}),
        "deal_amount": column(
            "Sum", "money", opens="deals/list", passes={"channel": "channel", "deal": "deal_name"}
        ),
    }
    # A pivoted table has no room for the code behind a word.
    matrix = card(
        "matrix", "matrix", DEALS, columns, filters={"channel": "dim_deals.channel"},
        row="deal_name", column="channel", value="deal_amount",
    )  # fmt: skip
    filters = {**CHANNEL, "deal": {"label": both("Deal")}}
    got = state(
        file_of([matrix], filters=CHANNEL),
        file_of([deals()], name="deals", filters=filters),
        manifest=marts_manifest,
    )
    assert place(got, "matrix").settings == {}


def test_every_tap_of_the_shipped_dashboards_hands_over_all_it_promises(
    shipped: list[DashboardFile], marts_manifest: dict[str, Any]
) -> None:
    got = state(*shipped, manifest=marts_manifest)
    counted = 0
    for file in shipped:
        for one in file.dashboard.cards():
            settings = place(got, one.key, file.dashboard.name).settings
            for name, about in one.columns.items():
                of_column = settings.get("column_settings", {}).get(f'["name","{name}"]', settings)
                click = of_column.get("click_behavior")
                if not about.opens or one.opens or click is None:
                    continue
                other = about.opens.partition("/")[0]
                handed = {
                    there.removeprefix(f"{other}-")
                    for there, way in click["parameterMapping"].items()
                    if way["source"]["type"] == "column"
                }
                assert handed == set(about.passes), f"{file.dashboard.name}/{one.key}.{name}"
                counted += 1
    assert counted > 3


def test_tap_on_a_chart_carries_the_filters_of_its_dashboard(
    marts_manifest: dict[str, Any],
) -> None:
    columns = {"channel": column("Channel"), "deal_amount": column("Sum", "money")}
    chart = card(
        "chart", "bar", DEALS, columns, filters={"channel": "dim_deals.channel"},
        dimension="channel", metrics=["deal_amount"], opens="deals/list",
    )  # fmt: skip
    second = {"key": "second", "title": both("Second"), "cards": [deals()]}
    first = {
        "key": "first", "title": both("First"), "cards": [card("why", "table", REASONS, BY_REASON)]
    }  # fmt: skip
    got = state(
        file_of([chart], filters=CHANNEL),
        file_of([], name="deals", filters=CHANNEL, tabs=[first, second]),
        manifest=marts_manifest,
    )
    click = place(got, "chart").settings["click_behavior"]
    assert click["tabId"] == {"$dashboard": "deals", "$tab": "second"}
    assert click["parameterMapping"]["deals-channel"]["source"] == {
        "type": "parameter", "id": "small-channel", "name": "Channel (ру)",
    }  # fmt: skip


def test_headings_and_notes_are_virtual(marts_manifest: dict[str, Any]) -> None:
    box = {"column": 0, "width": 24, "height": 1}
    heading = {
        "key": "head",
        "title": both("Leaks"),
        "display": "heading",
        "layout": {**box, "row": 0},
    }
    note = {"key": "note", "title": both("Note"), "display": "note", "layout": {**box, "row": 1},
            "text": both("Read *this*.")}  # fmt: skip
    table = card("why", "table", REASONS, BY_REASON)
    table["layout"] = {"column": 0, "row": 2, "width": 24, "height": 5}
    tabs = [{"key": "first", "title": both("First"), "cards": [heading, note, table]}]
    got = state(file_of([], tabs=tabs), manifest=marts_manifest)
    assert place(got, "head").card_key is None
    assert place(got, "head").settings["virtual_card"]["display"] == "heading"
    assert place(got, "head").settings["text"] == "Leaks (ру)"
    assert place(got, "note").settings["text"] == "**Note \\(ру\\)**\n\nRead \\*this\\*\\. \\(ру\\)"


def test_markup_in_words_is_shown_as_it_stands(marts_manifest: dict[str, Any]) -> None:
    hostile = file_of([card("why", "table", REASONS, BY_REASON)])
    words = "<img src=x onerror=alert(1)> [tap](javascript:alert(1)) `x` & # - _y_"
    dashboard = hostile.dashboard.model_copy(
        update={"methodology": hostile.dashboard.methodology.model_copy(update={"ru": words})}
    )
    got = state(DashboardFile(hostile.path, dashboard, {}), manifest=marts_manifest)
    text = place(got, METHOD_PLACE).settings["text"]
    assert "\\<img src=x onerror\\=alert" in text or "\\<img src=x onerror=alert" in text
    assert "\\[tap\\]\\(javascript:alert\\(1\\)\\)" in text
    for sign in "<>[]`_":
        assert text.count(sign) == text.count(f"\\{sign}")


def test_settings_that_name_a_column_the_card_does_not_return_are_refused(
    marts_manifest: dict[str, Any],
) -> None:
    over = {"settings": {"graph.metrics": ["deals"]}}
    chart = card(
        "chart", "bar", REASONS, BY_REASON, dimension="reason_category",
        metrics=["rejection_count"], metabase=over,
    )  # fmt: skip
    with pytest.raises(
        CardError, match=r"chart\.metabase: settings name deals; .* rejection_count"
    ):
        state(file_of([chart]), manifest=marts_manifest)


def test_language_is_one_throughout(
    shipped: list[DashboardFile], marts_manifest: dict[str, Any]
) -> None:
    english = desired_state(shipped, marts_manifest, "en", company=COMPANY)
    assert english.locale == "en"
    said = [english.collection_name, *(one.name for one in english.cards)]
    said += [one.name for one in english.dashboards]
    said += [str(one.settings.get("column_settings")) for one in english.cards]
    for text in said:
        assert not any("а" <= sign.lower() <= "я" for sign in text), text
