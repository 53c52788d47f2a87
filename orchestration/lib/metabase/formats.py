"""How Metabase writes a column: `column_settings`, and the SQL that turns codes into words.

Metabase's settings know numbers, sums, shares and dates. What they do not know is written by SQL
around the card's own: a code becomes its word, a moment the company's clock, a number whose unit
changes from row to row a text. That SQL is read by DuckDB and PostgreSQL alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.lib.cards import NUMERIC_FORMATS, TIME_FORMATS, Column, Format, Locale, Localised

NO_BREAK = "\u00a0"
_SYMBOLS = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£", "KZT": "₸", "BYN": "Br", "UAH": "₴",
            "GEL": "₾", "AMD": "֏", "TRY": "₺", "CNY": "¥", "BRL": "R$"}  # fmt: skip
_BEFORE = frozenset({"$", "€", "£", "R$"})

TONE_COLOURS = {"good": "#84BB4C", "warning": "#F9CF48", "bad": "#ED6E6E"}

_HOURS = {"en": " h", "ru": f"{NO_BREAK}ч"}
_DAYS = {"en": " d", "ru": f"{NO_BREAK}дн."}
_PER_CENT = {"en": "%", "ru": f"{NO_BREAK}%"}
_PHONE = {"en": "[phone hidden]", "ru": "[телефон скрыт]"}
_MAIL = {"en": "[e-mail hidden]", "ru": "[почта скрыта]"}


@dataclass(frozen=True)
class Company:
    """What cards are written in.

    Attributes:
        locale: Language of every word.
        currency_code: ISO code of the reporting currency; None writes sums without a sign.
        time_zone: Clock on which moments are shown.
    """

    locale: Locale = "ru"
    currency_code: str | None = None
    time_zone: str = "UTC"

    def say(self, text: Localised) -> str:
        """Return `text` in the company's language, on one line."""
        return " ".join(text.in_(self.locale).split())

    @property
    def decimal_mark(self) -> str:
        """Return the sign before the fraction."""
        return "," if self.locale == "ru" else "."

    @property
    def thousands_mark(self) -> str:
        """Return what keeps thousands apart, as in columns that Metabase writes itself."""
        return NO_BREAK if self.locale == "ru" else ","

    def currency_affixes(self) -> tuple[str, str]:
        """Return what stands before and after a sum."""
        if self.currency_code is None:
            return "", ""
        symbol = _SYMBOLS.get(self.currency_code, self.currency_code)
        if self.locale == "en" and symbol in _BEFORE:
            return symbol, ""
        return "", f"{NO_BREAK}{symbol}"


def text_literal(value: str) -> str:
    """Return `value` as an SQL string in which Metabase finds no filter.

    Metabase reads `{{name}}` and `[[...]]` wherever they stand, inside quotes too.
    """
    quoted = "'" + value.replace("'", "''") + "'"
    for mark in ("{{", "}}", "[[", "]]"):
        while mark in quoted:
            quoted = quoted.replace(mark, f"{mark[0]}' || '{mark[0]}")
    return f"({quoted})" if "' || '" in quoted else quoted


def identifier(name: str) -> str:
    """Return a column name as SQL takes it, keywords included."""
    return '"' + name.replace('"', '""') + '"'


def column_key(name: str) -> str:
    """Return the key of a column in `column_settings`."""
    return json.dumps(["name", name], ensure_ascii=False, separators=(",", ":"))


def column_settings(company: Company, column: Column) -> dict[str, Any]:
    """Return the settings of one column of a result.

    Args:
        company: Language, currency and clock.
        column: What the card says of it.

    Returns:
        The value for `column_settings`.
    """
    found: dict[str, Any] = {"column_title": company.say(column.label)}
    if not column.values:
        found |= format_settings(company, column.format)
    if column.bar and column.format in NUMERIC_FORMATS - {"unit"}:
        found["show_mini_bar"] = True
    return found


def format_settings(company: Company, kind: Format) -> dict[str, Any]:
    """Return how values of a format are written."""
    separators = ", " if company.locale == "ru" else ".,"
    number = {"number_style": "decimal", "number_separators": separators}
    match kind:
        case "integer":
            return {**number, "decimals": 0}
        case "decimal":
            return {**number, "decimals": 1}
        case "money":
            before, after = company.currency_affixes()
            affixes = {
                key: value for key, value in (("prefix", before), ("suffix", after)) if value
            }
            return {**number, "decimals": 0, **affixes}
        case "ratio":
            return {**number, "number_style": "percent", "decimals": 1}
        case "days":
            return {**number, "decimals": 1, "suffix": _DAYS[company.locale]}
        case "duration":
            # Metabase has no format for a stretch of time; hours sort and add up.
            return {**number, "decimals": 1, "scale": 1 / 3600, "suffix": _HOURS[company.locale]}
        case "unit":
            return {"text_align": "right"}
        case "date" | "week" | "month" | "period":
            return _day_style(company)
        case "datetime":
            return {**_day_style(company), "time_enabled": "minutes", "time_style": "HH:mm"}
        case _:
            return {}


def _day_style(company: Company) -> dict[str, Any]:
    if company.locale == "ru":
        return {"date_style": "D/M/YYYY", "date_separator": "."}
    return {"date_style": "MMMM D, YYYY", "date_abbreviate": True}


