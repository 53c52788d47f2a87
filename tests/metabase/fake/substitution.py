"""SQL with its variables put in: `{{tag}}`, `[[blocks]]`, field filters (api.md 4.1, 5)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from tests.metabase.fake.state import Row

_TOKEN = re.compile(r"(\[\[|\]\]|\{\{\s*[^{}]+?\s*\}\})")
_RELATIVE = re.compile(r"(past|last|next)(\d+)(day|week|month|quarter|year)s?(~)?$")
_THIS = re.compile(r"(this|past|last|next)(day|week|month|quarter|year)$")
_DAY = r"\d{4}-\d{2}-\d{2}"
_DATE_TYPES = {
    "date/single",
    "date/range",
    "date/month-year",
    "date/quarter-year",
    "date/relative",
    "date/all-options",
}
_TEXT_TYPES = {"string/=", "category", "id", "text", "location/city", "location/state"}


class SubstitutionError(Exception):
    """The variables of a query cannot be put in."""

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True)
class FieldName:
    """The real column a field filter is bound to."""

    schema: str
    table: str
    column: str
    base_type: str

    def sql(self, alias: str | None) -> str:
        """Return it as Metabase writes it: with schema and table, unless an alias is given.

        A query that calls the table by another name fails on the first, as it does in Metabase.
        """
        if alias:
            return alias if "." in alias else f'{alias}."{self.column}"'
        return f'"{self.schema}"."{self.table}"."{self.column}"'


def substitute(
    sql: str,
    tags: Row,
    values: dict[str, Row],
    fields: dict[str, FieldName],
    today: dt.date,
) -> str:
    """Return the SQL to run.

    Args:
        sql: With variables.
        tags: Template tags by name.
        values: Parameters sent, `{"type":, "value":}`, by tag name.
        fields: Columns of the field filters by tag name.
        today: The day relative dates count from.

    Raises:
        SubstitutionError: A variable without a value outside a block, an unknown one, a value that
            cannot be read.
    """
    written, block, is_block, block_tags, is_kept = "", "", False, 0, True
    for piece in _TOKEN.split(sql):
        if piece == "[[":
            is_block, block, block_tags, is_kept = True, "", 0, True
        elif piece == "]]" and is_block:
            if not block_tags:
                raise SubstitutionError(
                    "Invalid query: optional clauses must contain at least one parameter.",
                    "invalid-query",
                )
            written += block if is_kept else ""
            is_block = False
        elif piece.startswith("{{"):
            name = piece[2:-2].strip()
            if name not in tags:
                raise SubstitutionError(
                    f'Cannot run the query: missing required parameters: #{{"{name}"}}',
                    "missing-required-parameter",
                )
            text = _written(tags[name], values, fields.get(name), today)
            if is_block:
                block_tags += 1
                is_kept = is_kept and text is not None
                block += text or ""
            elif text is not None:
                written += text
            elif tags[name].get("type") == "dimension":
                written += "1 = 1"
            else:
                raise SubstitutionError(
                    f'Cannot run the query: missing required parameters: #{{"{name}"}}',
                    "missing-required-parameter",
                )
        elif is_block:
            block += piece
        else:
            written += piece
    return written


def _written(
    tag: Row, values: dict[str, Row], field: FieldName | None, today: dt.date
) -> str | None:
    sent = values.get(tag["name"])
    value = sent.get("value") if sent is not None else tag.get("default")
    if value in (None, "", []):
        value = tag.get("default") if tag.get("required") else None
    if value in (None, "", []):
        return None
    if tag.get("type") == "dimension":
        if field is None:
            raise SubstitutionError(
                f"Can't find field with ID: {tag.get('dimension')}", "invalid-query"
            )
        kind = (sent or {}).get("type") or tag.get("widget-type") or "category"
        return _condition(field.sql(tag.get("alias")), field.base_type, kind, value, today)
    if tag.get("type") == "number":
        return ", ".join(
            str(_number(one)) for one in (value if isinstance(value, list) else [value])
        )
    if tag.get("type") == "boolean":
        return "true" if value in (True, "true", [True]) else "false"
    if tag.get("type") == "date":
        return f"date '{value}'"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return _text(value)


def _condition(column: str, base_type: str, kind: str, value: Any, today: dt.date) -> str:
    if kind in _DATE_TYPES:
        if not isinstance(value, str):
            raise SubstitutionError(f"Don't know how to parse date: {value!r}", "invalid-parameter")
        first, last = date_range(value, today)
        parts = []
        if first is not None:
            parts.append(f"{column} >= date '{first.isoformat()}'")
        if last is not None:
            parts.append(f"{column} < date '{(last + dt.timedelta(days=1)).isoformat()}'")
        return "(" + " and ".join(parts) + ")"
    is_operator = kind.split("/")[0] in {"string", "number", "boolean"}
    if is_operator and not isinstance(value, list):
        raise SubstitutionError(
            f"Invalid values provided for operator: {kind}", "invalid-parameter"
        )
    some = value if isinstance(value, list) else [value]
    is_number = base_type in {
        "type/Integer",
        "type/BigInteger",
        "type/Float",
        "type/Decimal",
    }
    write = (lambda one: str(_number(one))) if is_number else _text
    if base_type == "type/Boolean":
        write = lambda one: "true" if one in (True, "true") else "false"  # noqa: E731
    listed = ", ".join(write(one) for one in some)
    if kind in _TEXT_TYPES or kind in {"number/=", "boolean/=", "number", "boolean"}:
        return f"{column} in ({listed})" if len(some) > 1 else f"{column} = {listed}"
    if kind in {"string/!=", "number/!="}:
        return f"({column} not in ({listed}) or {column} is null)"
    if kind == "number/between":
        low, high = some[0], some[-1]
        return f"{column} between {_number(low)} and {_number(high)}"
    if kind in {"number/>=", "number/<="}:
        return f"{column} {kind.removeprefix('number/')} {_number(some[0])}"
    patterns = {
        "string/contains": "%{}%",
        "string/does-not-contain": "%{}%",
        "string/starts-with": "{}%",
        "string/ends-with": "%{}",
    }
    if kind in patterns:
        word = "not like" if kind == "string/does-not-contain" else "like"
        likes = [
            f"lower({column}) {word} {_text(patterns[kind].format(str(one).lower()))}"
            for one in some
        ]
        return "(" + (" and " if word == "not like" else " or ").join(likes) + ")"
    raise SubstitutionError(f"Invalid parameter type {kind}", "invalid-parameter")


def _number(value: Any) -> int | float:
    try:
        return int(value) if float(value) == int(float(value)) else float(value)
    except (TypeError, ValueError):
        raise SubstitutionError(f"For input string: {value!r}", "invalid-parameter") from None


def _text(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def date_range(text: str, today: dt.date) -> tuple[dt.date | None, dt.date | None]:
    """Return the first and last day a date filter's value means; None is open.

    Raises:
        SubstitutionError: Metabase could not read it either.
    """
    if text in {"today", "yesterday", "tomorrow"}:
        day = today + dt.timedelta(days={"today": 0, "yesterday": -1, "tomorrow": 1}[text])
        return day, day
    match = _RELATIVE.match(text)
    if match:
        return _relative(match[1], int(match[2]), match[3], bool(match[4]), today)
    match = _THIS.match(text)
    if match:
        if match[1] == "this":
            return _unit(today, match[2], 0)
        return _unit(today, match[2], 1 if match[1] == "next" else -1)
    if re.fullmatch(_DAY, text[:10]) and re.fullmatch(f"{_DAY}(T[0-9:]+)?", text):
        day = dt.date.fromisoformat(text[:10])
        return day, day
    if re.fullmatch(rf"({_DAY})?~({_DAY})?", text) and text != "~":
        first, last = text.split("~")
        return (
            dt.date.fromisoformat(first) if first else None,
            dt.date.fromisoformat(last) if last else None,
        )
    if re.fullmatch(r"\d{4}-\d{2}", text):
        return _unit(dt.date.fromisoformat(f"{text}-01"), "month", 0)
    if re.fullmatch(r"Q[1-4]-\d{4}", text):
        return _unit(dt.date(int(text[3:]), 3 * int(text[1]) - 2, 1), "quarter", 0)
    raise SubstitutionError(f"Don't know how to parse date string {text!r}", "invalid-parameter")


def _relative(
    side: str, count: int, unit: str, is_current_included: bool, today: dt.date
) -> tuple[dt.date, dt.date]:
    if side == "next":
        first = _unit(today, unit, 0 if is_current_included else 1)[0]
        return first, _unit(today, unit, count)[1]
    last = _unit(today, unit, 0 if is_current_included else -1)[1]
    return _unit(today, unit, -count)[0], last


def _unit(day: dt.date, unit: str, shift: int) -> tuple[dt.date, dt.date]:
    """Return the first and last day of the unit `shift` units from the one of `day`."""
    if unit == "day":
        moved = day + dt.timedelta(days=shift)
        return moved, moved
    if unit == "week":
        # Sunday: the setting `start-of-week` as it is delivered.
        first = day - dt.timedelta(days=(day.weekday() + 1) % 7) + dt.timedelta(weeks=shift)
        return first, first + dt.timedelta(days=6)
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    index = (day.year * 12 + day.month - 1) // months * months + shift * months
    year, month = divmod(index, 12)
    end_year, end_month = divmod(index + months - 1, 12)
    last = calendar.monthrange(end_year, end_month + 1)[1]
    return dt.date(year, month + 1, 1), dt.date(end_year, end_month + 1, last)
