"""Dashboard files read from disk; every mistake is named with file, line, key and what may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from orchestration.lib.cards.parts import (
    GRID_COLUMNS,
    LOCALES,
    VOCABULARY,
    CardError,
    Column,
    Filter,
    Layout,
    Localised,
    MetabaseOverride,
)
from orchestration.lib.cards.portability import portability_findings
from orchestration.lib.cards.schema import (
    Card,
    CardBase,
    ChartCard,
    Dashboard,
    DashboardFile,
    FunnelCard,
    HeadingCard,
    HeadlineCard,
    MatrixCard,
    NoteCard,
    NumberCard,
    Owner,
    Placed,
    ProgressCard,
    Tab,
    TableCard,
    TextCard,
    Vocabulary,
)
from orchestration.lib.cards.sql import OPTIONAL, sql_findings, template_tags

# The parser in C reads the files in a tenth of the time; not every build of PyYAML has it.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc,valid-type]
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
    found: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return found


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

    root = yaml.compose(text, Loader=_SafeLoader)
    if root is not None:
        walk(root, ())
    return lines


_CARD_TYPES: dict[str, type[Placed]] = {
    "number": NumberCard, "headline": HeadlineCard, "progress": ProgressCard, "text": TextCard,
    "table": TableCard, "bar": ChartCard, "line": ChartCard, "row": ChartCard,
    "funnel": FunnelCard, "matrix": MatrixCard, "heading": HeadingCard, "note": NoteCard,
}  # fmt: skip


def _readable_path(path: Iterable[str | int]) -> str:
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    return shown


_TAG_AT = 4
_LONGEST_TITLE = 254


def _problems(path: Path, lines: Mapping[tuple[str | int, ...], int], error: ValidationError,
              raw: Any) -> Iterator[str]:  # fmt: skip
    for item in error.errors(include_url=False):
        # pydantic puts the tag of the chosen display into the location; it is no key of the file.
        location = [
            part
            for number, part in enumerate(item["loc"])
            if number != _TAG_AT or item["loc"][2] != "cards"
        ]
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
                    _CARD_TYPES
                )
            case "union_tag_not_found":
                said = '"display" is missing; allowed: ' + ", ".join(_CARD_TYPES)
            case "value_error":
                said = str(context["error"])
            case "string_pattern_mismatch":
                said = f"{item['input']!r} does not have the form {context.get('pattern')}"
            case _:
                said = f"{item['msg']} (given: {item['input']!r:.80})"
        yield f"{path.name}:{line}: {_readable_path(spot) or 'file'}: {said}"


def _allowed_keys(raw: Any, spot: tuple[str | int, ...]) -> str:
    model: type[BaseModel] | None = None
    match spot:
        case ():
            model = Dashboard
        case ("tabs", int()):
            model = Tab
        case ("filters", _):
            model = Filter
        case ("owner",):
            model = Owner
        case ("tabs", int(), "cards", int()):
            card = raw["tabs"][spot[1]]["cards"][spot[3]]
            model = _CARD_TYPES.get(str(card.get("display")))
        case (*_, "columns", _):
            model = Column
        case (*_, "layout"):
            model = Layout
        case (*_, "metabase"):
            model = MetabaseOverride
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
    if not findings:
        findings.extend(said for file in files for said in _ways_out(file, files))
    if findings:
        raise CardError(findings)
    return sorted(files, key=lambda file: (file.dashboard.order, file.dashboard.name))


def _ways_out(file: DashboardFile, files: Iterable[DashboardFile]) -> Iterator[str]:
    """Yield the taps that lead nowhere, or with a filter that does not wait for them."""
    targets = {
        f"{other.dashboard.name}/{card.key}": (other.dashboard, card)
        for other in files
        for card in other.dashboard.cards()
    }
    for card in file.dashboard.cards():
        if card.opens and card.opens not in targets:
            yield f'{file.where(card, "opens")}: there is no card "{card.opens}"'
        for name, column in card.columns.items():
            if column.opens is None:
                continue
            where = f"{file.where(card, 'columns')}.{name}"
            if column.opens not in targets:
                yield f'{where}.opens: there is no card "{column.opens}"'
                continue
            _, target = targets[column.opens]
            for passed in column.passes:
                if passed not in target.filters:
                    allowed = ", ".join(target.filters) or "it takes none"
                    yield (
                        f'{where}.passes: card "{column.opens}" takes no filter "{passed}"; '
                        f"allowed: {allowed}"
                    )


def _findings_inside(file: DashboardFile) -> Iterator[str]:
    dashboard = file.dashboard
    if dashboard.name != file.path.stem:
        yield f'{file.path.name}:1: name: "{dashboard.name}" is not the file name'
    seen: set[str] = set()
    tabs: set[str] = set()
    for number, tab in enumerate(dashboard.tabs):
        if tab.key in tabs:
            line = file.lines.get(("tabs", number, "key"), 1)
            yield f"{file.path.name}:{line}: tabs[{number}].key: this key stands twice"
        tabs.add(tab.key)
        taken: list[tuple[str, Layout]] = []
        for piece in tab.pieces:
            if piece.key in seen:
                yield f"{file.where(piece, 'key')}: this key stands twice in the dashboard"
            seen.add(piece.key)
            longest = max(len(piece.title.in_(locale)) for locale in LOCALES)
            if longest > _LONGEST_TITLE:
                where = file.where(piece, "title")
                yield f"{where}: {longest} signs; Metabase holds {_LONGEST_TITLE}"
            box = piece.layout
            if box.column + box.width > GRID_COLUMNS:
                right = box.column + box.width
                yield f"{file.where(piece, 'layout')}: ends at column {right} of {GRID_COLUMNS}"
            for other_key, other in taken:
                if _overlap(box, other):
                    yield f'{file.where(piece, "layout")}: lies over card "{other_key}"'
            taken.append((piece.key, box))
            if isinstance(piece, CardBase):
                yield from _card_findings(file, piece)
    bound = {name for card in dashboard.cards() for name in card.filters}
    for name in dashboard.filters:
        if name not in bound:
            line = file.lines.get(("filters", name), 1)
            yield f'{file.path.name}:{line}: filters.{name}: no card binds it in "filters"'


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
    optional = set(template_tags(" ".join(OPTIONAL.findall(card.sql))))
    for name in sorted(used & set(card.filters) & set(file.dashboard.filters) - optional):
        if file.dashboard.filters[name].default is None:
            yield (
                f"{file.where(card, 'sql')}: {{{{{name}}}}} has no default, so it must stand in "
                f"[[and {{{{{name}}}}}]]"
            )
    findings = sql_findings(card) or portability_findings(card)
    yield from (f"{file.where(card, 'sql')}: {said}" for said in findings)


def _overlap(one: Layout, two: Layout) -> bool:
    return (
        one.column < two.column + two.width
        and two.column < one.column + one.width
        and one.row < two.row + two.height
        and two.row < one.row + one.height
    )
