"""Between our words and Metabase's: pure, both ways, so that what is wanted and what is there meet.

What Metabase returns is not what was sent: queries come back as MBQL 5 with `lib/uuid` in every
reference, template tags as a map or as a list, dashcards in any order, nulls dropped. Everything is
therefore compared in one canonical form, in which a column, a dashboard or a tab has its name and
no id. `*_wanted` makes that form from the files, `*_found` from an answer, `*_body` a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from orchestration.lib.metabase.desired import (
    DASHBOARD_PLACEHOLDER,
    TAB_PLACEHOLDER,
    DesiredCard,
    DesiredDashboard,
    DesiredDashcard,
    DesiredParameter,
    DesiredTag,
    marked,
)
from orchestration.lib.metabase.errors import MetabaseSyncError

Raw = Mapping[str, Any]
Values = dict[str, Any]

_TAG_NAMESPACE = UUID("6f0d6a55-2d0b-5a0c-9c3e-5d1f3d0c7a11")
OUR_COLLECTION = "ours"


@dataclass(frozen=True)
class Names:
    """The ids of one instance by our names, and back."""

    collection_id: int | None = None
    database_id: int | None = None
    fields: Mapping[tuple[str, str], int] = field(default_factory=dict)
    cards: Mapping[str, int] = field(default_factory=dict)
    dashboards: Mapping[str, int] = field(default_factory=dict)
    tabs: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @cached_property
    def field_names(self) -> dict[int, str]:
        """Return "table.column" by id."""
        return {number: f"{table}.{column}" for (table, column), number in self.fields.items()}

    @cached_property
    def card_keys(self) -> dict[int, str]:
        """Return card keys by id."""
        return {number: key for key, number in self.cards.items()}

    @cached_property
    def dashboard_keys(self) -> dict[int, str]:
        """Return dashboard keys by id."""
        return {number: key for key, number in self.dashboards.items()}

    @cached_property
    def tab_keys(self) -> dict[int, tuple[str, str]]:
        """Return (dashboard, tab) keys by tab id."""
        return {number: key for key, number in self.tabs.items()}

    def place(self, collection_id: object) -> str:
        """Return a collection in words that hold for every instance."""
        if self.collection_id is not None and collection_id == self.collection_id:
            return OUR_COLLECTION
        return "root" if collection_id is None else f"collection {collection_id}"


def canonical(value: Any) -> Any:
    """Return a JSON value without what Metabase adds or drops on its own.

    Nulls and `lib/uuid` go, whole floats become integers, and the JSON texts that
    `column_settings` uses as keys get one spelling.
    """
    if isinstance(value, Mapping):
        return {
            _canonical_key(name): canonical(one)
            for name, one in value.items()
            if one is not None and name != "lib/uuid"
        }
    if isinstance(value, list | tuple):
        return [canonical(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _canonical_key(name: str) -> str:
    if name.startswith("["):
        try:
            return json.dumps(json.loads(name), ensure_ascii=False, separators=(",", ":"))
        except ValueError:
            return name
    return name


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
        "settings": _with_names(canonical(raw.get("visualization_settings") or {}), names),
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


def parameter_wanted(parameter: DesiredParameter) -> Values:
    """Return how a dashboard's filter shall look."""
    return {
        "id": parameter.id,
        "name": parameter.name,
        "slug": parameter.slug,
        "type": parameter.type,
        "default": canonical(parameter.default),
        "multi": parameter.is_multi_select,
        "required": parameter.is_required,
        "values": [list(pair) for pair in parameter.values],
    }


def parameter_found(raw: Raw) -> Values:
    """Return how a dashboard's filter looks, in the words of `parameter_wanted`."""
    source = (raw.get("values_source_config") or {}).get("values") or []
    return {
        "id": raw.get("id"),
        "name": raw.get("name"),
        "slug": raw.get("slug"),
        "type": raw.get("type"),
        "default": canonical(raw.get("default")),
        "multi": bool(raw.get("isMultiSelect", True)),
        "required": bool(raw.get("required")),
        "values": [list(one) if isinstance(one, list) else [one, one] for one in source],
    }


