"""The schema of a dashboard file: what may stand where, and what it means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from orchestration.lib.cards.sql import placeholders
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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_RANGE = re.compile(
    rf"past[1-9]\d{{0,3}}(day|week|month|quarter|year)s~?|this(day|week|month|quarter|year)"
    rf"|{_DAY.pattern}~?|~{_DAY.pattern}|{_DAY.pattern}~{_DAY.pattern}"
)


class Localised(_Strict):
    """A text in every language of the page."""

    en: PlainWords
    ru: PlainWords

    def in_(self, locale: Locale) -> str:
        """Return the text in `locale`."""
        return self.ru if locale == "ru" else self.en


class LocalisedColumn(_Strict):
    """Names of the columns that hold one text in two languages."""

    en: Name
    ru: Name


class Column(_Strict):
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


class Layout(_Strict):
    """Place on the 24-column grid, in grid units."""

    column: int = Field(ge=0, lt=GRID_COLUMNS)
    row: int = Field(ge=0)
    width: int = Field(ge=1, le=GRID_COLUMNS)
    height: int = Field(ge=1, le=60)


class Filter(_Strict):
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


class MetabaseOverride(_Strict):
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


class Placed(_Strict):
    """What every piece of a tab has: a name within the dashboard, a title and a place."""

    key: Name
    title: Localised
    layout: Layout
    tier: Tier = "body"


class HeadingCard(Placed):
    """A title across the tab, for what stands below it."""

    display: Literal["heading"]


class NoteCard(Placed):
    """A fixed text; it knows nothing of the data."""

    display: Literal["note"]
    text: Localised


class CardBase(Placed):
    """What every card with an answer has, whatever its display.

    Attributes:
        key: Its name in the dashboard; what stands under it in Metabase keeps its address.
        title: Its heading.
        description: What exactly is counted.
        sql: One `select` over `marts.*`.
        columns: The columns of the result that are shown, in order.
        filters: Filter of the dashboard to the column it restricts, `table.column`.
        layout: Its place in the tab.
        tier: How deep it lies on the page.
        empty: What is said when there are no rows.
        metric: The number's id in dim_metrics, whose definition is shown.
        opens: "dashboard/card" that a tap on the card leads to.
        expects_rows: No rows would be a fault: publishing to Metabase stops.
        metabase: What Metabase shows otherwise.
    """

    description: Localised
    sql: Words
    columns: dict[Name, Column]
    filters: dict[Name, Binding] = Field(default_factory=dict)
    empty: Localised
    metric: Name | None = None
    opens: Target | None = None
    expects_rows: bool = False
    metabase: MetabaseOverride = MetabaseOverride()

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        return {}


class NumberCard(CardBase):
    """One number and its past: rows by period, ascending; the last row is the number.

    `previous` is what is usual (mean of the four periods before); without it nothing is compared.
    """

    display: Literal["number"]
    period: Name
    value: Name
    previous: Name | None = None
    plan: Name | None = None
    low: Name | None = None
    high: Name | None = None
    n: Name | None = None
    state: Name | None = None
    missing: Name | None = None
    better: Better = "up"
    measure: Literal["count", "amount"] = "amount"
    partial_title: Localised | None = None

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        names = ("period", "value", "previous", "plan", "low", "high", "n", "state", "missing")
        return {name: column for name in names if (column := getattr(self, name))}


class HeadlineMetric(_Strict):
    """How the headline speaks of one metric.

    Attributes:
        clause: The fact, with `{value}`; ends without a full stop.
        more: Word for a value above the usual one ("more", "dearer").
        less: Word for a value below the usual one.
        format: How the value is written.
        measure: `count` adds the chance variation of counts to the spread of past weeks.
        better: Colour of a rise.
    """

    clause: Localised
    more: Localised
    less: Localised
    format: Literal["integer", "decimal", "money", "ratio", "days"] = "integer"
    measure: Literal["count", "amount"] = "amount"
    better: Better = "up"


class HeadlineCard(CardBase):
    """One sentence on the biggest change of the last period, or that there was none."""

    display: Literal["headline"]
    metric_column: Name
    period: Name
    value: Name
    previous: Name
    metrics: dict[Name, HeadlineMetric] = Field(min_length=1)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        names = ("metric_column", "period", "value", "previous")
        return {name: getattr(self, name) for name in names}


class ProgressCard(CardBase):
    """Plan and fact of a running period, one row per measure, with where this pace leads.

    Attributes:
        forecast: Where the pace leads; null while it is too early to tell.
        formats: Format of the measure by the code in `label`.
        lower_is_better: Codes of measures that should stay below their plan.
        rows: Measures shown at once, the others one tap deeper.
    """

    display: Literal["progress"]
    label: Name
    value: Name
    goal: Name
    elapsed: Name
    forecast: Name
    period: Name
    formats: dict[str, Format] = Field(default_factory=dict)
    lower_is_better: list[str] = Field(default_factory=list)
    rows: int = Field(default=2, ge=1, le=12)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        names = ("label", "value", "goal", "elapsed", "forecast", "period")
        return {name: getattr(self, name) for name in names}


class Condition(_Strict):
    """When a text is the one to show: the first row's column against a number or a code."""

    column: Name
    is_: Literal["zero", "not_zero", "above", "below", "equal", "missing"] = Field(alias="is")
    value: float | str | None = None


