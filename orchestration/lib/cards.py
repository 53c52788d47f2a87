"""Cards as data: the schema of `dashboards/<name>.yaml`, its checks, and a card's SQL ready to run.

A dashboard file says what an owner sees; the HTML page and Metabase are two renderers of it. So
nothing here knows of HTML or of an API: a file is read, every mistake is named with file, line,
key and the values allowed, and each card's SQL is proved to be one `select` over `marts.*`.

    owner.yaml
      name, order, title, description, owner, methodology, exposure
      filters:   {period: {label, kind, default, values}}
      tabs:      [{key, title, cards: [{key, title, display, sql, columns, layout, ...}]}]

SQL takes filters the way Metabase does: `{{period}}` stands for a condition on the column that the
card binds (`filters: {period: rpt_owner_panel.period_type}`), `[[and {{channel}}]]` is left out
when nothing is chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from orchestration.lib.errors import OrchestrationError

Locale = Literal["ru", "en"]
LOCALES: tuple[Locale, ...] = get_args(Locale)

GRID_COLUMNS = 24
VOCABULARY = "vocabulary.yaml"
_NAME = r"^[a-z][a-z0-9_]{0,59}$"
_BINDING = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
Binding = Annotated[str, StringConstraints(pattern=_BINDING)]
Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

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


class Localised(_Strict):
    """A text in every language of the page."""

    en: Words
    ru: Words

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
        bar: Draws the value as a thin bar behind the number.
        tier: `tap` moves the column into the statistics below the card.
    """

    label: Localised
    format: Format = "text"
    source: LocalisedColumn | None = None
    values: dict[str, Localised] = Field(default_factory=dict)
    tones: dict[str, Tone] = Field(default_factory=dict)
    link: Name | None = None
    bar: bool = False
    tier: Literal["body", "tap"] = "body"


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
        kind: What stands in the bound columns.
        default: The value chosen at first; without one everything is shown.
        values: Words for values, in the order shown. Values not named here follow by alphabet,
            dates from the newest back.
        page_options: How many values the page offers; it holds one rendering per value, so the
            number is its weight. Metabase offers all.
    """

    label: Localised
    kind: Literal["category", "week", "month"] = "category"
    default: str | None = None
    values: dict[str, Localised] = Field(default_factory=dict)
    page_options: int = Field(default=8, ge=0, le=24)


class CardBase(_Strict):
    """What every card has, whatever its display."""

    key: Name
    title: Localised
    description: Localised
    sql: Words
    columns: dict[Name, Column]
    filters: dict[Name, Binding] = Field(default_factory=dict)
    layout: Layout
    tier: Tier = "body"
    empty: Localised
    metric: Name | None = None
    opens: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+/[a-z0-9_]+$")] | None = None

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


class Tab(_Strict):
    """A part of a dashboard with its cards."""

    key: Name
    title: Localised
    cards: list[Card] = Field(min_length=1)


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
        """Yield the cards of all tabs in order."""
        for tab in self.tabs:
            yield from tab.cards


@dataclass(frozen=True)
class DashboardFile:
    """A dashboard and where its parts stand in the file."""

    path: Path
    dashboard: Dashboard
    lines: Mapping[tuple[str | int, ...], int]

    def where(self, card: CardBase, key: str = "") -> str:
        """Return "file:line: card" for a message about `card`."""
        for tab_number, tab in enumerate(self.dashboard.tabs):
            for card_number, other in enumerate(tab.cards):
                if other is card:
                    path = ("tabs", tab_number, "cards", card_number)
                    line = self.lines.get((*path, key) if key else path, self.lines.get(path, 1))
                    spot = f"{card.key}.{key}" if key else card.key
                    return f"{self.path.name}:{line}: {spot}"
        return f"{self.path.name}: {card.key}"


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys: the second of two equal keys would win in silence."""


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f'"{key}" is given twice', key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _line_numbers(text: str) -> dict[tuple[str | int, ...], int]:
    lines: dict[tuple[str | int, ...], int] = {}

    def walk(node: yaml.Node, path: tuple[str | int, ...]) -> None:
        lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                walk(value, (*path, number))

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        walk(root, ())
    return lines


