"""A card's SQL: its filters, and what it may do."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from orchestration.lib.cards.schema import CardBase

_TAG = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
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
        # Whole, as Metabase writes it: a card that gives the table another name fails here already.
        return f"cast(marts.{table}.{column} as varchar) = {literal(chosen[name])}"

    def optional(match: re.Match[str]) -> str:
        inside = match.group(1)
        return inside if all(name in chosen for name in template_tags(inside)) else ""

    sql = OPTIONAL.sub(optional, card.sql)
    return _TAG.sub(lambda m: condition(m[1]) if m[1] in chosen else "true", sql)


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    # A connection takes 12 ms to open, ten times the parsing of a card.
    return duckdb.connect(config={"enable_external_access": "false", "threads": 1})


@functools.lru_cache(maxsize=1024)
def parsed(sql: str) -> dict[str, Any]:
    """Return the syntax tree of `sql`, without running it; for reading, it is kept."""
    with _parser().cursor() as cursor:
        row = cursor.execute("select json_serialize_sql(cast(? as varchar))", [sql]).fetchone()
    assert row is not None
    tree: dict[str, Any] = json.loads(row[0])
    return tree


def sql_findings(card: CardBase) -> list[str]:
    """Return what is wrong with a card's SQL, without running it.

    One `select`; every table in schema `marts`; no table functions, no clock, no `case` (a rule
    that decides belongs in a model), no join of two facts or reports (they have different grains).
    """
    tree = parsed(bound_sql(card, dict.fromkeys(card.filters, "x")))
    if tree.get("error"):
        message = str(tree.get("error_message", "")).split("\n")[0]
        kind = "only one select is allowed" if "Only SELECT" in message else "does not parse"
        return [f"{kind}: {message}"]
    statements = tree["statements"]
    if len(statements) != 1:
        return [f"one select is allowed, not {len(statements)} statements"]
    findings: list[str] = []
    if card.sql.rstrip().endswith(";"):
        findings.append("ends with a semicolon; Metabase reads it as a part of a longer select")
    with_names: set[str] = set()
    for node in nodes(statements[0]):
        if isinstance(node.get("cte_map"), dict):
            with_names |= {entry["key"] for entry in node["cte_map"].get("map", [])}
    for node in nodes(statements[0]):
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


def tables_read(card: CardBase) -> set[str]:
    """Return the marts a card's SQL reads."""
    tree = parsed(bound_sql(card, dict.fromkeys(card.filters, "x")))
    return {
        str(node["table_name"])
        for node in nodes(tree)
        if node.get("type") == "BASE_TABLE" and node["schema_name"] == "marts"
    }


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def _fact_tables(join: dict[str, Any]) -> set[str]:
    tables = {
        str(node["table_name"])
        for side in (join["left"], join["right"])
        for node in nodes(side)
        if node.get("type") == "BASE_TABLE"
    }
    return {table for table in tables if table.startswith(("fct_", "rpt_"))}