def _parameter_body(parameter: DesiredParameter) -> Values:
    body: Values = {
        "id": parameter.id,
        "name": parameter.name,
        "slug": parameter.slug,
        "type": parameter.type,
        "sectionId": parameter.type.partition("/")[0],
        "isMultiSelect": parameter.is_multi_select,
    }
    if parameter.default is not None:
        body["default"] = parameter.default
    if parameter.is_required:
        body["required"] = True
    if parameter.values:
        body["values_source_type"] = "static-list"
        body["values_source_config"] = {"values": [list(pair) for pair in parameter.values]}
    return body


def dashboard_wanted(dashboard: DesiredDashboard) -> Values:
    """Return how a dashboard shall look; each place of a card is a key of its own."""
    return {
        "name": dashboard.name,
        "description": marked(dashboard.description, "dashboard", dashboard.key),
        "place": OUR_COLLECTION,
        "archived": False,
        "parameters": [parameter_wanted(one) for one in dashboard.parameters],
        "tabs": [[tab.key, tab.name] for tab in dashboard.tabs],
        **{f"dashcard {one.key}": _dashcard_wanted(one) for one in dashboard.dashcards},
    }


def _dashcard_wanted(dashcard: DesiredDashcard) -> Values:
    return {
        "card": dashcard.card_key,
        "tab": dashcard.tab_key,
        "place": [dashcard.row, dashcard.column, dashcard.width, dashcard.height],
        "settings": canonical(dashcard.settings),
        "mappings": sorted([list(pair) for pair in dashcard.mappings]),
        "series": [],
    }


@dataclass(frozen=True)
class FoundDashboard:
    """A dashboard as it is.

    Attributes:
        values: In the words of `dashboard_wanted`.
        tab_ids: Ids of our tabs by key.
        dashcard_ids: Ids of our places by key.
        kept: Places that are not ours and must stay: a question that lives inside the dashboard is
            archived by Metabase when its place goes.
        kept_tabs: Tabs that are not ours and hold such places.
        extra: Places that are not ours and go.
        extra_tabs: Tabs that are not ours and go.
    """

    values: Values
    tab_ids: Mapping[str, int]
    dashcard_ids: Mapping[str, int]
    kept: tuple[Raw, ...] = ()
    kept_tabs: tuple[Raw, ...] = ()
    extra: tuple[Raw, ...] = ()
    extra_tabs: tuple[Raw, ...] = ()


def dashboard_found(
    raw: Raw,
    wanted: DesiredDashboard,
    names: Names,
    parts: Mapping[str, Mapping[str, int]],
    inner_cards: frozenset[int] = frozenset(),
) -> FoundDashboard:
    """Return how a dashboard looks, its tabs and places matched with ours.

    Args:
        raw: The answer of Metabase.
        wanted: The dashboard it shall be; tells the keys and where each stands.
        names: Ids of the instance.
        parts: Remembered ids of "tabs" and "dashcards".
        inner_cards: Ids of questions that live inside a dashboard.
    """
    live_tabs = list(raw.get("tabs") or [])
    tab_ids = _matched_tabs(live_tabs, wanted, parts.get("tabs", {}))
    tab_keys = {number: key for key, number in tab_ids.items()}
    dashcards = list(raw.get("dashcards") or [])
    dashcard_ids = _matched_dashcards(dashcards, wanted, names, tab_ids, parts.get("dashcards", {}))
    ours = set(dashcard_ids.values())
    strangers = [one for one in dashcards if one["id"] not in ours]
    kept = tuple(one for one in strangers if _lives_inside(one, inner_cards))
    held = {one.get("dashboard_tab_id") for one in kept}
    other_tabs = [tab for tab in live_tabs if tab["id"] not in tab_keys]
    by_id = {one["id"]: one for one in dashcards}
    values: Values = {
        "name": raw.get("name"),
        "description": raw.get("description"),
        "place": names.place(raw.get("collection_id")),
        "archived": bool(raw.get("archived")),
        "parameters": [parameter_found(one) for one in raw.get("parameters") or []],
        "tabs": [[tab_keys[tab["id"]], tab["name"]] for tab in live_tabs if tab["id"] in tab_keys],
    }
    for key, number in dashcard_ids.items():
        values[f"dashcard {key}"] = _dashcard_found(by_id[number], names, tab_keys)
    return FoundDashboard(
        values=values,
        tab_ids=tab_ids,
        dashcard_ids=dashcard_ids,
        kept=kept,
        kept_tabs=tuple(tab for tab in other_tabs if tab["id"] in held),
        extra=tuple(one for one in strangers if one not in kept),
        extra_tabs=tuple(tab for tab in other_tabs if tab["id"] not in held),
    )


