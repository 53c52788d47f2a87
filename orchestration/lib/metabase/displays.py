"""How each display of a card looks in Metabase: the query it runs, its display and its settings.

Metabase draws what a query returns, so what the page works out in Python is worked out in SQL
around the card's own: the last period, the share of a plan, words for codes. What Metabase cannot
draw stays a table of the same numbers:

    page       Metabase      why
    number     smartscalar   against what is usual; scalar of the newest row where nothing compares
    headline   table         the judgement of what is notable is the page's; here all numbers of the
                             last period stand beside what is usual, the largest change first
    progress   table         Metabase's progress holds one measure; a plan has several
    text       table         one row; scalar where it is one value: Metabase has no text from data
    matrix     table         pivoted by the browser: Metabase's own pivot takes no SQL
    others     the same
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestration.lib.cards import (
    NUMERIC_FORMATS,
    TIME_FORMATS,
    CardBase,
    ChartCard,
    Column,
    Format,
    FunnelCard,
    HeadlineCard,
    Localised,
    MatrixCard,
    NumberCard,
    ProgressCard,
    TableCard,
    TextCard,
)
from orchestration.lib.metabase.formats import (
    TONE_COLOURS,
    Company,
    column_key,
    column_settings,
    expression,
    format_settings,
    formats_sql,
    identifier,
    is_day_of_moment,
    text_literal,
)

_DONE = Localised(en="Done", ru="Выполнено")
_CHANGE = Localised(en="Against usual", ru="К обычному")
_USUAL = Localised(en="Usually", ru="Обычно")
_NUMBER = Localised(en="Number", ru="Показатель")

_ADDITIVE = frozenset({"integer", "decimal", "money", "duration", "days"})

# In rows of the grid: below these a title leaves no room for what stands under it.
_LEAST_HEIGHT = {"smartscalar": 3, "scalar": 3, "table": 4}
_LEAST_CHART_HEIGHT = 5


@dataclass(frozen=True)
class Output:
    """A column of the query Metabase runs.

    Attributes:
        name: Its name.
        sql: What it reads of `answer`, the card's own result.
        settings: Its `column_settings`.
        is_hidden: Whether tables leave it out: it is there for a tap.
    """

    name: str
    sql: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_hidden: bool = False


@dataclass(frozen=True)
class Shown:
    """A card as Metabase gets it."""

    display: str
    sql: str
    outputs: tuple[Output, ...]
    settings: Mapping[str, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the result's columns."""
        return tuple(output.name for output in self.outputs)

    @property
    def least_height(self) -> int:
        """Return how many grid rows the display needs."""
        return _LEAST_HEIGHT.get(self.display, _LEAST_CHART_HEIGHT)


def shown(company: Company, card: CardBase) -> Shown:
    """Return the query, display and settings of a card.

    Args:
        company: Language, currency and clock.
        card: The card.

    Returns:
        What Metabase gets; its settings name only columns the query returns.
    """
    made = _own_display(company, card)
    over = card.metabase
    if over.display is not None and over.display != made.display:
        made = replace(_plain(company, card, over.display), display=over.display)
    if over.settings:
        made = replace(made, settings=_merged(made.settings, over.settings))
    return made


def _own_display(company: Company, card: CardBase) -> Shown:
    match card:
        case NumberCard():
            return _number(company, card)
        case HeadlineCard():
            return _headline(company, card)
        case ProgressCard():
            return _progress(company, card)
        case TextCard():
            return _text(company, card)
        case TableCard():
            return _table(company, card)
        case ChartCard():
            return _chart(company, card)
        case FunnelCard():
            return _funnel(company, card)
        case MatrixCard():
            return _matrix(company, card)
        case other:
            raise TypeError(f"no display in Metabase for {type(other).__name__}")


def query(sql: str, outputs: Sequence[Output], tail: str = "", source: str = "") -> str:
    """Return the query around a card's SQL.

    Args:
        sql: The card's SQL; filters stay in it as they are.
        outputs: The columns to return.
        tail: What follows the source, such as an order.
        source: What stands for `answer` instead of the card's SQL; `{answer}` is the SQL.

    Returns:
        One select, whose lines an analyst can read. The order of the card's SQL is kept: both
        engines pass rows of a subquery on as they come.
    """
    columns = ",\n".join(f"    {output.sql} as {identifier(output.name)}" for output in outputs)
    # A line of its own closes the bracket: the SQL may end in a comment.
    answer = f"(\n{sql.strip()}\n) as answer"
    read = source.replace("{answer}", answer) if source else answer
    return f"select\n{columns}\nfrom {read}" + (f"\n{tail}" if tail else "")