_DISPLAYS = ("number", "headline", "progress", "text", "table", "bar", "line", "row", "funnel",
             "matrix")  # fmt: skip


def _readable_path(path: Iterable[str | int]) -> str:
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    return shown


def _problems(path: Path, lines: Mapping[tuple[str | int, ...], int], error: ValidationError,
              raw: Any) -> Iterator[str]:  # fmt: skip
    for item in error.errors(include_url=False):
        # pydantic puts the tag of the chosen display into the location; it is no key of the file.
        location: list[str | int] = []
        for part in item["loc"]:
            at_card = len(location) == 4 and location[2] == "cards"
            if at_card and part in _DISPLAYS and part != "text":
                continue
            if at_card and part == "text" and len(item["loc"]) > 5:
                continue
            location.append(part)
        spot = tuple(location)
        line = next((lines[spot[:n]] for n in range(len(spot), -1, -1) if spot[:n] in lines), 1)
        key = str(spot[-1]) if spot else "file"
        context = item.get("ctx", {})
        match item["type"]:
            case "extra_forbidden":
                allowed = _allowed_keys(raw, spot[:-1])
                said = f'unknown key "{key}"' + (f"; allowed: {allowed}" if allowed else "")
            case "missing":
                said = f'"{key}" is missing'
            case "literal_error":
                said = f"{item['input']!r} is not allowed; allowed: {context.get('expected')}"
            case "union_tag_invalid":
                said = f"display {context.get('tag')!r} is not known; allowed: " + ", ".join(
                    _DISPLAYS
                )
            case "union_tag_not_found":
                said = '"display" is missing; allowed: ' + ", ".join(_DISPLAYS)
            case "string_pattern_mismatch":
                said = f"{item['input']!r} does not have the form {context.get('pattern')}"
            case _:
                said = f"{item['msg']} (given: {item['input']!r:.80})"
        yield f"{path.name}:{line}: {_readable_path(spot) or 'file'}: {said}"


_CARD_TYPES: dict[str, type[CardBase]] = {
    "number": NumberCard, "headline": HeadlineCard, "progress": ProgressCard, "text": TextCard,
    "table": TableCard, "bar": ChartCard, "line": ChartCard, "row": ChartCard,
    "funnel": FunnelCard, "matrix": MatrixCard,
}  # fmt: skip


def _allowed_keys(raw: Any, spot: tuple[str | int, ...]) -> str:
    model: type[BaseModel] | None = None
    match spot:
        case ():
            model = Dashboard
        case ("tabs", int()):
            model = Tab
        case ("filters", _):
            model = Filter
        case ("tabs", int(), "cards", int()):
            card = raw["tabs"][spot[1]]["cards"][spot[3]]
            model = _CARD_TYPES.get(str(card.get("display")))
        case (*_, "columns", _):
            model = Column
        case (*_, "layout"):
            model = Layout
        case (*_, "title" | "description" | "label" | "empty" | "text"):
            model = Localised
        case _:
            return ""
    if model is None:
        return ""
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


def _read_yaml(path: Path) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    text = path.read_text(encoding="utf-8")
    try:
        return yaml.load(text, Loader=_Loader), _line_numbers(text)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise CardError([f"{path.name}:{line}: {error.problem or 'not YAML'}"]) from error


class Vocabulary(_Strict):
    """Words for codes that several dashboards show (`vocabulary.yaml`)."""

    words: dict[Name, dict[str, Localised]]


def read_vocabulary(folder: Path) -> Vocabulary:
    """Return the words shared by the dashboards of `folder`; none if there is no such file."""
    path = folder / VOCABULARY
    if not path.exists():
        return Vocabulary(words={})
    raw, lines = _read_yaml(path)
    try:
        return Vocabulary.model_validate(raw)
    except ValidationError as error:
        raise CardError(_problems(path, lines, error, raw)) from error