def _lives_inside(dashcard: Raw, inner_cards: frozenset[int]) -> bool:
    card = dashcard.get("card") or {}
    return bool(card.get("dashboard_id")) or dashcard.get("card_id") in inner_cards


def _matched_tabs(
    live: Sequence[Raw], wanted: DesiredDashboard, remembered: Mapping[str, int]
) -> dict[str, int]:
    free = {tab["id"]: tab for tab in live}
    found: dict[str, int] = {}
    for tab in wanted.tabs:
        number = remembered.get(tab.key)
        if number is not None and number in free:
            found[tab.key] = number
            del free[number]
    for tab in wanted.tabs:
        if tab.key not in found:
            # Made by an apply that was killed before it could write the id down.
            number = next((n for n, one in free.items() if one.get("name") == tab.name), None)
            if number is not None:
                found[tab.key] = number
                del free[number]
    return found


def _matched_dashcards(
    live: Sequence[Raw],
    wanted: DesiredDashboard,
    names: Names,
    tab_ids: Mapping[str, int],
    remembered: Mapping[str, int],
) -> dict[str, int]:
    free = {one["id"]: one for one in live}
    found: dict[str, int] = {}

    def take(dashcard: DesiredDashcard, number: int | None) -> None:
        if number is not None and number in free:
            found[dashcard.key] = number
            del free[number]

    for dashcard in wanted.dashcards:
        take(dashcard, remembered.get(dashcard.key))
    # The strictest likeness first: the same card in the same place, then the same card at all.
    for is_alike in (_is_same_place, _is_same_thing):
        for dashcard in wanted.dashcards:
            if dashcard.key in found:
                continue
            take(
                dashcard,
                next(
                    (n for n, one in free.items() if is_alike(one, dashcard, names, tab_ids)), None
                ),
            )
    return found


def _is_same_thing(
    raw: Raw, dashcard: DesiredDashcard, names: Names, tab_ids: Mapping[str, int]
) -> bool:
    if dashcard.card_key is not None:
        number = names.cards.get(dashcard.card_key)
        return number is not None and raw.get("card_id") == number
    settings = raw.get("visualization_settings") or {}
    text = dashcard.settings.get("text")
    return raw.get("card_id") is None and text is not None and settings.get("text") == text


def _is_same_place(
    raw: Raw, dashcard: DesiredDashcard, names: Names, tab_ids: Mapping[str, int]
) -> bool:
    tab_id = tab_ids.get(dashcard.tab_key) if dashcard.tab_key is not None else None
    place = (raw.get("row"), raw.get("col"), raw.get("dashboard_tab_id"))
    if place != (dashcard.row, dashcard.column, tab_id):
        return False
    if dashcard.card_key is None:
        return raw.get("card_id") is None
    return _is_same_thing(raw, dashcard, names, tab_ids)


def _dashcard_found(raw: Raw, names: Names, tab_keys: Mapping[int, str]) -> Values:
    card_id, tab_id = raw.get("card_id"), raw.get("dashboard_tab_id")
    return {
        "card": None if card_id is None else names.card_keys.get(card_id, f"card {card_id}"),
        "tab": None if tab_id is None else tab_keys.get(tab_id, f"tab {tab_id}"),
        "place": [raw.get("row"), raw.get("col"), raw.get("size_x"), raw.get("size_y")],
        "settings": _with_names(canonical(raw.get("visualization_settings") or {}), names),
        "mappings": sorted(
            [one.get("parameter_id"), _tag_of(one.get("target"))]
            for one in raw.get("parameter_mappings") or []
        ),
        "series": [one.get("id") for one in raw.get("series") or []],
    }


def _tag_of(target: Any) -> str:
    """Return the tag in ["dimension", ["template-tag", name], {...}]."""
    if isinstance(target, list) and len(target) > 1 and isinstance(target[1], list):
        return str(target[1][-1])
    return json.dumps(target, ensure_ascii=False)


