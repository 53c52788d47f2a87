"""Names and meaning of tables and columns for Metabase, from the dbt manifest.

A column's kind follows its name, which the conventions fix: `_key` and `_id` are ids, `_amount` is
money, `_ratio` a share, `_url` a link. Closed sets come from the `accepted_categories` tests, keys
from `unique_key`, foreign keys from `known_references`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orchestration.lib.cards import Locale
from orchestration.lib.cards.contracts import marts
from orchestration.lib.metabase.desired import (
    DesiredField,
    DesiredFieldMetadata,
    DesiredTableMetadata,
)

_REFERENCE = re.compile(r"""ref\(\s*['"]([a-z0-9_]+)['"]\s*\)""")
_PREFIX = re.compile(r"^(rpt|fct|dim)_")
# The first name that fits decides.
_BY_NAME: tuple[tuple[str, str], ...] = (
    (r".*_ratio$", "type/Percentage"),
    (r".*(cost|spend)(_native)?_amount$", "type/Cost"),
    (r".*_amount$", "type/Currency"),
    (r".*_count$", "type/Quantity"),
    (r".*_url$", "type/URL"),
    (r"created_at$", "type/CreationTimestamp"),
)


def table_metadata(manifest: Mapping[str, Any], locale: Locale) -> tuple[DesiredTableMetadata, ...]:
    """Return how Metabase is to name the published tables.

    Args:
        manifest: The dbt manifest.
        locale: Language of labels that the models give in two (`meta: {label: {en, ru}}`).

    Returns:
        One per mart, by name.
    """
    return tuple(
        DesiredTableMetadata(
            table=node["name"],
            label=_label(node, _PREFIX.sub("", node["name"]), locale),
            description=_text(node.get("description")),
        )
        for node in marts(manifest)
    )


def field_metadata(
    manifest: Mapping[str, Any], locale: Locale, chosen: Collection[DesiredField] = ()
) -> tuple[DesiredFieldMetadata, ...]:
    """Return how Metabase is to name and treat the columns of the published tables.

    Args:
        manifest: The dbt manifest.
        locale: Language of labels that the models give in two.
        chosen: Columns that filters choose values of: Metabase offers those of a category.

    Returns:
        One per column, by table, in the contract's order.
    """
    keys = primary_keys(manifest)
    references = foreign_keys(manifest)
    closed = {*categories(manifest), *((one.table, one.column) for one in chosen)}
    return tuple(
        DesiredFieldMetadata(
            table=node["name"],
            column=name,
            label=_label(column, name, locale),
            description=_text(column.get("description")),
            semantic_type=_semantic_type(
                (node["name"], name), str(column.get("data_type", "")), keys, references, closed
            ),
            foreign_key=references.get((node["name"], name)),
        )
        for node in marts(manifest)
        for name, column in node["columns"].items()
    )


def categories(manifest: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the closed sets of values, by table and column."""
    return {
        (table, column): tuple(str(value) for value in values)
        for table, arguments in _tests(manifest, "accepted_categories")
        for column, values in arguments["categories"].items()
    }


def primary_keys(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the keys that alone name a row; a channel or a day is a value to people, not a key."""
    return {
        (table, arguments["columns"][0])
        for table, arguments in _tests(manifest, "unique_key")
        if len(arguments["columns"]) == 1 and _is_key(arguments["columns"][0])
    }


def foreign_keys(manifest: Mapping[str, Any]) -> dict[tuple[str, str], DesiredField]:
    """Return the columns that name a row of another published table which they alone would."""
    keys = primary_keys(manifest)
    found: dict[tuple[str, str], DesiredField] = {}
    for table, arguments in _tests(manifest, "known_references"):
        for reference in arguments["references"]:
            said = _REFERENCE.search(reference["to"])
            if said and (said[1], reference["field"]) in keys:
                target = DesiredField(said[1], reference["field"])
                found[(table, reference["column"])] = target
    return found


def _is_key(column: str) -> bool:
    return column.endswith(("_key", "_id"))


def _tests(manifest: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = {node["unique_id"]: str(node["name"]) for node in marts(manifest)}
    for node in manifest["nodes"].values():
        about = node.get("test_metadata") or {}
        if about.get("name") == name and node.get("attached_node") in tables:
            yield tables[node["attached_node"]], about["kwargs"]


def _semantic_type(
    place: tuple[str, str],
    data_type: str,
    keys: set[tuple[str, str]],
    references: Mapping[tuple[str, str], DesiredField],
    closed: Collection[tuple[str, str]],
) -> str | None:
    _, name = place
    kind = data_type.lower()
    # A channel is the key of its table too, but people choose it by name: Metabase takes values of
    # a key for numbers to look up and offers no list.
    if place in closed or kind == "boolean":
        return "type/Category" if kind in {"varchar", "text", "boolean"} else None
    if place in keys:
        return "type/PK"
    if place in references:
        return "type/FK"
    for pattern, meaning in _BY_NAME:
        if re.match(pattern, name):
            return meaning
    return "type/Name" if kind in {"varchar", "text"} and name.endswith("_name") else None


def _label(node: Mapping[str, Any], name: str, locale: Locale) -> str:
    meta = (node.get("config") or {}).get("meta") or node.get("meta") or {}
    label = meta.get("label")
    if isinstance(label, Mapping) and label.get(locale):
        return str(label[locale])
    return name.replace("_", " ").capitalize()


def _text(description: str | None) -> str | None:
    return " ".join((description or "").split()) or None
