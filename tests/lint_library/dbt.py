"""What sqlfluff needs of dbt's cross-database macros: text of the right shape, never run."""

from __future__ import annotations


def dateadd(datepart: str, interval: object, from_date_or_timestamp: str) -> str:
    """Return the shape of a date addition."""
    return f"date_add({from_date_or_timestamp}, interval {interval} {datepart})"


def date_trunc(datepart: str, date: str) -> str:
    """Return the shape of a truncation."""
    return f"date_trunc('{datepart}', {date})"


def concat(fields: list[str]) -> str:
    """Return the shape of a concatenation."""
    return " || ".join(fields)


def hash(field: str) -> str:
    """Return the shape of a hash."""
    return f"md5({field})"


def type_string() -> str:
    """Return the name of the text type."""
    return "varchar"


def type_timestamp() -> str:
    """Return the name of the instant type."""
    return "timestamp"


def type_numeric() -> str:
    """Return the name of the exact number type."""
    return "decimal"


def type_bigint() -> str:
    """Return the name of the large whole number type."""
    return "bigint"


def type_int() -> str:
    """Return the name of the whole number type."""
    return "integer"


def type_float() -> str:
    """Return the name of the inexact number type."""
    return "double"


def type_boolean() -> str:
    """Return the name of the truth type."""
    return "boolean"


def listagg(measure: str, delimiter_text: str, order_by_clause: str = "", *_: object) -> str:
    """Return the shape of an ordered text aggregate."""
    return f"string_agg({measure}, {delimiter_text} {order_by_clause})"
