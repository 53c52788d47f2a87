"""A plan as a person reads it, in Russian or English."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestration.lib.metabase.errors import shown

if TYPE_CHECKING:
    from orchestration.lib.metabase.plan import Action, Change, Plan

_SIGNS: Mapping[str, str] = {
    "create": "+",
    "archive": "-",
    "move": ">",
    "rename": "~",
    "restore": "^",
    "change": "~",
    "switch": ">",
}
_LONGEST_VALUE = 110
# A first apply names every column of the marts; nobody reads a thousand lines of labels.
_SHOWN_COLUMNS = 12
_SQL_LINES = 24

WORDS: Mapping[str, Mapping[str, str]] = {
    "empty": {
        "ru": "Metabase соответствует файлам, менять нечего.",
        "en": "Metabase is as the files say; nothing to do.",
    },
    "create": {"ru": "создать", "en": "create"},
    "change": {"ru": "изменить", "en": "change"},
    "move": {"ru": "переместить", "en": "move"},
    "rename": {"ru": "переименовать", "en": "rename"},
    "restore": {"ru": "вернуть из корзины", "en": "restore"},
    "archive": {"ru": "убрать в корзину", "en": "archive"},
    "switch": {"ru": "показать новый файл", "en": "show the new file"},
    "setup": {"ru": "установка", "en": "setup"},
    "database": {"ru": "база", "en": "database"},
    "collection": {"ru": "коллекция", "en": "collection"},
    "group": {"ru": "группа", "en": "group"},
    "permission": {"ru": "права", "en": "permission"},
    "card": {"ru": "карточка", "en": "card"},
    "dashboard": {"ru": "дашборд", "en": "dashboard"},
    "table": {"ru": "таблица", "en": "table"},
    "field": {"ru": "колонка", "en": "column"},
    "files": {"ru": "изменено в файлах", "en": "changed in the files"},
    "hand": {"ru": "изменено вручную в Metabase", "en": "changed by hand in Metabase"},
    "both": {
        "ru": "изменено и в файлах, и вручную в Metabase",
        "en": "changed in the files and by hand in Metabase",
    },
    "foreign": {
        "ru": "Не наше, останется как есть: {what}",
        "en": "Not ours, left as it is: {what}",
    },
    "first_sync": {
        "ru": "Подписи колонок и таблиц - после первой синхронизации.",
        "en": "Labels of tables and columns follow after the first sync.",
    },
    "more_columns": {
        "ru": "~ колонка: ещё {count} с новыми подписями или описаниями",
        "en": "~ column: {count} more get labels or descriptions",
    },
    "more_lines": {"ru": "... ещё строк: {count}", "en": "... {count} more lines"},
    "total": {"ru": "Итого: {parts}.", "en": "In all: {parts}."},
    "by_hand": {
        "ru": "Изменено вручную и будет переписано: {count}.",
        "en": "Changed by hand, will be overwritten: {count}.",
    },
}


def word(locale: str, name: str, **values: object) -> str:
    """Return a word of a plan in the owner's language."""
    return WORDS[name]["en" if locale == "en" else "ru"].format(**values)


def plan_text(plan: Plan, locale: str) -> str:
    """Return a plan as lines: what happens to what, which key from what to what, and by whom."""
    lines: list[str] = []
    columns = [action for action in plan.actions if action.kind == "field"]
    hidden = {id(action) for action in columns[_SHOWN_COLUMNS:] if not action.is_by_hand}
    for action in plan.actions:
        if id(action) not in hidden:
            lines += action_lines(action, locale)
    if hidden:
        lines.append(word(locale, "more_columns", count=len(hidden)))
    if plan.is_first_sync_due:
        lines.append(word(locale, "first_sync"))
    for one in plan.foreign:
        what = f"{word(locale, one.kind)} {one.id} {shown(one.name, 80)!r}"
        lines.append(word(locale, "foreign", what=what))
    if plan.is_empty:
        return "\n".join([*lines, word(locale, "empty")])
    counts: dict[str, int] = {}
    for action in plan.actions:
        counts[action.verb] = counts.get(action.verb, 0) + 1
    parts = ", ".join(f"{word(locale, verb)} {count}" for verb, count in counts.items())
    lines.append(word(locale, "total", parts=parts))
    by_hand = sum(action.is_by_hand for action in plan.actions)
    if by_hand:
        lines.append(word(locale, "by_hand", count=by_hand))
    return "\n".join(lines)


def action_lines(action: Action, locale: str) -> list[str]:
    """Return one action: its head, and a line per key that changes."""
    head = (
        f"{_SIGNS[action.verb]} {word(locale, action.kind)} {shown(action.key, 120)}"
        f" {shown(action.name, 80)!r}: {word(locale, action.verb)}"
    )
    return [head, *(f"    {line}" for one in action.changes for line in _change(one, locale))]


def _change(change: Change, locale: str) -> Iterator[str]:
    by = f"  ({word(locale, change.origin)})" if change.origin != "unknown" else ""
    if change.key == "sql" and isinstance(change.before, str) and isinstance(change.after, str):
        yield f"sql:{by}"
        yield from _sql_lines(change.before, change.after, locale)
        return
    for path, before, after in _differences(change.key, change.before, change.after):
        yield f"{shown(path, 120)}: {_value(before)} -> {_value(after)}{by}"


def _sql_lines(before: str, after: str, locale: str) -> Iterator[str]:
    lines = [
        line
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    for line in lines[:_SQL_LINES]:
        yield f"  {line[0]} {shown(line[1:], 160)}"
    if len(lines) > _SQL_LINES:
        yield word(locale, "more_lines", count=len(lines) - _SQL_LINES)


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost keys that differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*after, *(one for one in before if one not in after)]:
            old, new = before.get(name), after.get(name)
            if old != new:
                yield from _differences(f"{path}.{name}", old, new)
    else:
        yield path, before, after


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown(text, _LONGEST_VALUE)
