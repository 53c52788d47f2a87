"""What is wrong with a card though the server took it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.metabase.fake import dataset_query
from tests.metabase.fake.state import Row, State

# Registered in v0.63; the server takes any word and the browser shows nothing (api.md 4.2).
DISPLAYS = frozenset(
    [
        "table",
        "bar",
        "line",
        "area",
        "row",
        "pie",
        "scalar",
        "smartscalar",
        "combo",
        "pivot",
        "funnel",
        "map",
        "scatter",
        "waterfall",
        "progress",
        "gauge",
        "object",
        "sankey",
        "boxplot",
        "treemap",
        "list",
    ]
)
# The closed list of widget and parameter types (api.md 4.1).
PARAMETER_TYPES = frozenset(
    [
        "number",
        "text",
        "date",
        "boolean",
        "id",
        "category",
        "location/city",
        "location/state",
        "location/zip_code",
        "location/country",
        "date/single",
        "date/range",
        "date/month-year",
        "date/quarter-year",
        "date/relative",
        "date/all-options",
        "number/=",
        "number/!=",
        "number/<=",
        "number/>=",
        "number/between",
        "string/=",
        "string/!=",
        "string/contains",
        "string/does-not-contain",
        "string/starts-with",
        "string/ends-with",
        "boolean/=",
        "temporal-unit",
    ]
)
_GRAPH = frozenset(
    [
        "graph.dimensions",
        "graph.metrics",
        "stackable.stack_type",
        "graph.show_values",
        "graph.label_value_frequency",
        "graph.show_stack_values",
        "graph.x_axis.scale",
        "graph.x_axis.title_text",
        "graph.x_axis.labels_enabled",
        "graph.x_axis.axis_enabled",
        "graph.y_axis.scale",
        "graph.y_axis.auto_range",
        "graph.y_axis.min",
        "graph.y_axis.max",
        "graph.y_axis.unpin_from_zero",
        "graph.y_axis.title_text",
        "graph.y_axis.labels_enabled",
        "graph.y_axis.axis_enabled",
        "graph.show_goal",
        "graph.goal_value",
        "graph.goal_label",
        "graph.show_trendline",
        "graph.tooltip_columns",
        "series_settings",
    ]
)
_EVERYWHERE = frozenset(
    {"column_settings", "table.columns", "click_behavior", "card.title", "card.description"}
)
_TABLE = frozenset(
    [
        "table.column_formatting",
        "table.pivot",
        "table.pagination",
        "table.row_index",
        "table.freeze_columns",
        "table.freeze_columns_count",
        "table.pivot_column",
        "table.cell_column",
    ]
)
_KEYS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("line", "bar", "area", "combo", "row", "scatter", "boxplot"), _GRAPH),
    "waterfall": _GRAPH
    | frozenset(
        [
            "waterfall.show_total",
            "waterfall.increase_color",
            "waterfall.decrease_color",
            "waterfall.total_color",
        ]
    ),
    "scalar": frozenset({"scalar.field", "scalar.segments"}),
    "smartscalar": frozenset(
        [
            "scalar.field",
            "scalar.comparisons",
            "scalar.switch_positive_negative",
            "scalar.compact_primary_number",
        ]
    ),
    "funnel": frozenset(["funnel.dimension", "funnel.metric", "funnel.type", "funnel.rows"]),
    "sankey": frozenset(
        [
            "sankey.source",
            "sankey.target",
            "sankey.value",
            "sankey.node_align",
            "sankey.show_edge_labels",
            "sankey.edge_color",
        ]
    ),
    "gauge": frozenset({"gauge.segments"}),
    "progress": frozenset({"progress.value", "progress.goal", "progress.color"}),
    "pie": frozenset(
        [
            "pie.dimension",
            "pie.metric",
            "pie.show_total",
            "pie.percent_visibility",
            "pie.slice_threshold",
            "pie.show_legend",
            "pie.show_labels",
            "pie.rows",
            "pie.colors",
        ]
    ),
    "table": _TABLE,
    "object": _TABLE,
}
_COLUMN_KEYS = frozenset(
    [
        "number_style",
        "currency",
        "currency_style",
        "currency_in_header",
        "decimals",
        "scale",
        "prefix",
        "suffix",
        "column_title",
        "show_mini_bar",
        "date_style",
        "date_abbreviate",
        "date_separator",
        "time_enabled",
        "time_style",
        "number_separators",
        "view_as",
        "link_url",
        "link_text",
        "text_align",
        "text_wrapping",
        "click_behavior",
        "markdown_template",
    ]
)
# A column of SQL has no unit; any other style is dropped without a word (column.ts, isValid).
DATE_STYLES = frozenset(
    [
        "MMMM D, YYYY",
        "D MMMM, YYYY",
        "dddd, MMMM D, YYYY",
        "M/D/YYYY",
        "D/M/YYYY",
        "YYYY/M/D",
    ]
)
_SINGLE = [
    "scalar.field",
    "funnel.dimension",
    "funnel.metric",
    "pie.metric",
    "progress.value",
    "sankey.source",
    "sankey.target",
    "sankey.value",
]
_SEVERAL = ["graph.dimensions", "graph.metrics", "graph.tooltip_columns", "pie.dimension"]
_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_BASE_FAMILIES = {
    "date": {"type/Date", "type/DateTime", "type/DateTimeWithLocalTZ", "type/DateTimeWithTZ"},
    "string": {"type/Text", "type/UUID"},
    "number": {"type/Integer", "type/BigInteger", "type/Float", "type/Decimal"},
    "boolean": {"type/Boolean"},
}


def card_findings(state: State, card: Row) -> Iterator[str]:
    """Yield what is wrong with a saved card."""
    name = f"card {card['name']!r}"
    if card["display"] not in DISPLAYS:
        yield f"{name}: no display is called {card['display']!r}; it would show nothing"
    if card["display"] == "pivot" and card["query_type"] == "native":
        yield f"{name}: a pivot needs a query of the query builder"
    yield from (f"{name}: {text}" for text in _query_findings(state, card))
    yield from (f"{name}: {text}" for text in settings_findings(card, card))


def _query_findings(state: State, card: Row) -> Iterator[str]:
    sql = dataset_query.sql_of(card["dataset_query"])
    tags = dataset_query.tags_of(card["dataset_query"])
    if sql is None:
        return
    named = {match[1].split("|")[0].strip() for match in _TAG.finditer(sql)}
    if named != set(tags):
        yield f"variables {sorted(named)} in the SQL, {sorted(tags)} declared"
    ids = [tag.get("id") for tag in tags.values()]
    if None in ids or len(set(ids)) != len(ids):
        yield "template tags need ids of their own"
    for key, tag in tags.items():
        if tag.get("name") != key:
            yield f"tag {key!r} calls itself {tag.get('name')!r}"
        if not tag.get("display-name"):
            yield f"tag {key!r} has no display-name"
        if tag.get("type") == "dimension":
            yield from (f"tag {key!r}: {text}" for text in _field_filter(state, card, tag, sql))
        elif tag.get("dimension") is not None:
            yield f"tag {key!r} of type {tag.get('type')!r} has a dimension"


def _field_filter(state: State, card: Row, tag: Row, sql: str) -> Iterator[str]:
    widget = tag.get("widget-type")
    if widget not in PARAMETER_TYPES:
        yield f"no widget type is called {widget!r}"
    reference = tag.get("dimension")
    field_id = reference[2] if isinstance(reference, list) and len(reference) == 3 else None
    field = state.fields.get(field_id or 0)
    if field is None:
        yield f"no column has the id {field_id}"
        return
    table = state.tables[field["table_id"]]
    full = f"{table['schema']}.{table['name']}"
    if table["db_id"] != card["database_id"]:
        yield f"{full} is in another database"
    if not field["active"] or not table["active"]:
        yield f"{full}.{field['name']} is not there any more"
    if not re.search(rf"\b{re.escape(table['schema'])}\.{re.escape(table['name'])}\b", sql):
        yield f"bound to {full}, which the SQL does not read"
    if isinstance(widget, str) and not fits(widget, field["base_type"]):
        yield f"{widget} on {full}.{field['name']} of {field['base_type']}"


def fits(kind: str, base_type: str) -> bool:
    """Return whether a parameter or widget type can filter a column."""
    family = kind.split("/")[0]
    if family in {"category", "id", "location", "text"}:
        return True
    return base_type in _BASE_FAMILIES.get(family, {base_type})


def settings_findings(holder: Row, card: Row) -> Iterator[str]:
    """Yield what is wrong with settings of a card, its own or those of its place."""
    settings = holder["visualization_settings"]
    known = _KEYS.get(card["display"])
    for key in settings:
        if known is not None and key not in known | _EVERYWHERE and not _is_of_a_place(key):
            yield f"settings of {card['display']} know no {key!r}"
    for path in placeholders(settings):
        yield f"settings: {path} was not resolved"
    for key, value in (settings.get("column_settings") or {}).items():
        try:
            parsed = json.loads(key)
            kind, *_ = parsed
        except ValueError:
            yield f"column_settings: {key!r} is not JSON"
            continue
        # The browser looks a column up by the text its own JSON writer makes.
        if key != json.dumps(parsed, separators=(",", ":"), ensure_ascii=False):
            yield f"column_settings: {key!r} is not written as the browser writes it"
        if kind not in {"name", "ref"}:
            yield f"column_settings: {key!r} names no column"
        for one in value:
            if one not in _COLUMN_KEYS:
                yield f"column_settings of {key} know no {one!r}"
        style = value.get("date_style")
        if style is not None and style not in DATE_STYLES:
            yield f"column_settings of {key}: no date is written as {style!r}"
    if card["result_metadata"] is None:
        return
    columns = {column["name"] for column in card["result_metadata"]}
    for where, column in named_columns(settings):
        if column not in columns:
            yield f"{where} names {column!r}; the result has {sorted(columns)}"


def _is_of_a_place(key: str) -> bool:
    return key in {"virtual_card", "text", "card.hide_empty"} or key.startswith("dashcard.")


def placeholders(settings: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which something is still named instead of numbered."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            if isinstance(key, str) and key.startswith("$"):
                yield path or "/"
            yield from placeholders(value, f"{path}/{key}")
    elif isinstance(settings, list):
        for index, value in enumerate(settings):
            yield from placeholders(value, f"{path}/{index}")


def named_columns(settings: Row) -> Iterator[tuple[str, str]]:
    """Yield (key, column) for every column of the result that settings name."""
    for key in _SINGLE:
        if isinstance(settings.get(key), str):
            yield key, settings[key]
    for key in _SEVERAL:
        value = settings.get(key) or []
        for one in [value] if isinstance(value, str) else value:
            yield key, one
    if isinstance(settings.get("progress.goal"), str):
        yield "progress.goal", settings["progress.goal"]
    for one in settings.get("table.columns") or []:
        yield "table.columns", one["name"]
    for one in settings.get("table.column_formatting") or []:
        for column in one.get("columns") or []:
            yield "table.column_formatting", column
    for one in settings.get("scalar.comparisons") or []:
        if one.get("type") == "anotherColumn":
            yield "scalar.comparisons", one.get("column")
    for key, value in (settings.get("column_settings") or {}).items():
        try:
            kind, column, *_ = json.loads(key)
        except ValueError:
            continue
        if kind == "name":
            yield "column_settings", column
        for text in (value.get("link_url"), value.get("link_text")):
            for match in _TAG.finditer(text or ""):
                yield f"the link of {column}", match[1]
        yield from click_columns(value.get("click_behavior"))
    yield from click_columns(settings.get("click_behavior"))


def click_columns(behaviour: Row | None) -> Iterator[tuple[str, str]]:
    """Yield the columns a click takes values from."""
    if not behaviour:
        return
    for match in _TAG.finditer(behaviour.get("linkTemplate") or ""):
        if ":" not in match[1]:
            yield "click_behavior.linkTemplate", match[1]
    for mapping in (behaviour.get("parameterMapping") or {}).values():
        source = mapping.get("source") or {}
        if source.get("type") == "column":
            yield "click_behavior.parameterMapping", source.get("id")


def click_behaviours(settings: Row) -> Iterator[Row]:
    """Yield the click behaviours of a place and of its columns."""
    if settings.get("click_behavior"):
        yield settings["click_behavior"]
    for value in (settings.get("column_settings") or {}).values():
        if value.get("click_behavior"):
            yield value["click_behavior"]
