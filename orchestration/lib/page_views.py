"""What a card says in one language: rows of a result turned into words, numbers and geometry.

Templates and the terminal only write down what stands here; nothing is computed in a template.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.lib import page_charts as charts
from orchestration.lib.cards import (
    CardBase,
    ChartCard,
    Column,
    Condition,
    Format,
    FunnelCard,
    HeadlineCard,
    MatrixCard,
    NumberCard,
    ProgressCard,
    TableCard,
    TextCard,
    Tone,
)
from orchestration.lib.page_changes import Change, judge
from orchestration.lib.page_formats import ABSENT, Writer, tied
from orchestration.lib.page_words import say

Row = Mapping[str, Any]

# Phones and mail addresses in deal names have become keyed hashes; to a reader they are noise.
_PRIVATE = re.compile(r"\b(ph|em)_[0-9a-f]{32}(?::[pf]:[\w.-]+)?")

_SPARK_PERIODS = 13
_ON_PLAN = 0.005


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
    label: str = ""
    is_number: bool = False
    href: str | None = None
    tone: Tone = "plain"
    bar: float | None = None

    @property
    def kind(self) -> str:
        """Return its style classes: a number, words, or nothing to say."""
        kind = "num" if self.is_number else "words" if len(self.text) > 24 else "word"
        return f"{kind} none" if self.text == ABSENT else kind


@dataclass(frozen=True)
class Table:
    """Headings and rows; `shown` rows stand open, the others one tap deeper."""

    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shown: int

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
    """The sentence on the last week."""

    sentence: str = ""
    second: str = ""
    tone: str = "calm"


@dataclass(frozen=True)
class ProgressLine:
    """One measure of the plan."""

    label: str
    share: str
    of_plan: str
    forecast: str
    tone: str
    filled: float
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
    values: tuple[tuple[str, float, int], ...]

    @property
    def is_wide(self) -> bool:
        """Return whether a value needs the broad column."""
        return any(len(text) > 7 for text, _, _ in self.values)


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
    """

    card: CardBase
    writer: Writer
    definition: str | None = None

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

    def closing(self) -> tuple[Fact, ...]:
        """Return the definition, which ends every card's statistics."""
        return (Fact(self.say("definition"), self.definition),) if self.definition else ()


def view(scribe: Scribe, rows: Sequence[Row]) -> View:
    """Return what the card of `scribe` says about `rows`.

    Args:
        scribe: The card in one language.
        rows: Its result.

    Returns:
        The view for the template and the terminal.
    """
    match scribe.card:
        case NumberCard() as card:
            return _number(scribe, card, rows)
        case HeadlineCard() as card:
            return _headline(scribe, card, rows)
        case ProgressCard() as card:
            return _progress(scribe, card, rows)
        case TextCard() as card:
            return _text(scribe, card, rows)
        case TableCard() as card:
            return _table_view(scribe, card, rows)
        case ChartCard() as card:
            return _chart(scribe, card, rows)
        case FunnelCard() as card:
            return _funnel(scribe, card, rows)
        case MatrixCard() as card:
            return _matrix(scribe, card, rows)
        case other:
            raise TypeError(f"no view for a card of display {type(other).__name__}")


