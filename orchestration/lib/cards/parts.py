"""The parts of a dashboard file that stand inside cards: texts, columns, places, filters."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from orchestration.lib.errors import OrchestrationError

Locale = Literal["ru", "en"]
LOCALES: tuple[Locale, ...] = get_args(Locale)

GRID_COLUMNS = 24
VOCABULARY = "vocabulary.yaml"
_NAME = r"^[a-z][a-z0-9_]{0,59}$"
_BINDING = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"

_TARGET = r"^[a-z0-9_]+/[a-z0-9_]+$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Binding = Annotated[str, StringConstraints(pattern=_BINDING)]
Target = Annotated[str, StringConstraints(pattern=_TARGET)]
Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


def _plain(text: str) -> str:
    # Metabase fills `{{name}}` with a filter's value wherever it finds it, in a text card too.
    for mark in ("{{", "}}"):
        if mark in text:
            raise ValueError(f'"{mark}" is for filters in sql, not for words people read')
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        raise ValueError("has a control character")
    return text


PlainWords = Annotated[Words, AfterValidator(_plain)]

Tier = Literal["first_screen", "body", "tap"]
Format = Literal[
    "text",
    "integer",
    "decimal",
    "money",
    "ratio",
    "days",
    "duration",
    "date",
    "datetime",
    "week",
    "month",
    "period",
    "unit",
]
NUMERIC_FORMATS = frozenset({"integer", "decimal", "money", "ratio", "days", "duration", "unit"})
TIME_FORMATS = frozenset({"date", "datetime", "week", "month", "period"})
Better = Literal["up", "down", "neutral"]
Tone = Literal["plain", "good", "warning", "bad", "caption"]


class CardError(OrchestrationError):
    """Dashboard files that cannot be shown; one finding per line."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(self.findings))


