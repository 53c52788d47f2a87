"""Whether a card's SQL means the same to both engines that serve the marts.

The published marts stand in DuckDB or in PostgreSQL, and one SQL text reads both. What only one of
them knows fails there; what both know and understand differently, such as dividing whole numbers
or the place of nulls, shows a wrong number without a word. Both are named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.lib.cards.schema import (
    CardBase,
)
from orchestration.lib.cards.sql import bound_sql, nodes, parsed

_OPERATORS = frozenset({"+", "-", "*", "/", "%", "||", "~~", "!~~", "~~*", "!~~*"})
_AGGREGATES = frozenset(
    {"sum", "count", "count_star", "min", "max", "avg", "string_agg", "bool_and", "bool_or",
     "stddev_samp", "stddev_pop", "var_samp", "var_pop", "corr", "quantile_cont", "grouping"}
)  # fmt: skip
_WINDOWS = frozenset(
    {"row_number", "rank", "dense_rank", "lag", "lead", "first_value", "last_value", "ntile",
     "percent_rank", "cume_dist"}
)  # fmt: skip
_SCALARS = frozenset(
    {"abs", "ceil", "floor", "sign", "trunc", "sqrt", "ln", "exp", "nullif", "coalesce", "greatest",
     "least", "lower", "upper", "trim", "ltrim", "rtrim", "length", "position", "replace",
     "substring", "left", "right", "concat", "reverse", "split_part", "date_trunc", "date_part",
     "timezone"}  # `at time zone`: a day of the company is not a day of UTC
)  # fmt: skip
ALLOWED_FUNCTIONS = _OPERATORS | _AGGREGATES | _WINDOWS | _SCALARS

_INSTEAD: Mapping[str, str] = {
    "row": "compare columns one by one or in a join, not as (a, b) in (select ...)",
    "round": "the format rounds; PostgreSQL rounds no double to digits",
    "median": "write percentile_cont(0.5) within group (order by x)",
    "arg_max": "write a row_number() in a with",
    "arg_min": "write a row_number() in a with",
    "max_by": "write a row_number() in a with",
    "min_by": "write a row_number() in a with",
    "list": "write string_agg(x, ', ' order by x)",
    "ifnull": "write coalesce(a, b)",
    "strftime": "give the column a format instead",
    "//": "write floor(a / b)",
} | {
    f"to_{unit}s": f"write interval '1 {unit}' with quotes"
    for unit in ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
}
_JOINS = frozenset({"INNER", "LEFT", "RIGHT", "OUTER"})
_JOIN_KINDS = frozenset({"REGULAR", "CROSS", "NATURAL"})
# The parser has one name for both spellings; PostgreSQL knows one of them.
_TYPES = re.compile(
    r"(?:::\s*|\bas\s+)(double(?!\s+precision)|float[48]?|tinyint|hugeint|u\w*int|string|datetime"
    r"|blob|struct|map|list)\b",
    re.IGNORECASE,
)


def portability_findings(card: CardBase) -> list[str]:
    """Return what in a card's SQL PostgreSQL refuses, or reads otherwise than DuckDB.

    Args:
        card: A card whose SQL is one select (`sql_findings`).

    Returns:
        One finding per line with what to write instead; empty when all is well.
    """
    sql = bound_sql(card, dict.fromkeys(card.filters, "x"))
    tree = parsed(sql)
    if tree.get("error"):
        return []
    found = [
        f"casts to {match[1].lower()}; {_type_instead(match[1])}" for match in _TYPES.finditer(sql)
    ]
    for node in nodes(tree):
        found.extend(_of_node(node))
    return list(dict.fromkeys(found))


def _type_instead(name: str) -> str:
    if name.lower().startswith(("double", "float")):
        return "write double precision"
    return "allowed: bigint, integer, decimal(18, 2), double precision, varchar, date, timestamp"


def _of_node(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node.get("type")
    if kind == "FUNCTION" or node.get("class") == "WINDOW":
        name = str(node.get("function_name", "")).lower()
        if name not in ALLOWED_FUNCTIONS:
            instead = _INSTEAD.get(name, f"allowed: {', '.join(sorted(_named(ALLOWED_FUNCTIONS)))}")
            yield f"calls {name}(), which one of the two engines lacks; {instead}"
        if name == "/" and not any(_is_fractional(child) for child in node["children"]):
            yield (
                "divides what may be whole numbers: PostgreSQL would cut the fraction off; "
                "write cast(a as double precision) / b"
            )
    if node.get("qualify") is not None:
        yield "has qualify; filter on the window's result in a with"
    if node.get("sample") is not None:
        yield "takes a sample; a card shows the same file the same"
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        yield "has group by all; name the columns"
    if kind == "STAR" and (node["columns"] or node["exclude_list"] or node["replace_list"]):
        yield "picks columns by * with a condition; name them"
    if node.get("class") == "LAMBDA":
        yield "has ->, a lambda to one engine and JSON to the other"
    if kind == "JOIN" and (
        node.get("join_type") not in _JOINS or node.get("ref_type") not in _JOIN_KINDS
    ):
        yield f"has a {node['join_type'].lower()} {node['ref_type'].lower()} join"
    for order in _orders(node):
        if order["type"] == "DESCENDING" and order["null_order"] == "ORDER_DEFAULT":
            yield "orders desc without nulls: the engines differ; write desc nulls last"


def _orders(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("orders", "arg_orders"):
        yield from (one for one in node.get(key) or [] if isinstance(one, dict))


def _named(names: frozenset[str]) -> set[str]:
    return {name for name in names if name[0].isalpha() and name != "quantile_cont"}


def _is_fractional(node: Mapping[str, Any]) -> bool:
    """Return whether PostgreSQL has no whole number here: a sum is numeric, an average too."""
    if node.get("class") == "CAST":
        return str(node["cast_type"]["id"]) in {"DOUBLE", "FLOAT", "DECIMAL"}
    if node.get("class") == "CONSTANT":
        return str(node["value"]["type"]["id"]) in {"DOUBLE", "DECIMAL"}
    if node.get("type") == "COLUMN_REF":
        return str(node["column_names"][-1]).endswith(("_amount", "_seconds", "_ratio", "_weight"))
    name = node.get("function_name")
    if name in {"sum", "avg", "quantile_cont", "stddev_samp", "stddev_pop", "sqrt", "ln", "exp"}:
        return True
    if name in {"count", "count_star", "length", "position", "date_part"}:
        return False
    children = node.get("children") or []
    return any(_is_fractional(child) for child in children if isinstance(child, dict))


__all__ = ["ALLOWED_FUNCTIONS", "portability_findings"]