def safe_link(value: Any) -> str | None:
    """Return `value` if it is a web address; `javascript:` and its like never become a link."""
    text = str(value or "")
    return text if re.match(r"https?://[^\s\"'<>]+$", text, re.IGNORECASE) else None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _number(scribe: Scribe, card: NumberCard, rows: Sequence[Row]) -> View:
    if not rows:
        return scribe.empty("number")
    row, writer = rows[-1], scribe.writer
    state = str(row[card.state]) if card.state else "known"
    missing = str(scribe.raw(row, card.missing) or "") if card.missing else ""
    title = scribe.title()
    if state == "partial" and card.partial_title is not None:
        title = card.partial_title.in_(writer.locale)
    period = Fact(scribe.say("period"), scribe.text(row, card.period))
    if state == "not_connected":
        note = scribe.say("connect", missing=missing) if missing else ""
        words = scribe.say("not_connected")
        return NumberView(
            kind="number", title=title, text=words, is_missing=True, note=note,
            facts=(period, *scribe.closing()),
            lines=(f"{title}: {words}" + (f" ({missing})" if missing else ""),),
        )  # fmt: skip
    # What stands in brackets explains; on a tile two words must do, the rest is one tap deeper.
    short = missing.split(" (")[0]
    note = scribe.say("without", missing=short) if state == "partial" and missing else ""
    value = row[card.value]
    if value is None:
        words = scribe.say("nothing_to_count")
        return NumberView(
            kind="number", title=title, text=ABSENT, is_missing=True, note=note or words,
            facts=(period, *scribe.closing()), lines=(f"{title}: {ABSENT} ({words})",),
        )  # fmt: skip
    history = [_float(one[card.value]) for one in rows]
    usual_value = row[card.previous] if card.previous else None
    change = judge(history, _float(usual_value), is_count=card.measure == "count")
    exact, usual_text = scribe.text(row, card.value), ""
    if card.previous and usual_value is not None:
        usual_text = scribe.text(row, card.previous, compact=True)
    arrow, delta, tone = _delta(change, card.better, writer)
    runs = charts.sparkline(history[-_SPARK_PERIODS:])
    ends = bool(runs) and history[-1] is not None
    line = f"{title}: {exact}"
    if usual_text:
        usually = scribe.say("usual", value=usual_text)
        line += f" ({', '.join(part for part in (arrow + delta, usually) if part)})"
    return NumberView(
        kind="number", title=title, note=note, arrow=arrow, delta=delta, delta_tone=tone,
        text=scribe.text(row, card.value, compact=True),
        usual=scribe.say("usual", value=usual_text) if usual_text else "",
        spark=tuple(tuple(run) for run in runs), spark_end=runs[-1][-1] if ends else None,
        facts=(period, *_number_facts(scribe, card, row, change), *scribe.closing()),
        lines=(line + (f" — {note}" if note else ""),),
    )  # fmt: skip


def _delta(change: Change | None, better: str, writer: Writer) -> tuple[str, str, str]:
    if change is None or change.usual is None or change.difference == 0:
        return "", "", "calm"
    rises = change.difference > 0
    arrow = "▲" if rises else "▼"
    if change.ratio is None:
        return arrow, "", "calm"
    delta = writer.change(change.ratio)
    if change.verdict != "notable" or better == "neutral":
        return ("+" if rises else "−"), delta, "calm"
    return arrow, delta, "good" if rises == (better == "up") else "bad"


def _number_facts(scribe: Scribe, card: NumberCard, row: Row, change: Change | None) -> list[Fact]:
    facts = [Fact(scribe.say("exact"), scribe.text(row, card.value))]
    if card.previous and row[card.previous] is not None:
        usual = scribe.text(row, card.previous)
        facts.append(Fact(scribe.say("usual_label"), f"{usual} ({scribe.say('usual_how')})"))
    if change is not None and change.usual is not None:
        verdict = scribe.say(f"verdict_{change.verdict}")
        facts.append(Fact(scribe.say("verdict"), verdict))
    if card.low and card.high and row[card.low] is not None and row[card.high] is not None:
        kind = scribe.columns[card.value].format
        low = scribe.text(row, card.low, kind=kind)
        high = scribe.text(row, card.high, kind=kind)
        facts.append(Fact(scribe.say("interval"), scribe.say("interval_value", low=low, high=high)))
    if card.n and row[card.n] is not None:
        facts.append(Fact(scribe.say("n"), scribe.writer.number(row[card.n])))
    if card.plan and row[card.plan] is not None:
        facts.append(Fact(scribe.say("plan"), scribe.text(row, card.plan)))
    if card.state and row[card.state] == "partial":
        missing = str(scribe.raw(row, card.missing) or "") if card.missing else ""
        said = scribe.say("without", missing=missing) if missing else scribe.say("state_partial")
        facts.append(Fact(scribe.say("state"), said))
    return facts


