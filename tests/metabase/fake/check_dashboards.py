"""What is wrong with a dashboard though the server took it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.metabase.fake import dataset_query
from tests.metabase.fake.check_cards import (
    PARAMETER_TYPES,
    click_behaviours,
    click_columns,
    fits,
    placeholders,
    settings_findings,
)
from tests.metabase.fake.state import Row, State
from tests.metabase.fake.substitution import SubstitutionError, date_range

GRID_COLUMNS = 24
_VIRTUAL_DISPLAYS = {"text", "heading", "link", "iframe", "action", "placeholder"}
_LINK_TYPES = {"dashboard", "question", "url", "page"}


def dashboard_findings(state: State, board: Row, today: Any) -> Iterator[str]:
    """Yield what is wrong with a dashboard and its places."""
    places = [d for d in state.dashcards.values() if d["dashboard_id"] == board["id"]]
    name = f"dashboard {board['name']!r}"
    yield from (f"{name}: {text}" for text in _parameters(board["parameters"], today))
    yield from (f"{name}: {text}" for text in _grid(places))
    for place in places:
        at = f"{name}: place at {place['row']},{place['col']}"
        yield from (f"{at}: {text}" for text in _place(state, board, place))
    yield from (f"{name}: {text}" for text in _filters_on_tabs(state, board, places))


def _parameters(parameters: list[Row], today: Any) -> Iterator[str]:
    for key in ("id", "slug", "name"):
        values = [one.get(key) for one in parameters]
        if None in values or len(set(values)) != len(values):
            yield f"filters need a {key} of their own: {values}"
    for one in parameters:
        kind, default = one.get("type"), one.get("default")
        if kind not in PARAMETER_TYPES:
            yield f"filter {one.get('id')!r}: no type is called {kind!r}"
            continue
        if default is None:
            continue
        if kind.startswith("date"):
            try:
                date_range(default, today)
            except (SubstitutionError, TypeError):
                yield f"filter {one['id']!r}: nobody can read the default {default!r}"
        elif kind.split("/")[0] in {"string", "number", "boolean"}:
            if not isinstance(default, list):
                yield f"filter {one['id']!r}: the default of {kind} is a list"
            elif not one.get("isMultiSelect", True) and len(default) > 1:
                yield f"filter {one['id']!r}: one value allowed, {len(default)} by default"


def _grid(places: list[Row]) -> Iterator[str]:
    taken: dict[tuple[Any, int, int], int] = {}
    for place in places:
        if place["col"] + place["size_x"] > GRID_COLUMNS:
            yield f"place {place['row']},{place['col']} is {place['size_x']} wide: over the edge"
        cells = [
            (place["dashboard_tab_id"], row, column)
            for row in range(place["row"], place["row"] + place["size_y"])
            for column in range(place["col"], place["col"] + place["size_x"])
        ]
        other = next((taken[cell] for cell in cells if cell in taken), None)
        if other is not None:
            yield f"place {place['row']},{place['col']} lies over another one"
        taken.update(dict.fromkeys(cells, place["id"]))


def _place(state: State, board: Row, place: Row) -> Iterator[str]:
    settings = place["visualization_settings"]
    card = state.cards.get(place["card_id"] or 0)
    if card is None:
        virtual = settings.get("virtual_card")
        if not virtual:
            yield "it has no card and no text: card_id was left out?"
        elif virtual.get("display") not in _VIRTUAL_DISPLAYS:
            yield f"no virtual card is called {virtual.get('display')!r}"
        elif virtual["display"] in {"text", "heading"} and not settings.get("text"):
            yield "its text is empty"
        yield from (f"settings: {path} was not resolved" for path in placeholders(settings))
    else:
        yield from settings_findings(place, card)
    for behaviour in click_behaviours(settings):
        yield from _click(behaviour)
    known = {one["id"]: one for one in board["parameters"]}
    for mapping in place["parameter_mappings"]:
        yield from _mapping(state, place, card, mapping, known)


def _click(behaviour: Row) -> Iterator[str]:
    if behaviour.get("type") not in {"crossfilter", "link", "action", "actionMenu"}:
        yield f"no click is called {behaviour.get('type')!r}"
    if behaviour.get("type") == "link" and behaviour.get("linkType") not in _LINK_TYPES:
        yield f"no link is called {behaviour.get('linkType')!r}"
    if behaviour.get("linkType") == "url" and not behaviour.get("linkTemplate"):
        yield "a link without an address"
    for where, column in click_columns(behaviour):
        if not column:
            yield f"{where} names no column"


def _mapping(
    state: State, place: Row, card: Row | None, mapping: Row, known: dict[str, Row]
) -> Iterator[str]:
    parameter = known.get(mapping.get("parameter_id") or "")
    target = mapping.get("target")
    if parameter is None:
        yield f"mapped to a filter that is not there: {mapping.get('parameter_id')!r}"
        return
    what = f"filter {parameter['id']!r}"
    if not isinstance(target, list) or len(target) < 2:
        yield f"{what}: {target!r} is no target"
        return
    if target[0] == "text-tag":
        return
    if card is None:
        yield f"{what} is mapped to a place without a card"
        return
    if mapping.get("card_id") not in {card["id"], *(one["id"] for one in place["series"])}:
        yield f"{what} is mapped with card {mapping.get('card_id')}, here is card {card['id']}"
    reference = target[1]
    tags = dataset_query.tags_of(card["dataset_query"])
    if not isinstance(reference, list) or len(reference) < 2:
        yield f"{what}: {target!r} is no target"
    elif reference[0] == "field" and not isinstance(reference[1], (int, str)):
        yield f"{what}: the column comes second in a target, its options third"
    elif reference[0] == "template-tag":
        tag = tags.get(reference[1])
        wanted = "dimension" if target[0] == "dimension" else "variable"
        if tag is None:
            yield f"{what}: {card['name']!r} has no variable {reference[1]!r}"
        elif (tag["type"] == "dimension") != (wanted == "dimension"):
            yield f"{what}: {reference[1]!r} is no {wanted}"
        elif tag["type"] == "dimension":
            yield from _types(state, what, parameter, tag)
    elif reference[0] != "field" or card["query_type"] == "native":
        yield f"{what}: {target!r} is no target of SQL"


def _types(state: State, what: str, parameter: Row, tag: Row) -> Iterator[str]:
    field = state.fields.get(tag["dimension"][2])
    if field is not None and not fits(parameter["type"], field["base_type"]):
        yield f"{what} of {parameter['type']} on {field['name']} of {field['base_type']}"
    families = {str(kind).split("/")[0] for kind in (parameter["type"], tag.get("widget-type"))}
    if len(families) > 1 and not families <= {"category", "string", "id", "location"}:
        yield f"{what} of {parameter['type']} on a widget of {tag.get('widget-type')}"


def _filters_on_tabs(state: State, board: Row, places: list[Row]) -> Iterator[str]:
    """A filter reaches every card that could listen to it, on every tab."""
    for parameter in board["parameters"]:
        reached = {
            (place["id"], _tag_name(m))
            for place in places
            for m in place["parameter_mappings"]
            if m.get("parameter_id") == parameter["id"]
        }
        if not reached:
            yield f"filter {parameter['id']!r} is not mapped to anything"
            continue
        known = {place["id"]: _field_filters(state, place) for place in places}
        filtered = {known[place_id].get(name) for place_id, name in reached} - {None}
        for place in places:
            for name, field_id in known[place["id"]].items():
                if field_id in filtered and not any(one[0] == place["id"] for one in reached):
                    card = state.cards[place["card_id"]]["name"]
                    yield f"filter {parameter['id']!r} is not mapped to {name!r} of {card!r}"


def _tag_name(mapping: Row) -> Any:
    target = mapping.get("target")
    return target[1][-1] if isinstance(target, list) and isinstance(target[1], list) else None


def _field_filters(state: State, place: Row) -> dict[str, int]:
    """Return the column of each field filter of the card at a place."""
    card = state.cards.get(place["card_id"] or 0)
    tags = dataset_query.tags_of(card["dataset_query"]) if card is not None else {}
    return {
        name: tag["dimension"][2]
        for name, tag in tags.items()
        if tag.get("type") == "dimension" and isinstance(tag.get("dimension"), list)
    }


def hidden_filters(state: State) -> list[tuple[str, str, str]]:
    """Return (dashboard, tab, filter) where nothing listens: Metabase does not show it there."""
    hidden = []
    for board in state.dashboards.values():
        for tab in state.tabs.values():
            if tab["dashboard_id"] != board["id"]:
                continue
            here = [d for d in state.dashcards.values() if d["dashboard_tab_id"] == tab["id"]]
            mapped = {m.get("parameter_id") for place in here for m in place["parameter_mappings"]}
            if any(place["card_id"] is not None for place in here):
                hidden += [
                    (board["name"], tab["name"], one["id"])
                    for one in board["parameters"]
                    if one["id"] not in mapped
                ]
    return hidden


def link_findings(state: State) -> Iterator[str]:
    """Yield clicks that lead nowhere; true at the end of an apply, not in the middle."""
    for place in state.dashcards.values():
        board = state.dashboards[place["dashboard_id"]]
        for behaviour in click_behaviours(place["visualization_settings"]):
            at = f"dashboard {board['name']!r}: a click at {place['row']},{place['col']}"
            for mapped in behaviour.get("parameterMapping") or {}:
                if not _takes(state, board, behaviour, mapped):
                    yield f"{at} sets a filter {mapped!r} that its target has not"
            target = behaviour.get("targetId")
            if behaviour.get("linkType") == "dashboard":
                aim = state.dashboards.get(target or 0)
                if aim is None or aim["archived"]:
                    yield f"{at} leads to no dashboard ({target})"
                    continue
                tab = state.tabs.get(behaviour.get("tabId") or 0)
                if behaviour.get("tabId") is not None and (
                    tab is None or tab["dashboard_id"] != target
                ):
                    yield f"{at} leads to no tab of {aim['name']!r}"
            elif behaviour.get("linkType") == "question":
                card = state.cards.get(target or 0)
                if card is None or card["archived"]:
                    yield f"{at} leads to no question ({target})"


def _takes(state: State, board: Row, behaviour: Row, mapped: str) -> bool:
    if behaviour.get("type") == "crossfilter":
        aim: Row | None = board
    elif behaviour.get("linkType") == "dashboard":
        aim = state.dashboards.get(behaviour.get("targetId") or 0)
    else:
        return True
    return aim is not None and mapped in {one["id"] for one in aim["parameters"]}