def words_sql(source: str, words: Mapping[str, str]) -> str:
    """Return SQL that reads a code as its word; a code without one stays, null has the word "null".

    Args:
        source: SQL of the code.
        words: Code to word.

    Returns:
        An expression of type text.
    """
    text = f"cast({source} as varchar)"
    named = {code: word for code, word in words.items() if code not in ("null", word)}
    if named:
        whens = " ".join(
            f"when {text_literal(code)} then {text_literal(word)}" for code, word in named.items()
        )
        text = f"case cast({source} as varchar) {whens} else cast({source} as varchar) end"
    return f"coalesce({text}, {text_literal(words['null'])})" if "null" in words else text


def number_sql(company: Company, source: str, decimals: int) -> str:
    """Return SQL that writes a number with thousands apart and `decimals` digits after the mark.

    Neither engine has a function for it that the other knows; backwards, every three digits are
    followed by a space, which then becomes the mark.
    """
    whole = f"cast(cast({source} as decimal(38, 0)) as varchar)"
    fraction = ""
    if decimals:
        rounded = f"cast({source} as decimal(38, {decimals}))"
        whole = f"split_part(cast({rounded} as varchar), '.', 1)"
        fraction = f" || '{company.decimal_mark}' || split_part(cast({rounded} as varchar), '.', 2)"
    grouped = f"reverse(regexp_replace(reverse({whole}), '([0-9]{{3}})', '\\1 ', 'g'))"
    mark = company.thousands_mark
    return f"replace(replace(trim({grouped}), '- ', '-'), ' ', '{mark}'){fraction}"


def value_sql(company: Company, source: str, kind: Format) -> str:
    """Return SQL that writes a number of one format as text."""
    match kind:
        case "money":
            before, after = company.currency_affixes()
            written = number_sql(company, source, 0)
            if not before:
                return f"{written} || {text_literal(after)}"
            misplaced, minus = text_literal(f"{before}-"), text_literal(f"-{before}")
            return f"replace({text_literal(before)} || {written}, {misplaced}, {minus})"
        case "ratio":
            percent = f"(100 * {source})"
            return f"{number_sql(company, percent, 1)} || '{_PER_CENT[company.locale]}'"
        case "days":
            return f"{number_sql(company, source, 1)} || '{_DAYS[company.locale]}'"
        case "duration":
            hours = f"({source} / 3600.0)"
            return f"{number_sql(company, hours, 1)} || '{_HOURS[company.locale]}'"
        case "integer":
            return number_sql(company, source, 0)
        case _:
            return number_sql(company, source, 1)


def formats_sql(
    company: Company, source: str, code: str, formats: Mapping[str, Format], other: Format
) -> str:
    """Return SQL that writes a number in the format that another column's code asks for.

    Args:
        company: Language and currency.
        source: SQL of the number.
        code: SQL of the code.
        formats: Code to format.
        other: Format where the code is not among them.

    Returns:
        An expression of type text; null where the number is null.
    """
    by_format: dict[Format, list[str]] = {}
    for one, kind in formats.items():
        if kind != other:
            by_format.setdefault(kind, []).append(one)
    whens = " ".join(
        f"when {code} in ({', '.join(text_literal(one) for one in codes)}) "
        f"then {value_sql(company, source, kind)}"
        for kind, codes in by_format.items()
    )
    plain = value_sql(company, source, other)
    return f"case {whens} else {plain} end" if whens else plain


_UNITS: dict[str, Format] = {"ratio": "ratio", "amount": "money", "count": "integer"}


def expression(company: Company, column: Column, name: str, table: str = "answer") -> str:
    """Return SQL that reads one column of a card's result for Metabase.

    Args:
        company: Language and clock.
        column: What the card says of it.
        name: Its name in the card.
        table: Alias of the card's result.

    Returns:
        An expression.
    """
    source = name
    if column.source is not None:
        source = column.source.ru if company.locale == "ru" else column.source.en
    read = f"{table}.{identifier(source)}"
    if column.values:
        return words_sql(read, {code: company.say(word) for code, word in column.values.items()})
    if column.format == "unit":
        unit = f"{table}.{identifier('unit')}"
        hours = f"when {unit} = 'hours' then {number_sql(company, read, 1)}"
        hours += f" || '{_HOURS[company.locale]}'"
        return f"case {hours} else {formats_sql(company, read, unit, _UNITS, 'decimal')} end"
    if column.format == "datetime":
        return _local(company, read)
    if is_day_of_moment(column, source):
        return f"cast({_local(company, read)} as date)"
    if column.format == "text" and name.endswith("_name"):
        return _without_keys(company, read)
    return read


def is_day_of_moment(column: Column, source: str) -> bool:
    """Return whether a moment is shown as its day, which depends on the clock."""
    return column.format in TIME_FORMATS - {"datetime"} and source.endswith("_at")


def _local(company: Company, read: str) -> str:
    if company.time_zone == "UTC":
        return read
    return f"{read} at time zone 'UTC' at time zone {text_literal(company.time_zone)}"


def _without_keys(company: Company, read: str) -> str:
    """Return SQL that hides the keys which stand in names for phones and mail addresses."""
    for kind, said in (("ph", _PHONE), ("em", _MAIL)):
        pattern = f"{kind}_[0-9a-f]{{32}}(:[pf]:[A-Za-z0-9_.-]+){{0,1}}"
        read = f"regexp_replace({read}, '{pattern}', {text_literal(said[company.locale])}, 'g')"
    return read


__all__ = [
    "TONE_COLOURS",
    "Company",
    "column_key",
    "column_settings",
    "expression",
    "format_settings",
    "formats_sql",
    "identifier",
    "is_day_of_moment",
    "text_literal",
    "value_sql",
    "words_sql",
]