def _headline(scribe: Scribe, card: HeadlineCard, rows: Sequence[Row]) -> View:
    by_metric: dict[str, list[Row]] = {name: [] for name in card.metrics}
    for row in sorted(rows, key=lambda one: one[card.period]):
        if row[card.metric_column] in by_metric:
            by_metric[row[card.metric_column]].append(row)
    # A source that stopped must not be spoken of as last week.
    newest = max((row[card.period] for row in rows), default=None)
    changes: dict[str, Change] = {}
    for name, metric in card.metrics.items():
        history = by_metric[name]
        if not history or history[-1][card.period] != newest:
            continue
        change = judge(
            [_float(row[card.value]) for row in history],
            _float(history[-1][card.previous]),
            is_count=metric.measure == "count",
        )
        if change is not None:
            changes[name] = change
    if not changes:
        return scribe.empty("headline")
    judged = {name: one for name, one in changes.items() if one.verdict != "unknown"}
    notable = {name: one for name, one in judged.items() if one.verdict == "notable"}
    if not judged:
        name = next(iter(changes))
        sentence = _capital(_clause(scribe, card, name, changes[name])) + "."
        return _headline_view(scribe, sentence, scribe.say("headline_unknown"), "calm")
    name = max(notable or judged, key=lambda one: judged[one].size)
    change, metric = judged[name], card.metrics[name]
    fact = _fact(scribe, card, name, change)
    if not notable:
        second = ""
        if change.difference:
            second = scribe.say("headline_usual_largest", fact=fact)
        return _headline_view(scribe, scribe.say("headline_usual"), second, "calm")
    usual = scribe.writer.value(_tidy(change.usual, metric.format), metric.format)
    tone = "good" if (change.difference > 0) == (metric.better == "up") else "bad"
    second = scribe.say("headline_notable", usual=usual)
    tone = "calm" if metric.better == "neutral" else tone
    return _headline_view(scribe, _capital(fact) + ".", second, tone)


def _headline_view(scribe: Scribe, sentence: str, second: str, tone: str) -> HeadlineView:
    return HeadlineView(
        kind="headline",
        title=scribe.title(),
        sentence=tied(sentence),
        second=tied(second),
        tone=tone,
        facts=(Fact(scribe.say("verdict"), scribe.say("verdict_how")),),
        lines=tuple(part for part in (sentence, second) if part),
    )


def _tidy(value: float | None, kind: Format) -> float | None:
    if value is None or kind != "integer":
        return value
    return round(value, 1) if abs(value) < 10 else value


def _clause(scribe: Scribe, card: HeadlineCard, name: str, change: Change) -> str:
    metric = card.metrics[name]
    filled = fill(
        metric.clause.in_(scribe.writer.locale),
        {"value": change.value},
        lambda _: scribe.writer.value(change.value, metric.format),
        scribe.writer,
    )
    return "".join(segment.text for segment in filled)


