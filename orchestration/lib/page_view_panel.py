"""Views of the first screen: a number against its past, the sentence of the week, plan, text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.lib import page_charts as charts
from orchestration.lib.cards import (
    Condition,
    Format,
    HeadlineCard,
    NumberCard,
    ProgressCard,
    TextCard,
)
from orchestration.lib.page_changes import Change, judge
from orchestration.lib.page_formats import ABSENT, Writer, tied
from orchestration.lib.page_view_types import (
    Fact,
    HeadlineView,
    NumberView,
    ProgressLine,
    ProgressView,
    Row,
    Scribe,
    Segment,
    TextView,
    View,
)

_SPARK_PERIODS = 13
_ON_PLAN = 0.005


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def number_view(scribe: Scribe, card: NumberCard, rows: Sequence[Row]) -> View:
    """Return the newest value against what is usual, or in words what is missing."""
    if not rows:
        return scribe.empty("number")
    row, writer = rows[-1], scribe.writer
    state = str(row[card.state]) if card.state else "known"
    missing = _missing(scribe, card, row)
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
            kind="number", title=title, text=ABSENT, is_missing=True, note=words,
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
        missing = _missing(scribe, card, row)
        said = scribe.say("without", missing=missing) if missing else scribe.say("state_partial")
        facts.append(Fact(scribe.say("state"), said))
    return facts


def headline_view(scribe: Scribe, card: HeadlineCard, rows: Sequence[Row]) -> View:
    """Return the sentence on the largest change of the newest period."""
    by_metric: dict[str, list[Row]] = {name: [] for name in card.metrics}
    for row in sorted(rows, key=lambda one: one[card.period]):
        if row[card.metric_column] in by_metric:
            by_metric[row[card.metric_column]].append(row)
    # A source that stopped must not be spoken of as the newest week, and that week by its dates:
    # files may end months ago, and a page lies where it was written.
    newest = max((row[card.period] for row in rows), default=None)
    period = "" if newest is None else scribe.writer.week(newest)
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
        sentence = _capital(_clause(scribe, card, name, changes[name], period)) + "."
        return _spoken_headline(scribe, sentence, scribe.say("headline_unknown"), "calm")
    name = max(notable or judged, key=lambda one: judged[one].size)
    change, metric = judged[name], card.metrics[name]
    fact = _fact(scribe, card, name, change, period)
    if not notable:
        second = ""
        if change.difference:
            second = scribe.say("headline_usual_largest", fact=fact)
        return _spoken_headline(scribe, scribe.say("headline_usual"), second, "calm")
    usual = scribe.writer.value(_tidy(change.usual, metric.format), metric.format)
    tone = "good" if (change.difference > 0) == (metric.better == "up") else "bad"
    second = scribe.say("headline_notable", usual=usual)
    tone = "calm" if metric.better == "neutral" else tone
    return _spoken_headline(scribe, _capital(fact) + ".", second, tone)


def _spoken_headline(scribe: Scribe, sentence: str, second: str, tone: str) -> HeadlineView:
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


def _clause(scribe: Scribe, card: HeadlineCard, name: str, change: Change, period: str) -> str:
    metric = card.metrics[name]
    words = {"value": scribe.writer.value(change.value, metric.format), "period": period}
    filled = fill(
        metric.clause.in_(scribe.writer.locale),
        {"value": change.value},
        words.__getitem__,
        scribe.writer,
    )
    return "".join(segment.text for segment in filled)


def _fact(scribe: Scribe, card: HeadlineCard, name: str, change: Change, period: str) -> str:
    metric, writer = card.metrics[name], scribe.writer
    clause = _clause(scribe, card, name, change, period)
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


def progress_view(scribe: Scribe, card: ProgressCard, rows: Sequence[Row]) -> View:
    """Return plan and fact of the running period."""
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
        label = scribe.text(row, card.label)
        head = f"{scribe.title()}, {period}: {label}"
        if row[card.value] is None:
            # A sum nobody measures is not nought, and no pace leads from it.
            unknown = _unknown_progress(scribe, card, row, label, kind)
            measures.append(unknown)
            lines.append(f"{head} {unknown.of_plan}. {unknown.forecast}".rstrip())
            continue
        value, goal = float(row[card.value]), float(row[card.goal])
        elapsed = _float(row[card.elapsed])
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
        missing = _missing(scribe, card, row)
        if missing and card.state and row[card.state] == "partial":
            # As on a tile: what stands in brackets explains.
            left_out = scribe.say("without", missing=missing.split(" (")[0])
            forecast = f"{forecast} {_capital(left_out)}."
        share = writer.change(value / goal)
        measures.append(
            ProgressLine(
                label=label, share=share, of_plan=of_plan, forecast=tied(forecast), tone=tone,
                filled=round(min(value / goal, 1.0) * 100, 1),
                passed=round(elapsed * 100, 1) if elapsed and elapsed < 1 else None,
            )
        )  # fmt: skip
        lines.append(f"{head} {of_plan} ({share}). {forecast}")
    passed = ""
    if passed_share is not None and passed_share < 1:
        passed = scribe.say("elapsed", share=writer.change(passed_share))
    return ProgressView(
        kind="progress", title=scribe.title(), period=period, passed=passed,
        measures=tuple(measures[: card.rows]),
        deeper=tuple(measures[card.rows :]), facts=scribe.closing(), lines=tuple(lines),
    )  # fmt: skip


def _missing(scribe: Scribe, card: NumberCard | ProgressCard, row: Row) -> str:
    return str(scribe.raw(row, card.missing) or "") if card.missing else ""


def _unknown_progress(
    scribe: Scribe, card: ProgressCard, row: Row, label: str, kind: Format
) -> ProgressLine:
    is_off = bool(card.state) and row[str(card.state)] == "not_connected"
    missing = _missing(scribe, card, row)
    plan = scribe.writer.value(row[card.goal], kind)
    return ProgressLine(
        label=label, share="", tone="calm", filled=None, passed=None,
        of_plan=scribe.say(
            "plan_alone", why=scribe.say("not_connected" if is_off else "nothing_to_count"),
            plan=plan,
        ),
        forecast=tied(scribe.say("connect", missing=missing) + ".") if is_off and missing else "",
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


def text_view(scribe: Scribe, card: TextCard, rows: Sequence[Row]) -> View:
    """Return the first wording whose condition holds."""
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