def _with_shared_words(raw: Any, vocabulary: Vocabulary) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return `raw` with `values: <name>` replaced by the shared words, and the unknown names."""
    unknown: list[tuple[Any, ...]] = []

    def walk(node: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(node, dict):
            return {key: walk(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value, (*path, number)) for number, value in enumerate(node)]
        if path[-1:] == ("values",) and isinstance(node, str):
            if node in vocabulary.words:
                return vocabulary.words[node]
            unknown.append((path, node))
            return {}
        return node

    return walk(raw, ()), unknown


def read_dashboard(path: Path, vocabulary: Vocabulary | None = None) -> DashboardFile:
    """Return the dashboard of one file.

    Args:
        path: A YAML file.
        vocabulary: Words that columns and filters may name instead of listing them.

    Returns:
        The dashboard with the line of each key.

    Raises:
        CardError: If the file is not YAML or does not follow the schema; every mistake is named
            with file, line, key and the values allowed.
    """
    given, lines = _read_yaml(path)
    words = vocabulary or read_vocabulary(path.parent)
    raw, unknown = _with_shared_words(given, words)
    if unknown:
        allowed = ", ".join(words.words) or "there is no vocabulary.yaml"
        raise CardError(
            f"{path.name}:{lines.get(spot, 1)}: {_readable_path(spot)}: "
            f'no words "{name}" in {VOCABULARY}; allowed: {allowed}'
            for spot, name in unknown
        )
    try:
        dashboard = Dashboard.model_validate(raw)
    except ValidationError as error:
        raise CardError(_problems(path, lines, error, raw)) from error
    file = DashboardFile(path=path, dashboard=dashboard, lines=lines)
    findings = list(_findings_inside(file))
    if findings:
        raise CardError(findings)
    return file


def read_dashboards(folder: Path) -> list[DashboardFile]:
    """Return all dashboards of `folder` in their order.

    Args:
        folder: The folder with `<name>.yaml` files.

    Returns:
        The dashboards by `order`, then name.

    Raises:
        CardError: If there are none, or any file has mistakes; those of all files together.
    """
    files: list[DashboardFile] = []
    findings: list[str] = []
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != VOCABULARY)
    vocabulary = read_vocabulary(folder)
    if not paths:
        raise CardError([f"{folder}: no dashboard files (*.yaml) here"])
    for path in paths:
        try:
            files.append(read_dashboard(path, vocabulary))
        except CardError as error:
            findings.extend(error.findings)
    keys = {
        f"{file.dashboard.name}/{card.key}" for file in files for card in file.dashboard.cards()
    }
    for file in files:
        for card in file.dashboard.cards():
            if not findings and card.opens and card.opens not in keys:
                where = file.where(card, "opens")
                findings.append(f'{where}: there is no card "{card.opens}"')
    if findings:
        raise CardError(findings)
    return sorted(files, key=lambda file: (file.dashboard.order, file.dashboard.name))


def _findings_inside(file: DashboardFile) -> Iterator[str]:
    dashboard = file.dashboard
    if dashboard.name != file.path.stem:
        yield f'{file.path.name}:1: name: "{dashboard.name}" is not the file name'
    seen: set[str] = set()
    for tab in dashboard.tabs:
        taken: list[tuple[str, Layout]] = []
        for card in tab.cards:
            if card.key in seen:
                yield f"{file.where(card, 'key')}: this key stands twice in the dashboard"
            seen.add(card.key)
            box = card.layout
            if box.column + box.width > GRID_COLUMNS:
                right = box.column + box.width
                yield f"{file.where(card, 'layout')}: ends at column {right} of {GRID_COLUMNS}"
            for other_key, other in taken:
                if _overlap(box, other):
                    yield f'{file.where(card, "layout")}: lies over card "{other_key}"'
            taken.append((card.key, box))
            yield from _card_findings(file, card)


def _card_findings(file: DashboardFile, card: Card) -> Iterator[str]:
    known = set(card.columns)
    for role, column in card.roles().items():
        if column not in known:
            yield (
                f'{file.where(card, role.split("[")[0])}: {role} names "{column}", '
                f"which is not among its columns: {', '.join(card.columns)}"
            )
    used = set(template_tags(card.sql))
    for name in card.filters:
        if name not in file.dashboard.filters:
            allowed = ", ".join(file.dashboard.filters) or "none is declared"
            yield f'{file.where(card, "filters")}: filter "{name}" is not declared: {allowed}'
        if name not in used:
            yield f"{file.where(card, 'filters')}: {{{{{name}}}}} does not stand in its sql"
    for name in sorted(used - set(card.filters)):
        yield f'{file.where(card, "sql")}: {{{{{name}}}}} is not bound in "filters"'
    optional = set(template_tags(" ".join(_OPTIONAL.findall(card.sql))))
    for name in sorted(used & set(card.filters) & set(file.dashboard.filters) - optional):
        if file.dashboard.filters[name].default is None:
            yield (
                f"{file.where(card, 'sql')}: {{{{{name}}}}} has no default, so it must stand in "
                f"[[and {{{{{name}}}}}]]"
            )
    yield from (f"{file.where(card, 'sql')}: {said}" for said in sql_findings(card))


def _overlap(one: Layout, two: Layout) -> bool:
    return (
        one.column < two.column + two.width
        and two.column < one.column + one.width
        and one.row < two.row + two.height
        and two.row < one.row + one.height
    )


_TAG = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?:([~?])([^{}]*))?\}")
# What changes from run to run although the data does not; a card must show the same file the same.
_UNSTEADY = frozenset(
    {"now", "today", "current_date", "current_timestamp", "current_time", "get_current_timestamp",
     "random", "uuid", "gen_random_uuid", "localtimestamp", "localtime"}
)  # fmt: skip
_HARMLESS_TABLE_FUNCTIONS = frozenset({"unnest", "generate_series", "range"})


def template_tags(sql: str) -> list[str]:
    """Return the filter names that stand as `{{name}}` in `sql`."""
    return _TAG.findall(sql)


def placeholders(text: str) -> list[str]:
    """Return the column names that stand as `{name}` in a text card's wording."""
    return [match[0] for match in _PLACEHOLDER.findall(text)]