def _fact(scribe: Scribe, card: HeadlineCard, name: str, change: Change) -> str:
    metric, writer = card.metrics[name], scribe.writer
    clause = _clause(scribe, card, name, change)
    comma = "," if writer.locale == "en" else "\u00a0—"
    if change.difference == 0 or change.usual is None:
        return clause
    if change.value == 0:
        usual = writer.value(_tidy(change.usual, metric.format), metric.format)
        return f"{clause}{comma} {scribe.say('usually', usual=usual)}"
    if change.ratio is None:
        size = writer.value(abs(change.difference), metric.format)
        by = f"на {size}" if writer.locale == "ru" else size
    else:
        by = writer.change_by(change.ratio)
    word = (metric.more if change.difference > 0 else metric.less).in_(writer.locale)
    return f"{clause}{comma} {scribe.say('than_usual', change=by, word=word)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _progress(scribe: Scribe, card: ProgressCard, rows: Sequence[Row]) -> View:
    planned = [row for row in rows if row[card.goal]]
    if not planned:
        return scribe.empty("progress")
    writer = scribe.writer
    measures: list[ProgressLine] = []
    lines: list[str] = []
    period = scribe.text(planned[0], card.period)
    passed_share = _float(planned[0][card.elapsed])
    for row in planned:
        kind = card.formats.get(str(row[card.label]), scribe.columns[card.value].format)
        value, goal = float(row[card.value] or 0), float(row[card.goal])
        elapsed = _float(row[card.elapsed])
        label = scribe.text(row, card.label)
        of_plan = scribe.say(
            "of_plan",
            value=writer.value(_tidy(value, kind), kind),
            plan=writer.value(row[card.goal], kind),
        )
        pace = _Pace(
            kind=kind,
            value=value,
            goal=goal,
            forecast=_float(row[card.forecast]),
            is_over=elapsed is None or elapsed >= 1,
            lower_is_better=str(row[card.label]) in card.lower_is_better,
        )
        forecast, tone = _pace(scribe, pace, row[card.period])
        share = writer.change(value / goal)
        measures.append(
            ProgressLine(
                label=label, share=share, of_plan=of_plan, forecast=tied(forecast), tone=tone,
                filled=round(min(value / goal, 1.0) * 100, 1),
                passed=round(elapsed * 100, 1) if elapsed and elapsed < 1 else None,
            )
        )  # fmt: skip
        lines.append(f"{scribe.title()}, {period}: {label} {of_plan} ({share}). {forecast}")
    passed = ""
    if passed_share is not None and passed_share < 1:
        passed = scribe.say("elapsed", share=writer.change(passed_share))
    return ProgressView(
        kind="progress", title=scribe.title(), period=period, passed=passed,
        measures=tuple(measures[: card.rows]),
        deeper=tuple(measures[card.rows :]), facts=scribe.closing(), lines=tuple(lines),
    )  # fmt: skip


@dataclass(frozen=True)
class _Pace:
    kind: Format
    value: float
    goal: float
    forecast: float | None
    is_over: bool
    lower_is_better: bool


def _pace(scribe: Scribe, pace: _Pace, period: Any) -> tuple[str, str]:
    writer = scribe.writer
    name = writer.month(period).rsplit(" ", 1)[0]
    reached = pace.value if pace.is_over else pace.forecast
    if reached is None:
        return scribe.say("pace_early", period=name) + ".", "calm"
    if pace.kind == "integer":
        reached = float(round(reached))
    elif pace.kind == "money" and abs(reached) >= 10_000 and not pace.is_over:
        # A projection to the rouble would claim a precision it does not have.
        reached = float(round(reached, 3 - len(str(int(abs(reached))))))
    gap = reached / pace.goal - 1
    key = "on" if abs(gap) < _ON_PLAN else "over" if gap > 0 else "under"
    said = scribe.say(
        f"{'done' if pace.is_over else 'pace'}_{key}",
        period=name,
        forecast=writer.value(reached, pace.kind),
        change=writer.change_by(gap),
    )
    is_good = key == "on" or (gap > 0) != pace.lower_is_better
    return _capital(said) + ".", "good" if is_good else "bad"


_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?:([~?])([^{}]*))?\}")


def fill(
    template: str, row: Row, text_of: Callable[[str], str], writer: Writer
) -> tuple[Segment, ...]:
    """Return `template` with its placeholders filled from `row`.

    Args:
        template: Words with `{column}`, `{column~one|few|many}`, `{column?one|few|many}` (the word
            alone) and `[[optional parts]]`.
        row: The values.
        text_of: Writes the value of a column.
        writer: The language, for the form of a noun.

    Returns:
        Plain and strong stretches; nothing in them is HTML.
    """

    def optional(match: re.Match[str]) -> str:
        names = [found[0] for found in _PLACEHOLDER.findall(match[1])]
        return match[1] if any(row.get(name) for name in names) else ""

    segments: list[Segment] = []
    rest = _OPTIONAL.sub(optional, template)
    at = 0
    for match in _PLACEHOLDER.finditer(rest):
        if match.start() > at:
            segments.append(Segment(rest[at : match.start()]))
        name, mark, forms = match[1], match[2], match[3]
        word = writer.plural(row[name] or 0, *forms.split("|")) if forms else ""
        if mark == "?":
            segments.append(Segment(word))
        else:
            segments.append(Segment(text_of(name), strong=True))
            segments.append(Segment("\u00a0" + word if word else ""))
        at = match.end()
    if at < len(rest):
        segments.append(Segment(rest[at:]))
    return tuple(Segment(tied(one.text), one.strong) for one in segments if one.text)