def dashboard_body(
    dashboard: DesiredDashboard, found: FoundDashboard | None, names: Names
) -> tuple[Values, bool]:
    """Return the body of a PUT that makes a dashboard as wanted, and whether it is complete.

    Ids that are there are kept, because subscriptions hang on them. Tabs and places always travel
    together: Metabase takes a missing `tabs` for an empty one and drops the tabs.

    Args:
        dashboard: What is wanted.
        found: What is there.
        names: Ids of the instance.

    Returns:
        The body, and False where a tab it leads to has no id yet: the same body again, later,
        completes it.
    """
    tab_ids = dict(found.tab_ids) if found else {}
    dashcard_ids = dict(found.dashcard_ids) if found else {}
    tabs: list[Values] = []
    for position, tab in enumerate(dashboard.tabs):
        tab_ids.setdefault(tab.key, -1 - position)
        tabs.append({"id": tab_ids[tab.key], "name": tab.name})
    dashcards: list[Values] = []
    is_complete = True
    for position, dashcard in enumerate(dashboard.dashcards):
        settings, is_resolved = resolved(dashcard.settings, names)
        is_complete = is_complete and is_resolved
        card_id = names.cards[dashcard.card_key] if dashcard.card_key is not None else None
        dashcards.append(
            {
                "id": dashcard_ids.get(dashcard.key, -1 - position),
                "card_id": card_id,
                "dashboard_tab_id": None if dashcard.tab_key is None else tab_ids[dashcard.tab_key],
                "row": dashcard.row,
                "col": dashcard.column,
                "size_x": dashcard.width,
                "size_y": dashcard.height,
                "visualization_settings": settings,
                "parameter_mappings": [
                    {
                        "parameter_id": parameter_id,
                        "card_id": card_id,
                        "target": ["dimension", ["template-tag", tag]],
                    }
                    for parameter_id, tag in dashcard.mappings
                ],
                "series": [],
            }
        )
    if found is not None:
        tabs += [{"id": tab["id"], "name": tab["name"]} for tab in found.kept_tabs]
        dashcards += [_as_it_stands(one) for one in found.kept]
    body = {
        "name": dashboard.name,
        "description": marked(dashboard.description, "dashboard", dashboard.key),
        "collection_id": names.collection_id,
        "archived": False,
        "parameters": [_parameter_body(one) for one in dashboard.parameters],
        "tabs": tabs,
        "dashcards": dashcards,
    }
    return body, is_complete


def _as_it_stands(raw: Raw) -> Values:
    names = (
        "id",
        "card_id",
        "dashboard_tab_id",
        "row",
        "col",
        "size_x",
        "size_y",
        "visualization_settings",
        "parameter_mappings",
    )
    kept: Values = {name: raw[name] for name in names if name in raw}
    kept["series"] = [{"id": one["id"]} for one in raw.get("series") or []]
    return kept


def resolved(settings: Any, names: Names) -> tuple[Any, bool]:
    """Return settings with ids where they name dashboards and tabs.

    Returns:
        The settings, and False where something named has no id yet; its key is then left out.
    """
    if isinstance(settings, Mapping):
        if DASHBOARD_PLACEHOLDER in settings:
            number = _placeholder_id(settings, names)
            return number, number is not None
        parts = {name: resolved(one, names) for name, one in settings.items()}
        kept = {
            name: value
            for name, (value, is_known) in parts.items()
            if is_known or value is not None
        }
        return kept, all(is_known for _, is_known in parts.values())
    if isinstance(settings, list | tuple):
        found = [resolved(one, names) for one in settings]
        return [value for value, _ in found], all(is_known for _, is_known in found)
    return settings, True


def _placeholder_id(placeholder: Raw, names: Names) -> int | None:
    dashboard = placeholder[DASHBOARD_PLACEHOLDER]
    if TAB_PLACEHOLDER in placeholder:
        return names.tabs.get((dashboard, placeholder[TAB_PLACEHOLDER]))
    return names.dashboards.get(dashboard)


def _with_names(settings: Any, names: Names) -> Any:
    """Return settings with placeholders where they hold ids of our dashboards and tabs."""
    if isinstance(settings, list):
        return [_with_names(one, names) for one in settings]
    if not isinstance(settings, dict):
        return settings
    named = {name: _with_names(one, names) for name, one in settings.items()}
    if settings.get("type") == "link" and settings.get("linkType") == "dashboard":
        key = names.dashboard_keys.get(settings.get("targetId", 0))
        if key is not None:
            named["targetId"] = {DASHBOARD_PLACEHOLDER: key}
        tab = names.tab_keys.get(settings.get("tabId", 0))
        if tab is not None:
            named["tabId"] = {DASHBOARD_PLACEHOLDER: tab[0], TAB_PLACEHOLDER: tab[1]}
    return named
