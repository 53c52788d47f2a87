"""What a card is once it is written down: the views that templates and the terminal read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.lib import page_charts as charts
from orchestration.lib.cards import CardBase, Column, Format, Tone
from orchestration.lib.page_formats import ABSENT, Writer
from orchestration.lib.page_words import say

Row = Mapping[str, Any]

# Phones and mail addresses in deal names have become keyed hashes; to a reader they are noise.
_PRIVATE = re.compile(r"\b(ph|em)_[0-9a-f]{32}(?::[pf]:[\w.-]+)?")


@dataclass(frozen=True)
class Jump:
    """Where a tap on a value leads.

    Attributes:
        href: The list behind the number.
        choose: Filter choices to make on the way, as their `data-choice` names.
    """

    href: str
    choose: str = ""


@dataclass(frozen=True)
class Segment:
    """A stretch of a sentence; what came from the data is strong."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Fact:
    """One line of a card's statistics."""

    label: str
    text: str


@dataclass(frozen=True)
class Cell:
    """One value of a table."""

    text: str
    is_number: bool = False
    href: str | None = None
    jump: Jump | None = None
    tone: Tone = "plain"
    bar: float | None = None

    @property
    def kind(self) -> str:
        """Return its style classes: words, or nothing to say; a number has none."""
        kind = "" if self.is_number else "words" if len(self.text) > 24 else "word"
        return f"{kind or 'num'} none" if self.text == ABSENT else kind


@dataclass(frozen=True)
class Table:
    """Headings and rows; `shown` rows stand open, the others one tap deeper.

    Attributes:
        headings: Names of the columns.
        rows: The rows the page has.
        shown: How many stand open.
        cut: What is said of the rows that the page leaves out; empty where it has all.
    """

    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shown: int
    cut: str = ""

    @property
    def hidden(self) -> int:
        """Return how many rows stand one tap deeper."""
        return max(len(self.rows) - self.shown, 0)


@dataclass(frozen=True)
class View:
    """A card in one language and one choice of filters.

    Attributes:
        kind: Which template draws it.
        title: Its heading.
        facts: Statistics, one tap deeper.
        table: Its numbers, one tap deeper (for a table card: the card itself).
        is_empty: Whether only the card's `empty` text is to be said.
        lines: The same as plain text, for the terminal.
    """

    kind: str
    title: str
    is_empty: bool = False
    facts: tuple[Fact, ...] = ()
    table: Table | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberView(View):
    """A number against its usual value."""

    text: str = ""
    is_missing: bool = False
    note: str = ""
    arrow: str = ""
    delta: str = ""
    delta_tone: str = "calm"
    usual: str = ""
    spark: tuple[tuple[tuple[float, float], ...], ...] = ()
    spark_end: tuple[float, float] | None = None


@dataclass(frozen=True)
class HeadlineView(View):
    """The sentence on the newest week."""

    sentence: str = ""
    second: str = ""
    tone: str = "calm"


@dataclass(frozen=True)
class ProgressLine:
    """One measure of the plan; without a value it has no share, and `filled` is None."""

    label: str
    share: str
    of_plan: str
    forecast: str
    tone: str
    filled: float | None
    passed: float | None


@dataclass(frozen=True)
class ProgressView(View):
    """Plan and fact."""

    period: str = ""
    passed: str = ""
    measures: tuple[ProgressLine, ...] = ()
    deeper: tuple[ProgressLine, ...] = ()


@dataclass(frozen=True)
class TextView(View):
    """A sentence with numbers in it."""

    segments: tuple[Segment, ...] = ()
    tone: Tone = "plain"


@dataclass(frozen=True)
class RowBar:
    """One bar of a chart that lies on its side."""

    label: str
    values: tuple[tuple[str, float, int, Jump | None], ...]

    @property
    def is_wide(self) -> bool:
        """Return whether a value needs the broad column."""
        return any(len(value[0]) > 7 for value in self.values)


@dataclass(frozen=True)
class Series:
    """One measure of a chart over time."""

    name: str
    index: int
    bars: tuple[tuple[charts.Bar, str], ...] = ()
    runs: tuple[tuple[tuple[float, float], ...], ...] = ()
    end: tuple[float, float] | None = None