def _holds(condition: Condition, row: Row) -> bool:
    value = row[condition.column]
    match condition.is_:
        case "missing":
            return value is None
        case "zero":
            return value is not None and value == 0
        case "not_zero":
            return value is not None and value != 0
        case "equal":
            return str(value) == str(condition.value)
        case "above":
            return value is not None and float(value) > float(condition.value or 0)
        case _:
            return value is not None and float(value) < float(condition.value or 0)


def _text(scribe: Scribe, card: TextCard, rows: Sequence[Row]) -> View:
    row = rows[0] if rows else None
    choice = None
    if row is not None:
        choice = next((c for c in card.texts if c.when is None or _holds(c.when, row)), None)
    if row is None or choice is None:
        return scribe.empty("text")
    segments = fill(
        choice.text.in_(scribe.writer.locale),
        row,
        lambda name: scribe.text(row, name),
        scribe.writer,
    )
    facts = [
        Fact(scribe.label(name), scribe.text(row, name))
        for name, column in card.columns.items()
        if column.tier == "tap"
    ]
    return TextView(
        kind="text",
        title=scribe.title(),
        segments=segments,
        tone=choice.tone,
        facts=(*facts, *scribe.closing()),
        lines=("".join(segment.text for segment in segments),),
    )


def _is_number(kind: Format) -> bool:
    return kind in {"integer", "decimal", "money", "ratio", "days", "duration", "unit"}


def _table(scribe: Scribe, rows: Sequence[Row], names: Sequence[str], shown: int) -> Table:
    tops = {
        name: max((float(row[name]) for row in rows if row[name] is not None), default=0.0)
        for name in names
        if scribe.columns[name].bar
    }
    body = []
    for row in rows:
        cells = []
        for name in names:
            column = scribe.columns[name]
            bar = None
            if tops.get(name, 0.0) > 0:
                bar = round(max(float(row[name] or 0), 0.0) / tops[name] * 100, 1)
            cells.append(
                Cell(
                    text=scribe.text(row, name),
                    label=scribe.label(name),
                    is_number=_is_number(column.format),
                    href=safe_link(row[column.link]) if column.link else None,
                    tone=column.tones.get(str(scribe.raw(row, name)), "plain"),
                    bar=bar,
                )
            )
        body.append(tuple(cells))
    headings = tuple(
        Cell(text=scribe.label(name), is_number=_is_number(scribe.columns[name].format))
        for name in names
    )
    return Table(headings=headings, rows=tuple(body), shown=shown)


def _table_view(scribe: Scribe, card: TableCard, rows: Sequence[Row]) -> View:
    if not rows:
        return scribe.empty("table")
    names = [name for name, column in card.columns.items() if column.tier == "body"]
    table = _table(scribe, rows, names, card.rows)
    return View(kind="table", title=scribe.title(), table=table, facts=scribe.closing())


def _numbers_below(scribe: Scribe, rows: Sequence[Row]) -> Table:
    return _table(scribe, rows, list(scribe.columns), len(rows))