def _outputs(
    company: Company,
    card: CardBase,
    names: Iterable[str] | None = None,
    *,
    taps: bool = True,
    in_table: bool = False,
) -> list[Output]:
    """Return columns of a card, by default all; with `taps` then those that a tap needs."""
    chosen = list(names or sorted(card.columns, key=lambda name: card.columns[name].tier == "tap"))
    found = []
    for name in chosen:
        column = card.columns[name]
        sql, settings = expression(company, column, name), column_settings(company, column)
        if in_table and column.format == "month" and not column.values:
            # Metabase writes no month without its day; an axis needs the date.
            sql = f"substr(cast({sql} as varchar), 1, 7)"
            settings = {"column_title": settings["column_title"]}
        if taps and column.link is not None:
            address = passed_name(card, column.link)
            settings |= {"view_as": "link", "link_url": f"{{{{{address}}}}}"}
        found.append(Output(name, sql, settings))
    return found + (list(_behind(card, chosen)) if taps else [])


def _behind(card: CardBase, names: Sequence[str]) -> Iterator[Output]:
    taken = set(names)
    for name in names:
        column = card.columns[name]
        for wanted in ([column.link] if column.link else []) + list(column.passes.values()):
            passed = passed_name(card, wanted)
            if passed not in taken:
                taken.add(passed)
                yield Output(passed, f"answer.{identifier(wanted)}", is_hidden=True)


def passed_name(card: CardBase, wanted: str) -> str:
    """Return the output that holds column `wanted` as it stands in the data.

    A filter of the list behind a number waits for the code, not for the word shown.
    """
    column = card.columns.get(wanted)
    rewritten = column is not None and (
        bool(column.values)
        or column.source is not None
        or column.format in {"unit", "datetime", "month"}
        or is_day_of_moment(column, wanted)
        or wanted.endswith("_name")
    )
    return f"{wanted}_in_data" if rewritten else wanted


def _settings(outputs: Iterable[Output], **settings: Any) -> dict[str, Any]:
    columns = {column_key(one.name): dict(one.settings) for one in outputs if one.settings}
    found: dict[str, Any] = {key.replace("__", "."): value for key, value in settings.items()}
    if columns:
        found["column_settings"] = columns
    return found


def _table_settings(
    company: Company, card: CardBase, outputs: Sequence[Output], **settings: Any
) -> dict[str, Any]:
    found = _settings(outputs, **settings)
    found["table.columns"] = [
        {"name": output.name, "enabled": not output.is_hidden} for output in outputs
    ]
    if colours := list(_colours(company, card, {output.name for output in outputs})):
        found["table.column_formatting"] = colours
    return found


def _colours(company: Company, card: CardBase, names: set[str]) -> Iterator[dict[str, Any]]:
    for name, column in card.columns.items():
        for code, tone in column.tones.items():
            if name in names and tone in TONE_COLOURS:
                word = column.values.get(code)
                yield {
                    "columns": [name],
                    "type": "single",
                    "operator": "=",
                    "value": company.say(word) if word else code,
                    "color": TONE_COLOURS[tone],
                    "highlight_row": False,
                }


def _plain(company: Company, card: CardBase, display: str) -> Shown:
    """Return every column of the card, for a display the file asks for by name."""
    is_table = display == "table"
    outputs = _outputs(company, card, in_table=is_table)
    settings = _table_settings(company, card, outputs) if is_table else _settings(outputs)
    return Shown(display, query(card.sql, outputs), tuple(outputs), settings)


def _merged(made: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**made, **over}
    if "column_settings" in over:
        columns = {key: dict(value) for key, value in made.get("column_settings", {}).items()}
        for name, settings in over["column_settings"].items():
            key = name if name.startswith("[") else column_key(name)
            columns[key] = {**columns.get(key, {}), **settings}
        merged["column_settings"] = columns
    return merged


def _number(company: Company, card: NumberCard) -> Shown:
    if card.previous is None:
        outputs = _outputs(company, card, [card.value], taps=False)
        tail = f"order by answer.{identifier(card.period)} desc nulls last\nlimit 1"
        sql = query(card.sql, outputs, tail)
        return Shown("scalar", sql, tuple(outputs), _settings(outputs, scalar__field=card.value))
    # A trend takes its one date for the axis, and compares the last row.
    outputs = _outputs(company, card, [card.period, card.value, card.previous], taps=False)
    settings = _settings(
        outputs,
        scalar__field=card.value,
        scalar__comparisons=[
            {
                "id": "usual",
                "type": "anotherColumn",
                "column": card.previous,
                "label": company.say(_USUAL),
            }
        ],
    )
    if card.better == "down":
        settings["scalar.switch_positive_negative"] = True
    return Shown("smartscalar", query(card.sql, outputs), tuple(outputs), settings)


def _percent_output(company: Company, name: str, label: Localised, sql: str, **more: Any) -> Output:
    settings = {"column_title": company.say(label), **format_settings(company, "ratio"), **more}
    return Output(name, sql, settings)


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _as_float(name: str) -> str:
    return f"cast(answer.{identifier(name)} as double precision)"


def _text_output(
    company: Company, column: Column, name: str, code: str, formats: Mapping[str, Format]
) -> Output:
    other: Format = column.format if column.format in NUMERIC_FORMATS - {"unit"} else "decimal"
    sql = formats_sql(
        company, f"answer.{identifier(name)}", f"answer.{identifier(code)}", formats, other
    )
    return Output(name, sql, {"column_title": company.say(column.label), "text_align": "right"})


