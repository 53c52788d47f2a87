"""Views of rows: tables, charts, funnels and heat tables."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestration.lib import page_charts as charts
from orchestration.lib.cards import (
    NUMERIC_FORMATS,
    ChartCard,
    Format,
    FunnelCard,
    MatrixCard,
    TableCard,
)
from orchestration.lib.page_view_types import (
    Cell,
    ChartView,
    FunnelView,
    MatrixRow,
    MatrixView,
    Row,
    RowBar,
    Scribe,
    Series,
    Step,
    Table,
    View,
)

# A list of deals is for looking into, not for reading through: the page would be megabytes.
_MOST_DEALS = 8
_MOST_ROWS = 30


def safe_link(value: Any) -> str | None:
    """Return `value` if it is a web address; `javascript:` and its like never become a link."""
    text = str(value or "")
    return text if re.match(r"https?://[^\s\"'<>]+$", text, re.IGNORECASE) else None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


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
                    is_number=column.format in NUMERIC_FORMATS,
                    href=safe_link(row[column.link]) if column.link else None,
                    jump=scribe.jump(row, name),
                    tone=column.tones.get(str(scribe.raw(row, name)), "plain"),
                    bar=bar,
                )
            )
        body.append(tuple(cells))
    headings = tuple(
        Cell(text=scribe.label(name), is_number=scribe.columns[name].format in NUMERIC_FORMATS)
        for name in names
    )
    return Table(headings=headings, rows=tuple(body), shown=shown)


def table_view(scribe: Scribe, card: TableCard, rows: Sequence[Row]) -> View:
    """Return the rows as a table."""
    if not rows:
        return scribe.empty("table")
    names = [name for name, column in card.columns.items() if column.tier == "body"]
    is_list = any(column.link for column in card.columns.values())
    most = max(_MOST_DEALS if is_list else _MOST_ROWS, card.rows)
    table = _table(scribe, rows[:most], names, card.rows)
    if len(rows) > most:
        key = "first_rows"
        if scribe.has_metabase:
            key = "first_rows_and_choice" if scribe.elsewhere else "first_rows_in_metabase"
        choice = ", ".join(name.lower() for name in scribe.elsewhere)
        table = replace(table, cut=scribe.say(key, n=most, choice=choice))
    return View(kind="table", title=scribe.title(), table=table, facts=scribe.closing())


def _numbers_below(scribe: Scribe, rows: Sequence[Row]) -> Table:
    return _table(scribe, rows, list(scribe.columns), len(rows))


def chart_view(scribe: Scribe, card: ChartCard, rows: Sequence[Row]) -> View:
    """Return bars or lines over a dimension."""
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
            values.append(
                (scribe.text(row, metric), round(size, 1), index, scribe.jump(row, metric))
            )
        bars.append(RowBar(label=scribe.text(row, card.dimension), values=tuple(values)))
    names = tuple(
        Series(name=scribe.label(metric), index=index) for index, metric in enumerate(card.metrics)
    )
    return ChartView(
        kind="row", title=scribe.title(), rows=tuple(bars), series=names,
        table=_numbers_below(scribe, rows), facts=scribe.closing(),
    )  # fmt: skip


def funnel_view(scribe: Scribe, card: FunnelCard, rows: Sequence[Row]) -> View:
    """Return the steps with what is lost between them."""
    counts = [_float(row[card.value]) or 0.0 for row in rows]
    if not rows or max(counts) <= 0:
        return scribe.empty("funnel")
    lost = [0.0, *(before - after for before, after in itertools.pairwise(counts))]
    # Of a single gap the largest says nothing.
    worst = max(range(len(lost)), key=lambda at: lost[at]) if len(lost) > 2 else None
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


def matrix_view(scribe: Scribe, card: MatrixCard, rows: Sequence[Row]) -> View:
    """Return the pairs of values; what does not fit is summed as "other"."""
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
