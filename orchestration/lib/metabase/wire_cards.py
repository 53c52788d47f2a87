"""Cards in our words and in Metabase's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from orchestration.lib.metabase.desired import DesiredCard, DesiredTag, marked
from orchestration.lib.metabase.errors import MetabaseSyncError
from orchestration.lib.metabase.wire import (
    OUR_COLLECTION,
    Names,
    Raw,
    Values,
    canonical,
    resolved,
    with_names,
)

# A tag needs an id that stays the same from one apply to the next.
_TAG_NAMESPACE = UUID("6f0d6a55-2d0b-5a0c-9c3e-5d1f3d0c7a11")


def card_wanted(card: DesiredCard) -> Values:
    """Return how a card shall look."""
    return {
        "name": card.name,
        "description": marked(card.description, "card", card.key),
        "sql": card.sql.strip(),
        "tags": {tag.name: _tag_wanted(tag) for tag in card.tags},
        "display": card.display,
        "settings": canonical(card.settings),
        "type": "question",
        "database": OUR_COLLECTION,
        "place": OUR_COLLECTION,
        "archived": False,
    }


def _tag_wanted(tag: DesiredTag) -> Values:
    return {
        "label": tag.label,
        "type": tag.kind,
        "field": f"{tag.field.table}.{tag.field.column}",
        "widget": tag.widget_type,
        "default": canonical(tag.default),
        "required": tag.is_required,
    }


def card_found(raw: Raw, names: Names) -> Values:
    """Return how a card looks, in the words of `card_wanted`."""
    query = raw.get("dataset_query") or {}
    sql, tags = _native_parts(query)
    database = query.get("database", raw.get("database_id"))
    return {
        "name": raw.get("name"),
        "description": raw.get("description"),
        "sql": sql.strip(),
        "tags": {tag["name"]: _tag_found(tag, names) for tag in tags},
        "display": raw.get("display"),
        "settings": with_names(canonical(raw.get("visualization_settings") or {}), names),
        "type": raw.get("type") or "question",
        "database": OUR_COLLECTION if database == names.database_id else f"database {database}",
        "place": names.place(raw.get("collection_id")),
        "archived": bool(raw.get("archived")),
    }


def _native_parts(query: Raw) -> tuple[str, list[Raw]]:
    """Return SQL and tags of a query in MBQL 5 or in the form before it."""
    stages = query.get("stages")
    if stages:
        sql, tags = stages[0].get("native"), stages[0].get("template-tags")
    else:
        native = query.get("native") or {}
        sql, tags = native.get("query"), native.get("template-tags")
    if isinstance(tags, Mapping):
        tags = list(tags.values())
    return (sql if isinstance(sql, str) else ""), [tag for tag in tags or [] if "name" in tag]


def _tag_found(tag: Raw, names: Names) -> Values:
    number = _field_id(tag.get("dimension"))
    return {
        "label": tag.get("display-name"),
        "type": tag.get("type"),
        "field": names.field_names.get(number, f"field {number}") if number else None,
        "widget": tag.get("widget-type"),
        "default": canonical(tag.get("default")),
        "required": bool(tag.get("required")),
    }


def _field_id(reference: Any) -> int | None:
    """Return the id in ["field", {...}, 7] (MBQL 5) or ["field", 7, null]."""
    if isinstance(reference, list | tuple):
        for part in reference[1:]:
            if isinstance(part, int) and not isinstance(part, bool):
                return part
    return None


def card_body(card: DesiredCard, names: Names) -> Values:
    """Return the request body that makes the card as wanted.

    Raises:
        MetabaseSyncError: A column of a filter is not in Metabase yet.
    """
    wanted = card_wanted(card)
    return {
        "name": wanted["name"],
        "description": wanted["description"],
        "display": wanted["display"],
        "visualization_settings": resolved(card.settings, names)[0],
        "dataset_query": _query(card, names),
        "collection_id": names.collection_id,
        "type": "question",
    }


def _query(card: DesiredCard, names: Names) -> Values:
    tags = {}
    for tag in card.tags:
        number = names.fields.get((tag.field.table, tag.field.column))
        if number is None:
            raise MetabaseSyncError(
                f"{card.key}: Metabase knows no column {tag.field.table}.{tag.field.column}, "
                "on which its filter works; run `voronka metabase doctor`."
            )
        tags[tag.name] = {
            "id": str(uuid5(_TAG_NAMESPACE, f"{card.key}/{tag.name}")),
            "name": tag.name,
            "display-name": tag.label,
            "type": tag.kind,
            "dimension": ["field", {}, number],
            "widget-type": tag.widget_type,
            "default": tag.default,
            **({"required": True} if tag.is_required else {}),
        }
    return {
        "lib/type": "mbql/query",
        "database": names.database_id,
        "stages": [
            {
                "lib/type": "mbql.stage/native",
                "native": card.sql.strip(),
                **({"template-tags": tags} if tags else {}),
            }
        ],
    }