@dataclass(frozen=True)
class ChartView(View):
    """Bars or lines with an axis."""

    series: tuple[Series, ...] = ()
    rows: tuple[RowBar, ...] = ()
    ticks: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, bool], ...] = ()
    spoken: str = ""

    @property
    def is_wide(self) -> bool:
        """Return whether values need the broad column; all rows share it, or bars would lie."""
        return any(row.is_wide for row in self.rows)


@dataclass(frozen=True)
class Step:
    """One step of a funnel."""

    label: str
    text: str
    filled: float
    share: str = ""
    lost: str = ""
    is_worst: bool = False


@dataclass(frozen=True)
class FunnelView(View):
    """Steps in order."""

    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class MatrixRow:
    """A row of the heat table with its total."""

    label: str
    cells: tuple[tuple[str, int], ...]
    total: str


@dataclass(frozen=True)
class MatrixView(View):
    """Pairs of values."""

    corner: str = ""
    headings: tuple[str, ...] = ()
    rows: tuple[MatrixRow, ...] = ()
    total_label: str = ""


@dataclass(frozen=True)
class Scribe:
    """Writes the values of one card in one language.

    Attributes:
        card: The card.
        writer: Formats of the language.
        definition: What dim_metrics says of the card's metric.
        jumps: Finds the place of a card ("dashboard/card") and the choices for values passed.
        elsewhere: Names of the card's filters that the page does not offer.
        has_metabase: Whether the company has a Metabase to send its readers to.
    """

    card: CardBase
    writer: Writer
    definition: str | None = None
    jumps: Callable[[str, Mapping[str, str]], Jump | None] = lambda _target, _passed: None
    elsewhere: tuple[str, ...] = ()
    has_metabase: bool = False

    @property
    def columns(self) -> Mapping[str, Column]:
        """Return the columns of the card."""
        return self.card.columns

    def raw(self, row: Row, name: str) -> Any:
        """Return what stands in column `name`, the right language of a text in two."""
        column = self.columns.get(name)
        if column is not None and column.source is not None:
            return row[column.source.ru if self.writer.locale == "ru" else column.source.en]
        return row[name]

    def text(
        self, row: Row, name: str, *, kind: Format | None = None, compact: bool = False
    ) -> str:
        """Return column `name` as it is written for a reader."""
        value = self.raw(row, name)
        column = self.columns[name]
        shown = kind or column.format
        if column.values and (value is None or str(value) in column.values):
            words = column.values.get("null" if value is None else str(value))
            if words is not None:
                return words.in_(self.writer.locale)
        beside = row.get("unit" if shown == "unit" else "period_type")
        if shown == "text" and isinstance(value, str):
            return _PRIVATE.sub(lambda m: self.say(f"hidden_{m[1]}"), value)
        return self.writer.value(value, shown, beside=beside, compact=compact)

    def label(self, name: str) -> str:
        """Return the heading of column `name`."""
        return self.columns[name].label.in_(self.writer.locale)

    def say(self, key: str, **values: object) -> str:
        """Return a phrase of the page."""
        return say(self.writer.locale, key, **values)

    def title(self) -> str:
        """Return the heading of the card."""
        return self.card.title.in_(self.writer.locale)

    def empty(self, kind: str) -> View:
        """Return the view of a card that has nothing to show."""
        words = self.card.empty.in_(self.writer.locale)
        return View(
            kind=kind,
            title=self.title(),
            is_empty=True,
            facts=self.closing(),
            lines=(f"{self.title()}: {words}",),
        )

    def jump(self, row: Row, name: str) -> Jump | None:
        """Return where a tap on column `name` of `row` leads; nothing leads from nothing.

        A row that lacks a value to pass leads nowhere: the list would be of more than the number.
        """
        column = self.columns[name]
        values = {key: row.get(source) for key, source in column.passes.items()}
        if column.opens is None or not row[name] or None in values.values():
            return None
        return self.jumps(column.opens, {key: str(value) for key, value in values.items()})

    def closing(self) -> tuple[Fact, ...]:
        """Return the definition, which ends every card's statistics."""
        return (Fact(self.say("definition"), self.definition),) if self.definition else ()