def _headline(company: Company, card: HeadlineCard) -> Shown:
    columns = card.columns
    formats: dict[str, Format] = {name: one.format for name, one in card.metrics.items()}
    usual = _as_float(card.previous)
    outputs = [
        *_outputs(company, card, [card.metric_column, card.period], taps=False, in_table=True),
        _text_output(company, columns[card.value], card.value, card.metric_column, formats),
        _text_output(company, columns[card.previous], card.previous, card.metric_column, formats),
        _percent_output(
            company,
            _free("change_ratio", columns),
            _CHANGE,
            f"{_as_float(card.value)} / nullif({usual}, 0) - 1",
        ),
    ]
    period = identifier(card.period)
    source = (
        f"(\n    select answer.*, max(answer.{period}) over () as last_period\n"
        "    from {answer}\n) as answer"
    )
    spoken = ", ".join(text_literal(name) for name in card.metrics)
    tail = (
        f"where answer.{period} = answer.last_period\n"
        f"    and answer.{identifier(card.metric_column)} in ({spoken})\n"
        f"order by abs({_as_float(card.value)} / nullif({usual}, 0) - 1) desc nulls last"
    )
    sql = query(card.sql, outputs, tail, source)
    return Shown("table", sql, tuple(outputs), _table_settings(company, card, outputs))


def _progress(company: Company, card: ProgressCard) -> Shown:
    columns = card.columns
    done = f"{_as_float(card.value)} / nullif({_as_float(card.goal)}, 0)"
    outputs = [
        *_outputs(company, card, [card.label], taps=False, in_table=True),
        *(
            _text_output(company, columns[name], name, card.label, card.formats)
            for name in (card.value, card.goal)
        ),
        _percent_output(company, _free("done_ratio", columns), _DONE, done, show_mini_bar=True),
        _text_output(company, columns[card.forecast], card.forecast, card.label, card.formats),
        *_outputs(company, card, [card.elapsed, card.period], taps=False, in_table=True),
        *(_outputs(company, card, [card.missing], taps=False) if card.missing else []),
    ]
    sql = query(card.sql, outputs)
    return Shown("table", sql, tuple(outputs), _table_settings(company, card, outputs))


def _text(company: Company, card: TextCard) -> Shown:
    if len(card.columns) == 1:
        outputs = _outputs(company, card, taps=False)
        sql = query(card.sql, outputs, "limit 1")
        (name,) = card.columns
        return Shown("scalar", sql, tuple(outputs), _settings(outputs, scalar__field=name))
    return _plain(company, card, "table")


def _table(company: Company, card: TableCard) -> Shown:
    return _plain(company, card, "table")


def _chart(company: Company, card: ChartCard) -> Shown:
    outputs = _outputs(company, card)
    dimension = card.columns[card.dimension]
    is_time = dimension.format in TIME_FORMATS
    settings = _settings(
        outputs,
        graph__dimensions=[card.dimension, *([card.series] if card.series else [])],
        graph__metrics=list(card.metrics),
        graph__x_axis__scale="timeseries" if is_time else "ordinal",
        graph__x_axis__labels_enabled=False,
        graph__y_axis__labels_enabled=False,
    )
    if card.series is None:
        settings["series_settings"] = _series(company, card)
    if card.display in {"bar", "row"} and len(card.metrics) == 1 and card.series is None:
        settings |= {"graph.show_values": True, "graph.label_value_frequency": "fit"}
    return Shown(card.display, query(card.sql, outputs), tuple(outputs), settings)


def _series(company: Company, card: ChartCard) -> dict[str, dict[str, Any]]:
    first = card.columns[card.metrics[0]].format
    found: dict[str, dict[str, Any]] = {}
    for metric in card.metrics:
        column = card.columns[metric]
        found[metric] = {"title": company.say(column.label)}
        # Sums and shares on one axis would flatten the shares to nothing.
        if column.format != first and card.display != "row":
            found[metric]["axis"] = "right"
    return found


def _funnel(company: Company, card: FunnelCard) -> Shown:
    outputs = _outputs(company, card, [card.step, card.value])
    settings = _settings(
        outputs, funnel__dimension=card.step, funnel__metric=card.value, funnel__type="funnel"
    )
    return Shown("funnel", query(card.sql, outputs), tuple(outputs), settings)


def _matrix(company: Company, card: MatrixCard) -> Shown:
    names = [card.row, card.column, card.value]
    # Three columns exactly: with more the browser does not pivot.
    outputs = _outputs(company, card, names, taps=False, in_table=True)
    tail = ""
    if card.columns[card.value].format in _ADDITIVE:
        # Two codes may share a word; of two values for one cell the browser would show one.
        outputs[2] = replace(outputs[2], sql=f"sum({outputs[2].sql})")
        tail = "group by 1, 2"
    settings = _table_settings(
        company,
        card,
        outputs,
        table__pivot=True,
        table__pivot_column=card.column,
        table__cell_column=card.value,
    )
    return Shown("table", query(card.sql, outputs, tail), tuple(outputs), settings)


__all__ = ["Output", "Shown", "passed_name", "query", "shown"]
