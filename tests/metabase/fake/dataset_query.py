"""The two wire forms of a query and what the server makes of them (api.md 4.1)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.metabase.fake.state import Row
from tests.metabase.fake.web import RefusedError, invalid

TAG_TYPES = {
    "text",
    "number",
    "date",
    "boolean",
    "dimension",
    "temporal-unit",
    "snippet",
    "card",
    "table",
}


def stored(query: Any, new_uuid: Callable[[], str]) -> Row:
    """Return a query as the server keeps it: MBQL 5, references with `lib/uuid`, tags by name.

    Raises:
        RefusedError: Not a query, or a legacy one with references in the other form (500).
    """
    if not isinstance(query, dict) or not query:
        raise invalid(dataset_query="Value must be a map.")
    query = copy.deepcopy(query)
    if query.get("lib/type") == "mbql/query":
        for stage in query.get("stages") or []:
            stage["template-tags"] = _by_name(stage.get("template-tags"))
            if not stage["template-tags"]:
                del stage["template-tags"]
        _check(query)
    elif query.get("type") == "native":
        query = _from_legacy(query)
        _check(query)
    elif query.get("type") == "query":
        query = {
            "lib/type": "mbql/query",
            "database": query.get("database"),
            "stages": [{"lib/type": "mbql.stage/mbql", **(query.get("query") or {})}],
        }
    else:
        raise RefusedError(500, {"message": "Error normalizing query: missing :lib/type"})
    for reference in references(query):
        reference[1].setdefault("lib/uuid", new_uuid())
    return query


def _by_name(tags: Any) -> Row:
    if isinstance(tags, list):
        return {tag["name"]: tag for tag in tags}
    return dict(tags or {})


def _from_legacy(query: Row) -> Row:
    native = query.get("native") or {}
    tags = _by_name(native.get("template-tags"))
    for tag in tags.values():
        reference = tag.get("dimension")
        if reference is None:
            continue
        if len(reference) != 3 or isinstance(reference[1], dict):
            # Metabase calls this expected: issue 74615.
            raise RefusedError(
                500, {"message": "Invalid :field clause in a legacy query", "cause": "?"}
            )
        tag["dimension"] = ["field", dict(reference[2] or {}), reference[1]]
    stage: Row = {"lib/type": "mbql.stage/native", "native": native.get("query")}
    if tags:
        stage["template-tags"] = tags
    return {"lib/type": "mbql/query", "database": query.get("database"), "stages": [stage]}


def _check(query: Row) -> None:
    for stage in query.get("stages") or [{}]:
        if stage.get("lib/type") == "mbql.stage/native" and not isinstance(
            stage.get("native"), str
        ):
            raise RefusedError(
                500, {"message": "Error normalizing query: :native must be a string"}
            )
        for name, tag in (stage.get("template-tags") or {}).items():
            if tag.get("type") not in TAG_TYPES:
                raise invalid(dataset_query=f"Unknown template tag type of {name}.")
    for reference in references(query):
        if not isinstance(reference[1], dict):
            raise RefusedError(500, {"message": "Invalid :field clause in an MBQL 5 query"})


def references(query: Row) -> Iterator[list[Any]]:
    """Yield the field references of a query's template tags."""
    for stage in query.get("stages") or []:
        for tag in (stage.get("template-tags") or {}).values():
            reference = tag.get("dimension")
            if isinstance(reference, list) and len(reference) == 3:
                yield reference


def sql_of(query: Row) -> str | None:
    """Return the SQL of a stored query; None for one of the query builder."""
    stages = query.get("stages") or []
    return stages[0].get("native") if len(stages) == 1 else None


def tags_of(query: Row) -> Row:
    """Return the template tags of a stored query by name."""
    stages = query.get("stages") or [{}]
    return dict(stages[0].get("template-tags") or {})


def shown(query: Row, minor: int, *, is_legacy: bool) -> Row:
    """Return a stored query as a server of that version sends it."""
    query = copy.deepcopy(query)
    if is_legacy or minor < 57:
        return _legacy(query)
    if minor >= 63:
        for stage in query.get("stages") or []:
            if "template-tags" in stage:
                stage["template-tags"] = list(stage["template-tags"].values())
    return query


def _legacy(query: Row) -> Row:
    sql = sql_of(query)
    if sql is None:
        stage = {k: v for k, v in query["stages"][0].items() if k != "lib/type"}
        return {"type": "query", "database": query["database"], "query": stage}
    tags = tags_of(query)
    for tag in tags.values():
        if isinstance(tag.get("dimension"), list):
            _, options, field_id = tag["dimension"]
            kept = {k: v for k, v in options.items() if k != "lib/uuid"}
            tag["dimension"] = ["field", field_id, kept or None]
    native: Row = {"query": sql}
    if tags:
        native["template-tags"] = tags
    return {"type": "native", "database": query["database"], "native": native}