def literal(value: str) -> str:
    """Return `value` as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def bound_sql(card: CardBase, chosen: Mapping[str, str]) -> str:
    """Return the SQL of `card` with the chosen filter values put in.

    Args:
        card: The card.
        chosen: Filter name to value; a filter left out restricts nothing.

    Returns:
        Plain SQL.
    """

    def condition(name: str) -> str:
        table, column = card.filters[name].split(".")
        return f"cast({table}.{column} as varchar) = {literal(chosen[name])}"

    def optional(match: re.Match[str]) -> str:
        inside = match.group(1)
        return inside if all(name in chosen for name in template_tags(inside)) else ""

    sql = _OPTIONAL.sub(optional, card.sql)
    return _TAG.sub(lambda m: condition(m[1]) if m[1] in chosen else "true", sql)


def _parsed(sql: str) -> dict[str, Any]:
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        row = connection.execute("select json_serialize_sql(cast(? as varchar))", [sql]).fetchone()
    finally:
        connection.close()
    assert row is not None
    tree: dict[str, Any] = json.loads(row[0])
    return tree


def sql_findings(card: CardBase) -> list[str]:
    """Return what is wrong with a card's SQL, without running it.

    One `select`; every table in schema `marts`; no table functions, no clock, no `case` (a rule
    that decides belongs in a model), no join of two facts or reports (they have different grains).
    """
    tree = _parsed(bound_sql(card, dict.fromkeys(card.filters, "x")))
    if tree.get("error"):
        message = str(tree.get("error_message", "")).split("\n")[0]
        kind = "only one select is allowed" if "Only SELECT" in message else "does not parse"
        return [f"{kind}: {message}"]
    statements = tree["statements"]
    if len(statements) != 1:
        return [f"one select is allowed, not {len(statements)} statements"]
    findings: list[str] = []
    with_names: set[str] = set()
    for node in _nodes(statements[0]):
        if isinstance(node.get("cte_map"), dict):
            with_names |= {entry["key"] for entry in node["cte_map"].get("map", [])}
    for node in _nodes(statements[0]):
        match node.get("type"):
            case "BASE_TABLE":
                schema, table = node["schema_name"], node["table_name"]
                if not schema and table in with_names:
                    continue
                if schema != "marts" or node.get("catalog_name"):
                    findings.append(f"reads {schema + '.' if schema else ''}{table}; only marts.*")
            case "TABLE_FUNCTION":
                name = node["function"]["function_name"]
                if name not in _HARMLESS_TABLE_FUNCTIONS:
                    findings.append(f"reads {name}(...); only marts.*")
            case "JOIN":
                facts = sorted(_fact_tables(node))
                if len(facts) > 1:
                    findings.append(f"joins {' and '.join(facts)}; join facts in a rpt_ model")
            case "CASE_EXPR" | "CASE":
                findings.append("has a case; a rule belongs in a model")
            case "FUNCTION" if node.get("function_name") in _UNSTEADY:
                findings.append(f"calls {node['function_name']}(); the file has its own clock")
            case "COLUMN_REF" if str(node["column_names"][-1]).lower() in _UNSTEADY:
                findings.append(f"reads {node['column_names'][-1]}; the file has its own clock")
    return list(dict.fromkeys(findings))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _fact_tables(join: dict[str, Any]) -> set[str]:
    tables = {
        str(node["table_name"])
        for side in (join["left"], join["right"])
        for node in _nodes(side)
        if node.get("type") == "BASE_TABLE"
    }
    return {table for table in tables if table.startswith(("fct_", "rpt_"))}


def open_serve_file(serve_file: Path) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection that can reach nothing but the published file.

    A card's SQL is data: it must not read another file of the machine, and no run may wait on it.
    """
    connection = duckdb.connect(str(serve_file), read_only=True)
    connection.execute("set enable_external_access = false")
    connection.execute("set threads = 2")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set lock_configuration = true")
    return connection


