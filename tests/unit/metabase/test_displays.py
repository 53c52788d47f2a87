"""One small card of each display, as Metabase gets it."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from orchestration.lib.metabase.formats import Company
from tests.unit.metabase.files import DEALS, PANEL, REASONS, both, card, column, made

PERIOD = {"period": "rpt_owner_panel.period_type"}
MONEY = {
    "number_style": "decimal", "number_separators": ", ", "decimals": 0, "suffix": "\u00a0₽",
}  # fmt: skip
DAY = {"date_style": "D/M/YYYY", "date_separator": "."}
COUNT = {"number_style": "decimal", "number_separators": ", ", "decimals": 0}


def key(name: str) -> str:
    return f'["name","{name}"]'


def number(**more: Any) -> Any:
    columns = {
        "period_start_date": column("Week", "week"),
        "value": column("Sold", "money"),
        "previous_mean_value": column("Usually", "money"),
        "state": column("State"),
    }
    return card(
        "sold", "number", PANEL, columns, filters=PERIOD, period="period_start_date",
        value="value", state="state", **more,
    )  # fmt: skip


def test_number_is_a_trend_against_what_is_usual() -> None:
    got = made(number(previous="previous_mean_value", better="down"))
    assert got.display == "smartscalar"
    assert got.columns == ("period_start_date", "value", "previous_mean_value")
    assert got.settings == {
        "scalar.field": "value",
        "scalar.comparisons": [
            {
                "id": "usual",
                "type": "anotherColumn",
                "column": "previous_mean_value",
                "label": "Обычно",
            }
        ],
        "scalar.switch_positive_negative": True,
        "column_settings": {
            key("period_start_date"): {"column_title": "Week (ру)", **DAY},
            key("value"): {"column_title": "Sold (ру)", **MONEY},
            key("previous_mean_value"): {"column_title": "Usually (ру)", **MONEY},
        },
    }
    assert "{{period}}" in got.sql


def test_number_that_compares_with_nothing_is_the_newest_row() -> None:
    got = made(number())
    assert (got.display, got.columns) == ("scalar", ("value",))
    assert got.settings["scalar.field"] == "value"
    assert got.sql.endswith('order by answer."period_start_date" desc nulls last\nlimit 1')


def test_headline_is_a_table_of_the_last_period() -> None:
    columns = {
        "metric_id": column("Number", values={"sold": both("Sold")}),
        "period_start_date": column("Week", "week"),
        "value": column("Value", "decimal"),
        "previous_mean_value": column("Usually", "decimal"),
    }
    metrics = {
        "sold": {"clause": both("{value}"), "more": both("more"), "less": both("less"),
                 "format": "money"},
        "came": {"clause": both("{value}"), "more": both("more"), "less": both("less")},
    }  # fmt: skip
    got = made(
        card(
            "headline", "headline", PANEL, columns, filters=PERIOD, metric_column="metric_id",
            period="period_start_date", value="value", previous="previous_mean_value",
            metrics=metrics,
        )
    )  # fmt: skip
    assert got.display == "table"
    assert got.columns == (
        "metric_id", "period_start_date", "value", "previous_mean_value", "change_ratio",
    )  # fmt: skip
    assert got.settings["column_settings"][key("change_ratio")]["number_style"] == "percent"
    assert "answer.\"metric_id\" in ('sold', 'came')" in got.sql


def test_progress_is_a_table_with_the_share_of_the_plan() -> None:
    columns = {
        "metric_id": column("Number", values={"sold": both("Sold")}),
        "period_start_date": column("Month", "month"),
        "value": column("Fact", "decimal"),
        "plan_value": column("Plan", "decimal"),
        "run_rate_value": column("Pace", "decimal"),
        "elapsed_ratio": column("Passed", "ratio"),
        "missing": column("Missing", source={"en": "missing_en", "ru": "missing_ru"}),
    }
    got = made(
        card(
            "plan", "progress", PANEL, columns, filters=PERIOD, label="metric_id", value="value",
            goal="plan_value", elapsed="elapsed_ratio", forecast="run_rate_value",
            period="period_start_date", missing="missing", formats={"sold": "money"},
        )
    )  # fmt: skip
    assert got.display == "table"
    assert got.settings["column_settings"][key("done_ratio")] == {
        "column_title": "Выполнено",
        "number_style": "percent",
        "number_separators": ", ",
        "decimals": 1,
        "show_mini_bar": True,
    }
    assert [one["name"] for one in got.settings["table.columns"]] == [
        "metric_id", "value", "plan_value", "done_ratio", "run_rate_value", "elapsed_ratio",
        "period_start_date", "missing",
    ]  # fmt: skip


def test_text_of_one_value_is_a_scalar_and_of_several_a_row() -> None:
    one = {"fresh_until_at": column("Data up to", "datetime")}
    sql = "select min(fresh_until_at) as fresh_until_at from marts.rpt_owner_panel"
    texts = [{"text": both("Up to {fresh_until_at}.")}]
    got = made(card("fresh", "text", sql, one, texts=texts))
    assert (got.display, got.columns) == ("scalar", ("fresh_until_at",))
    assert "at time zone 'UTC' at time zone 'Europe/Moscow'" in got.sql
    assert got.settings["column_settings"][key("fresh_until_at")] == {
        "column_title": "Data up to (ру)",
        **DAY,
        "time_enabled": "minutes",
        "time_style": "HH:mm",
    }
    several = {"reason_category": column("Reason"), "rejection_count": column("Deals", "integer")}
    texts = [{"text": both("{reason_category}: {rejection_count}")}]
    got = made(card("why", "text", REASONS, several, texts=texts))
    assert (got.display, got.columns) == ("table", ("reason_category", "rejection_count"))


def test_table_has_titles_bars_tones_and_links() -> None:
    columns = {
        "deal_name": column("Deal", link="deal_url"),
        "deal_amount": column("Sum", "money", bar=True),
        "channel": column("Channel", values={"vk": both("VK")}, tones={"vk": "bad"}, tier="tap"),
    }
    got = made(
        card("deals", "table", DEALS, columns, filters={"channel": "dim_deals.channel"})
    )  # fmt: skip
    assert got.display == "table"
    assert got.settings == {
        "table.columns": [
            {"name": "deal_name", "enabled": True},
            {"name": "deal_amount", "enabled": True},
            {"name": "channel", "enabled": True},
            {"name": "deal_url", "enabled": False},
        ],
        "table.column_formatting": [
            {
                "columns": ["channel"],
                "type": "single",
                "operator": "=",
                "value": "VK (ру)",
                "color": "#ED6E6E",
                "highlight_row": False,
            }
        ],
        "column_settings": {
            key("deal_name"): {
                "column_title": "Deal (ру)", "view_as": "link", "link_url": "{{deal_url}}",
            },
            key("deal_amount"): {"column_title": "Sum (ру)", **MONEY, "show_mini_bar": True},
            key("channel"): {"column_title": "Channel (ру)"},
        },
    }  # fmt: skip
    assert "when 'vk' then 'VK (ру)'" in got.sql
    assert "[[and {{channel}}]]" in got.sql


def test_chart_over_time_and_by_rows() -> None:
    columns = {
        "period_start_date": column("Week", "week"),
        "value": column("Sold", "money"),
        "elapsed_ratio": column("Passed", "ratio"),
    }
    got = made(
        card("lines", "line", PANEL, columns, filters=PERIOD, dimension="period_start_date",
             metrics=["value", "elapsed_ratio"])
    )  # fmt: skip
    assert got.display == "line"
    assert got.settings["graph.dimensions"] == ["period_start_date"]
    assert got.settings["graph.metrics"] == ["value", "elapsed_ratio"]
    assert got.settings["graph.x_axis.scale"] == "timeseries"
    # A share beside a sum would lie flat on one axis.
    assert got.settings["series_settings"] == {
        "value": {"title": "Sold (ру)"},
        "elapsed_ratio": {"title": "Passed (ру)", "axis": "right"},
    }
    columns = {"reason_category": column("Reason"), "rejection_count": column("Deals", "integer")}
    got = made(
        card("rows", "row", REASONS, columns, dimension="reason_category",
             metrics=["rejection_count"])
    )  # fmt: skip
    assert (got.display, got.settings["graph.x_axis.scale"]) == ("row", "ordinal")
    assert got.settings["graph.show_values"] is True


def test_chart_split_by_a_column_has_it_as_second_dimension() -> None:
    columns = {
        "from_stage_name": column("Stage"),
        "reason_category": column("Reason"),
        "rejection_count": column("Deals", "integer"),
    }
    got = made(
        card("bars", "bar", REASONS, columns, dimension="from_stage_name",
             metrics=["rejection_count"], series="reason_category")
    )  # fmt: skip
    assert got.settings["graph.dimensions"] == ["from_stage_name", "reason_category"]
    assert "series_settings" not in got.settings


def test_month_is_a_text_in_tables_and_a_day_on_an_axis() -> None:
    columns = {
        "period_start_date": column("Month", "month"),
        "value": column("Sold", "money"),
    }
    table = made(card("table", "table", PANEL, columns, filters=PERIOD))
    (month, _) = table.outputs
    written = 'substr(cast(answer."period_start_date" as varchar), 1, 7)'
    assert (month.sql, month.settings) == (written, {"column_title": "Month (ру)"})
    row = duckdb.sql(
        f"select {month.sql} from (select date '2026-11-01') answer (period_start_date)"
    )
    assert row.fetchone() == ("2026-11",)
    chart = made(
        card("chart", "line", PANEL, columns, filters=PERIOD, dimension="period_start_date",
             metrics=["value"])
    )  # fmt: skip
    assert chart.outputs[0].sql == 'answer."period_start_date"'
    assert chart.outputs[0].settings == {"column_title": "Month (ру)", **DAY}


def test_funnel_has_steps_and_values() -> None:
    columns = {"reason_category": column("Step"), "rejection_count": column("Deals", "integer")}
    got = made(
        card("steps", "funnel", REASONS, columns, step="reason_category", value="rejection_count")
    )
    assert got.settings == {
        "funnel.dimension": "reason_category",
        "funnel.metric": "rejection_count",
        "funnel.type": "funnel",
        "column_settings": {
            key("reason_category"): {"column_title": "Step (ру)"},
            key("rejection_count"): {"column_title": "Deals (ру)", **COUNT},
        },
    }


def test_matrix_is_pivoted_by_the_browser_and_adds_up_codes_of_one_word() -> None:
    columns = {
        "from_stage_name": column("Stage"),
        "reason_category": column("Reason", values={"a": both("Same"), "b": both("Same")}),
        "rejection_count": column("Deals", "integer"),
    }
    got = made(
        card("matrix", "matrix", REASONS, columns, row="from_stage_name",
             column="reason_category", value="rejection_count")
    )  # fmt: skip
    assert got.display == "table"
    assert len(got.columns) == 3
    assert got.settings["table.pivot"] is True
    assert got.settings["table.pivot_column"] == "reason_category"
    assert got.settings["table.cell_column"] == "rejection_count"
    assert 'sum(answer."rejection_count")' in got.sql
    assert got.sql.endswith("group by 1, 2")


def test_override_stands_over_what_is_made_of_the_card() -> None:
    columns = {"reason_category": column("Reason"), "rejection_count": column("Deals", "integer")}
    over = {
        "display": "pie",
        "settings": {
            "pie.dimension": "reason_category",
            "pie.metric": "rejection_count",
            "column_settings": {"rejection_count": {"suffix": " шт."}},
        },
    }
    got = made(
        card("rows", "row", REASONS, columns, dimension="reason_category",
             metrics=["rejection_count"], metabase=over)
    )  # fmt: skip
    assert got.display == "pie"
    assert got.settings["pie.metric"] == "rejection_count"
    assert got.settings["column_settings"][key("rejection_count")] == {
        "column_title": "Deals (ру)", **COUNT, "suffix": " шт.",
    }  # fmt: skip
    assert not any(name.startswith("graph.") for name in got.settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ratio", {"number_style": "percent", "number_separators": ".,", "decimals": 1}),
        ("money", {"number_style": "decimal", "number_separators": ".,", "decimals": 0,
                   "prefix": "$"}),
        ("days", {"number_style": "decimal", "number_separators": ".,", "decimals": 1,
                  "suffix": " d"}),
        ("duration", {"number_style": "decimal", "number_separators": ".,", "decimals": 1,
                      "scale": 1 / 3600, "suffix": " h"}),
        # Written by SQL: Metabase knows no style for a month of a column without a unit.
        ("month", {}),
        ("date", {"date_style": "MMMM D, YYYY", "date_abbreviate": True}),
    ],
)  # fmt: skip
def test_formats_follow_the_language(kind: str, settings: dict[str, Any]) -> None:
    columns = {"reason_category": column("Reason"), "deal_amount": column("X", kind)}
    got = made(card("t", "table", REASONS, columns), Company("en", "USD"))
    assert got.settings["column_settings"][key("deal_amount")] == {"column_title": "X", **settings}
