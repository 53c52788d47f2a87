"""The schema of a dashboard file: its cards, tabs and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from orchestration.lib.cards.parts import (
    LOCALES,
    Better,
    Binding,
    Column,
    Filter,
    Format,
    Layout,
    Localised,
    MetabaseOverride,
    Name,
    Strict,
    Target,
    Tier,
    Tone,
    Words,
)
from orchestration.lib.cards.sql import placeholders


class Placed(Strict):
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


class HeadlineMetric(Strict):
    """How the headline speaks of one metric.

    Attributes:
        clause: The fact, with `{value}` and `{period}`; ends without a full stop.
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
        state: Whether the value is known, in part, or its source not connected.
        missing: What is not connected or not counted in.
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
    state: Name | None = None
    missing: Name | None = None
    formats: dict[str, Format] = Field(default_factory=dict)
    lower_is_better: list[str] = Field(default_factory=list)
    rows: int = Field(default=2, ge=1, le=12)

    def roles(self) -> dict[str, str]:
        """Return the result columns the display needs, by the setting that names them."""
        names = ("label", "value", "goal", "elapsed", "forecast", "period", "state", "missing")
        return {name: column for name in names if (column := getattr(self, name))}


class Condition(Strict):
    """When a text is the one to show: the first row's column against a number or a code."""

    column: Name
    is_: Literal["zero", "not_zero", "above", "below", "equal", "missing"] = Field(alias="is")
    value: float | str | None = None


class TextChoice(Strict):
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


class Tab(Strict):
    """A part of a dashboard with its cards; `pieces` has headings and notes too."""

    key: Name
    title: Localised
    pieces: list[Piece] = Field(min_length=1, alias="cards")

    @property
    def cards(self) -> list[Card]:
        """Return the pieces that answer something: all but headings and notes."""
        return [piece for piece in self.pieces if isinstance(piece, CardBase)]


class Owner(Strict):
    """Who answers for a dashboard (dbt exposure)."""

    name: Localised
    email: Words | None = None


class Dashboard(Strict):
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


class Vocabulary(Strict):
    """Words for codes that several dashboards show (`vocabulary.yaml`)."""

    words: dict[Name, dict[str, Localised]]