def _type_finding(column: Column, name: str, type_name: str) -> str | None:
    numeric = type_name.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")) or type_name in {
        "BIGINT", "INTEGER", "DOUBLE", "FLOAT", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER",
    }  # fmt: skip
    if column.format in NUMERIC_FORMATS and not numeric:
        return f'column "{name}" has format {column.format} and type {type_name}'
    if column.format in TIME_FORMATS and not type_name.startswith(("DATE", "TIMESTAMP")):
        return f'column "{name}" has format {column.format} and type {type_name}'
    return None


def check_against(file: DashboardFile, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return what the cards of one file ask for that the published file does not have.

    Args:
        file: The dashboard.
        connection: A connection from `open_serve_file`.

    Returns:
        One finding per line, empty when all is well.
    """
    findings: list[str] = []
    for card in file.dashboard.cards():
        chosen = dict.fromkeys(card.filters, "x")
        try:
            rows = connection.execute(f"describe {bound_sql(card, chosen)}").fetchall()
        except duckdb.Error as error:
            message = " ".join(str(error).split("LINE ")[0].split())
            findings.append(f"{file.where(card, 'sql')}: {message}")
            continue
        types = {str(row[0]): str(row[1]) for row in rows}
        given = ", ".join(types)
        for name, column in card.columns.items():
            sources = [column.source.en, column.source.ru] if column.source else [name]
            wanted = [*sources, *([column.link] if column.link else [])]
            for source in wanted:
                if source not in types:
                    where = file.where(card, "columns")
                    findings.append(f'{where}: its sql gives no column "{source}" ({given})')
            if name in types and (said := _type_finding(column, name, types[name])):
                findings.append(f"{file.where(card, 'columns')}: {said}")
            beside = {"period": "period_type", "unit": "unit"}.get(column.format)
            if beside and beside not in types:
                where = file.where(card, "columns")
                findings.append(f'{where}: format {column.format} needs a column "{beside}"')
    return findings


def check_dashboards(folder: Path, serve_file: Path) -> list[DashboardFile]:
    """Return the dashboards of `folder` after proving them against a published file.

    Args:
        folder: The folder with the YAML files.
        serve_file: A published DuckDB file with schema `marts`.

    Returns:
        The dashboards in order.

    Raises:
        CardError: If a file has mistakes or asks for columns that are not there.
    """
    files = read_dashboards(folder)
    connection = open_serve_file(serve_file)
    try:
        findings = [said for file in files for said in check_against(file, connection)]
    finally:
        connection.close()
    if findings:
        raise CardError(findings)
    return files