class TextChoice(_Strict):
    """One wording of a text card.

    `{column}` is the formatted value, `{column~deal|deals}` a number with its noun (in Russian
    `{column~сделка|сделки|сделок}`), `{column?needs|need}` the word alone, and `[[ + {tests}]]` is
    left out when its numbers are 0 or null.
    """

    when: Condition | None = None
    text: Localised
    tone: Tone = "plain"


class TextCard(CardBase):
    """A sentence with numbers in it; the first wording whose condition holds is shown."""

    display: Literal["text"]
    texts: list[TextChoice] = Field(min_length=1)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        found: dict[str, str] = {}
        for number, choice in enumerate(self.texts):
            if choice.when is not None:
                found[f"texts[{number}].when.column"] = choice.when.column
            for locale in LOCALES:
                for name in placeholders(choice.text.in_(locale)):
                    found[f"texts[{number}].text.{locale}"] = name
        return found


class TableCard(CardBase):
    """Rows as they come; `rows` shown at once, the others one tap deeper."""

    display: Literal["table"]
    rows: int = Field(default=10, ge=1, le=200)


class ChartCard(CardBase):
    """Bars or a line over a dimension; a row chart lies on its side.

    `series` splits one metric by the values of a column.
    """

    display: Literal["bar", "line", "row"]
    dimension: Name
    metrics: list[Name] = Field(min_length=1, max_length=4)
    series: Name | None = None
    rows: int = Field(default=12, ge=1, le=60)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        found = {"dimension": self.dimension}
        found |= {f"metrics[{n}]": name for n, name in enumerate(self.metrics)}
        if self.series:
            found["series"] = self.series
        return found


class FunnelCard(CardBase):
    """Steps in order, each with how many reached it and the share of the step before."""

    display: Literal["funnel"]
    step: Name
    value: Name
    ratio: Name | None = None
    low: Name | None = None
    high: Name | None = None
    n: Name | None = None

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        names = ("step", "value", "ratio", "low", "high", "n")
        return {name: column for name in names if (column := getattr(self, name))}


class MatrixCard(CardBase):
    """A value for each pair, darker where it is larger; what does not fit is summed as "other"."""

    display: Literal["matrix"]
    row: Name
    column: Name
    value: Name
    max_rows: int = Field(default=12, ge=2, le=40)
    max_columns: int = Field(default=8, ge=2, le=20)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        return {"row": self.row, "column": self.column, "value": self.value}


Card = Annotated[
    NumberCard
    | HeadlineCard
    | ProgressCard
    | TextCard
    | TableCard
    | ChartCard
    | FunnelCard
    | MatrixCard,
    Field(discriminator="display"),
]


Piece = Annotated[
    NumberCard
    | HeadlineCard
    | ProgressCard
    | TextCard
    | TableCard
    | ChartCard
    | FunnelCard
    | MatrixCard
    | HeadingCard
    | NoteCard,
    Field(discriminator="display"),
]


class Tab(_Strict):
    """A part of a dashboard with its cards; `pieces` has headings and notes too."""

    key: Name
    title: Localised
    pieces: list[Piece] = Field(min_length=1, alias="cards")

    @property
    def cards(self) -> list[Card]:
        """Return the pieces that answer something: all but headings and notes."""
        return [piece for piece in self.pieces if isinstance(piece, CardBase)]


class Owner(_Strict):
    """Who answers for a dashboard (dbt exposure)."""

    name: Localised
    email: Words | None = None


class Dashboard(_Strict):
    """One file of `dashboards/`."""

    name: Name
    order: int
    title: Localised
    description: Localised
    owner: Owner
    exposure: Name
    maturity: Literal["high", "medium", "low"] = "high"
    methodology: Localised
    filters: dict[Name, Filter] = Field(default_factory=dict)
    tabs: list[Tab] = Field(min_length=1)

    def cards(self) -> Iterator[Card]:
        """Yield the cards of all tabs in order, headings and notes left out."""
        for tab in self.tabs:
            yield from tab.cards


@dataclass(frozen=True)
class DashboardFile:
    """A dashboard and where its parts stand in the file."""

    path: Path
    dashboard: Dashboard
    lines: Mapping[tuple[str | int, ...], int]

    def where(self, card: Placed, key: str = "") -> str:
        """Return "file:line: card" for a message about `card`."""
        for tab_number, tab in enumerate(self.dashboard.tabs):
            for card_number, other in enumerate(tab.pieces):
                if other is card:
                    path = ("tabs", tab_number, "cards", card_number)
                    line = self.lines.get((*path, key) if key else path, self.lines.get(path, 1))
                    spot = f"{card.key}.{key}" if key else card.key
                    return f"{self.path.name}:{line}: {spot}"
        return f"{self.path.name}: {card.key}"


class Vocabulary(_Strict):
    """Words for codes that several dashboards show (`vocabulary.yaml`)."""

    words: dict[Name, dict[str, Localised]]
