"""Dashboards in our words and in Metabase's: filters, tabs, and the places of cards.

A place is found again by its remembered id, else by its card, else by where it stands: ids must
survive every apply, because subscriptions hang on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.lib.metabase.desired import (
    DesiredDashboard,
    DesiredDashcard,
    DesiredParameter,
    marked,
)
from orchestration.lib.metabase.wire import (
    OUR_COLLECTION,
    Names,
    Raw,
    Values,
    canonical,
    resolved,
    with_names,
)


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
        "settings": with_names(canonical(raw.get("visualization_settings") or {}), names),
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