class Strict(BaseModel):
    """What a file says, with no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_RANGE = re.compile(
    rf"past[1-9]\d{{0,3}}(day|week|month|quarter|year)s~?|this(day|week|month|quarter|year)"
    rf"|{_DAY.pattern}~?|~{_DAY.pattern}|{_DAY.pattern}~{_DAY.pattern}"
)


class Localised(Strict):
    """A text in every language of the page."""

    en: PlainWords
    ru: PlainWords

    def in_(self, locale: Locale) -> str:
        """Return the text in `locale`."""
        return self.ru if locale == "ru" else self.en


class LocalisedColumn(Strict):
    """Names of the columns that hold one text in two languages."""

    en: Name
    ru: Name


class Column(Strict):
    """How one column of a card's result is named and written.

    Attributes:
        label: Heading of the column.
        format: How its values are written. `duration` takes seconds, `days` takes days, `period`
            needs a column `period_type` (week, month) beside it, `unit` a column `unit` (count,
            ratio, hours, amount).
        source: The result columns to read when a text comes in two languages.
        values: Words for the codes that stand in the column, or the name of a list in
            vocabulary.yaml.
        tones: Colour meaning of codes, for columns that are a status.
        link: Column that holds the URL a tap on the value opens.
        opens: "dashboard/card" that a tap on the value leads to: the list behind the number.
        passes: Filters of that dashboard, each set to a column of the tapped row.
        bar: Draws the value as a thin bar behind the number.
        tier: `tap` moves the column into the statistics below the card.
    """

    label: Localised
    format: Format = "text"
    source: LocalisedColumn | None = None
    values: dict[str, Localised] = Field(default_factory=dict)
    tones: dict[str, Tone] = Field(default_factory=dict)
    link: Name | None = None
    opens: Target | None = None
    passes: dict[Name, Name] = Field(default_factory=dict)
    bar: bool = False
    tier: Literal["body", "tap"] = "body"

    @model_validator(mode="after")
    def _one_way(self) -> Column:
        if self.passes and self.opens is None:
            raise ValueError('"passes" needs "opens": the card that a tap leads to')
        if self.opens and self.link:
            raise ValueError('"opens" and "link" cannot both answer a tap; keep one')
        return self


class Layout(Strict):
    """Place on the 24-column grid, in grid units."""

    column: int = Field(ge=0, lt=GRID_COLUMNS)
    row: int = Field(ge=0)
    width: int = Field(ge=1, le=GRID_COLUMNS)
    height: int = Field(ge=1, le=60)


class Filter(Strict):
    """A choice above a dashboard.

    Attributes:
        label: Its name.
        kind: What stands in the bound columns: a category is text, the others are dates or moments.
            `week` and `month` are the first days of periods, which the page offers one by one;
            `date` is any range of days, which only Metabase offers.
        default: The value chosen at first, and then always one is chosen; without it everything is
            shown. Of a `date`: a range such as past12months~ or 2026-01-01~2026-03-31.
        values: Words for values, in the order shown. Values not named here follow by alphabet,
            dates from the newest back.
        page_options: How many values the page offers; it holds one rendering per value, so the
            number is its weight. Metabase offers all.
    """

    label: Localised
    kind: Literal["category", "week", "month", "date"] = "category"
    default: str | None = None
    values: dict[str, Localised] = Field(default_factory=dict)
    page_options: int = Field(default=8, ge=0, le=24)

    @model_validator(mode="after")
    def _default_fits(self) -> Filter:
        if self.default is None or self.kind == "category":
            return self
        pattern = _DATE_RANGE if self.kind == "date" else _DAY
        if not pattern.fullmatch(self.default):
            shown = "a range such as past12months~ or 2026-01-01~2026-03-31"
            shown = shown if self.kind == "date" else "a day such as 2026-01-01"
            raise ValueError(f"the default of a {self.kind} is {shown}, not {self.default!r}")
        return self

    @property
    def is_offered_by_page(self) -> bool:
        """Return whether the page has a choice for it; a range of days has too many."""
        return self.kind != "date"


MetabaseDisplay = Literal[
    "table",
    "bar",
    "line",
    "area",
    "row",
    "pie",
    "scalar",
    "smartscalar",
    "combo",
    "funnel",
    "scatter",
    "waterfall",
    "progress",
    "gauge",
    "object",
    "sankey",
]
# What Metabase reads of a card's settings (facts of v0.59 to v0.63); it stores any other key and
# does nothing, so a slip would never show. A name ending in "." is the start of a family.
METABASE_SETTINGS = frozenset(
    {
        "column_settings", "series_settings",
        "scalar.field", "scalar.segments", "scalar.comparisons",
        "scalar.switch_positive_negative", "scalar.compact_primary_number",
        "graph.dimensions", "graph.metrics", "stackable.stack_type",
        "graph.show_values", "graph.label_value_frequency", "graph.show_stack_values",
        "graph.x_axis.scale", "graph.x_axis.title_text", "graph.x_axis.labels_enabled",
        "graph.x_axis.axis_enabled",
        "graph.y_axis.auto_range", "graph.y_axis.min", "graph.y_axis.max", "graph.y_axis.scale",
        "graph.y_axis.unpin_from_zero", "graph.y_axis.title_text", "graph.y_axis.labels_enabled",
        "graph.y_axis.axis_enabled",
        "graph.show_goal", "graph.goal_value", "graph.goal_label", "graph.show_trendline",
        "graph.tooltip_columns",
        "waterfall.show_total", "waterfall.increase_color", "waterfall.decrease_color",
        "waterfall.total_color",
        "funnel.dimension", "funnel.metric", "funnel.type", "funnel.rows",
        "sankey.source", "sankey.target", "sankey.value", "sankey.node_align",
        "sankey.show_edge_labels", "sankey.edge_color",
        "gauge.segments",
        "progress.value", "progress.goal", "progress.color",
        "pie.dimension", "pie.metric", "pie.show_total", "pie.percent_visibility",
        "pie.slice_threshold",
        "table.columns", "table.column_formatting", "table.pivot", "table.pivot_column",
        "table.cell_column", "table.pagination", "table.row_index", "table.freeze_columns",
        "table.freeze_columns_count",
    }
)  # fmt: skip


class MetabaseOverride(Strict):
    """What Metabase shows otherwise than the page; settings are put over those made of the card."""

    display: MetabaseDisplay | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_settings(self) -> MetabaseOverride:
        for key in self.settings:
            if key not in METABASE_SETTINGS:
                near = difflib.get_close_matches(key, METABASE_SETTINGS, n=1, cutoff=0.0)
                allowed = ", ".join(sorted(METABASE_SETTINGS))
                raise ValueError(
                    f'Metabase has no setting "{key}" (nearest: {near[0]}); allowed: {allowed}'
                )
        return self