def _chart(scribe: Scribe, card: ChartCard, rows: Sequence[Row]) -> View:
    if not rows:
        return scribe.empty(card.display)
    if card.display == "row":
        return _row_chart(scribe, card, rows[: card.rows], rows)
    dimensions: list[Any] = []
    for row in rows:
        if row[card.dimension] not in dimensions:
            dimensions.append(row[card.dimension])
    dimensions = dimensions[-card.rows :]
    kept = [row for row in rows if row[card.dimension] in dimensions]
    named: dict[str, dict[Any, float | None]] = {}
    for row in kept:
        for metric in card.metrics:
            name = scribe.text(row, card.series) if card.series else scribe.label(metric)
            named.setdefault(name, {})[row[card.dimension]] = _float(row[metric])
    values = {name: [found.get(one) for one in dimensions] for name, found in named.items()}
    kind = scribe.columns[card.metrics[0]].format
    axis = charts.scale([v for line in values.values() for v in line], whole=kind == "integer")
    series: list[Series] = []
    for index, (name, line) in enumerate(values.items()):
        if card.display == "line":
            runs = charts.line_points(line, axis)
            end = runs[-1][-1] if runs else None
            shape = tuple(tuple(run) for run in runs)
            series.append(Series(name=name, index=index, runs=shape, end=end))
            continue
        bars = charts.column_bars(line, axis, lane=index, lanes=len(values))
        said = tuple(
            (bar, f"{_tick(scribe, card, kept, one)}: {scribe.writer.value(value, kind)}")
            for bar, value, one in zip(bars, line, dimensions, strict=True)
            if bar is not None
        )
        series.append(Series(name=name, index=index, bars=said))
    every = max(1, -(-len(dimensions) // 6))
    last = len(dimensions) - 1
    labels = tuple(
        (_tick(scribe, card, kept, one), (last - at) % every == 0)
        for at, one in enumerate(dimensions)
    )
    known = [value for line in values.values() for value in line if value is not None]
    spoken = scribe.say(
        "chart_of", title=scribe.title(), n=len(known),
        low=scribe.writer.value(min(known, default=None), kind),
        high=scribe.writer.value(max(known, default=None), kind),
    )  # fmt: skip
    return ChartView(
        kind=card.display, title=scribe.title(), series=tuple(series), labels=labels,
        ticks=tuple((_axis_text(scribe, tick, kind), axis.up(tick)) for tick in axis.ticks),
        spoken=spoken, table=_numbers_below(scribe, kept), facts=scribe.closing(),
    )  # fmt: skip


def _axis_text(scribe: Scribe, tick: float, kind: Format) -> str:
    writer = scribe.writer
    if kind == "ratio":
        return writer.change(tick).replace(",0", "").replace(".0", "")
    for size, ru, en in ((1e9, "млрд", "B"), (1e6, "млн", "M"), (1e3, "тыс.", "k")):
        if abs(tick) >= size:
            scaled = tick / size
            number = writer.number(scaled, 0 if scaled == int(scaled) else 1)
            return f"{number}\u00a0{ru}" if writer.locale == "ru" else f"{number}{en}"
    return writer.number(tick, 0 if tick == int(tick) else 1)


def _tick(scribe: Scribe, card: ChartCard, rows: Sequence[Row], value: Any) -> str:
    kind = scribe.columns[card.dimension].format
    row = next(one for one in rows if one[card.dimension] == value)
    if isinstance(value, dt.date):
        if kind == "period":
            kind = "month" if row.get("period_type") == "month" else "week"
        return scribe.writer.tick(value, kind)
    return scribe.text(row, card.dimension)


def _row_chart(scribe: Scribe, card: ChartCard, shown: Sequence[Row], rows: Sequence[Row]) -> View:
    tops = {
        metric: max((float(row[metric]) for row in rows if row[metric] is not None), default=0.0)
        for metric in card.metrics
    }
    # Measures of one format share a scale, or two bars side by side would lie.
    formats = {metric: scribe.columns[metric].format for metric in card.metrics}
    shared = {
        kind: max(top for metric, top in tops.items() if formats[metric] == kind)
        for kind in formats.values()
    }
    bars = []
    for row in shown:
        values = []
        for index, metric in enumerate(card.metrics):
            top = shared[formats[metric]]
            size = max(float(row[metric] or 0), 0.0) / top * 100 if top > 0 else 0.0
            values.append((scribe.text(row, metric), round(size, 1), index))
        bars.append(RowBar(label=scribe.text(row, card.dimension), values=tuple(values)))
    names = tuple(
        Series(name=scribe.label(metric), index=index) for index, metric in enumerate(card.metrics)
    )
    return ChartView(
        kind="row", title=scribe.title(), rows=tuple(bars), series=names,
        table=_numbers_below(scribe, rows), facts=scribe.closing(),
    )  # fmt: skip


def _funnel(scribe: Scribe, card: FunnelCard, rows: Sequence[Row]) -> View:
    counts = [_float(row[card.value]) or 0.0 for row in rows]
    if not rows or max(counts) <= 0:
        return scribe.empty("funnel")
    lost = [0.0, *(before - after for before, after in itertools.pairwise(counts))]
    worst = max(range(len(lost)), key=lambda at: lost[at])
    top = max(counts)
    steps = []
    for at, row in enumerate(rows):
        share = ""
        if at and card.ratio and row[card.ratio] is not None:
            ratio = scribe.text(row, card.ratio)
            share = scribe.say("funnel_share", ratio=ratio)
        elif at and counts[at - 1] > 0:
            ratio = scribe.writer.ratio(counts[at] / counts[at - 1])
            share = scribe.say("funnel_share", ratio=ratio)
        gone = ""
        if lost[at] > 0:
            gone = scribe.say("funnel_lost", n=scribe.writer.number(lost[at]))
        steps.append(
            Step(
                label=scribe.text(row, card.step),
                text=scribe.text(row, card.value),
                filled=round(counts[at] / top * 100, 1),
                share=share,
                lost=gone,
                is_worst=at == worst and lost[at] > 0,
            )
        )
    return FunnelView(
        kind="funnel", title=scribe.title(), steps=tuple(steps),
        table=_numbers_below(scribe, rows), facts=scribe.closing(),
    )  # fmt: skip


def _matrix(scribe: Scribe, card: MatrixCard, rows: Sequence[Row]) -> View:
    if not rows:
        return scribe.empty("matrix")
    kind = scribe.columns[card.value].format
    additive = kind in {"integer", "money", "decimal"}
    sums: dict[tuple[str, str], float] = {}
    for row in rows:
        pair = (scribe.text(row, card.row), scribe.text(row, card.column))
        sums[pair] = sums.get(pair, 0.0) + (_float(row[card.value]) or 0.0)
    other = scribe.say("other")
    row_names = _kept([pair[0] for pair in sums], card.max_rows, other)
    column_names = _kept_by_size(sums, card.max_columns, other)
    folded: dict[tuple[str, str], float] = {}
    for (one, two), value in sums.items():
        pair = (one if one in row_names else other, two if two in column_names else other)
        folded[pair] = folded.get(pair, 0.0) + value
    flat = [folded.get((one, two)) for one in row_names for two in column_names]
    depth = charts.shades(flat)
    body = []
    for at, one in enumerate(row_names):
        start = at * len(column_names)
        values = flat[start : start + len(column_names)]
        cells = tuple(
            (scribe.writer.value(value, kind) if value else "", depth[start + n])
            for n, value in enumerate(values)
        )
        total = scribe.writer.value(sum(v or 0.0 for v in values), kind) if additive else ""
        body.append(MatrixRow(label=one, cells=cells, total=total))
    corner = f"{scribe.label(card.row)} / {scribe.label(card.column)}"
    return MatrixView(
        kind="matrix", title=scribe.title(), corner=corner, headings=tuple(column_names),
        rows=tuple(body), total_label=scribe.say("total") if additive else "",
        facts=scribe.closing(),
    )  # fmt: skip


def _kept(names: Sequence[str], most: int, other: str) -> list[str]:
    unique = list(dict.fromkeys(names))
    return unique if len(unique) <= most else [*unique[: most - 1], other]


def _kept_by_size(sums: Mapping[tuple[str, str], float], most: int, other: str) -> list[str]:
    size: dict[str, float] = {}
    for (_, name), value in sums.items():
        size[name] = size.get(name, 0.0) + value
    ordered = sorted(size, key=lambda name: -size[name])
    return ordered if len(ordered) <= most else [*ordered[: most - 1], other]


__all__ = ["Scribe", "View", "fill", "safe_link", "view"]
