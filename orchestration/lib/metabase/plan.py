"""The difference between what shall stand in Metabase and what stands there; pure.

A value counts as different when it is neither what we want nor what Metabase made of exactly that
when we last sent it: some values come back rewritten, and a plan must be empty all the same. Who
changed a value is told by memory: unlike what Metabase answered last time means by hand in
Metabase, unlike what we sent means in the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestration.lib.metabase.desired import (
    ROOT_COLLECTION,
    DesiredFieldMetadata,
    DesiredState,
    DesiredTableMetadata,
    marked,
)
from orchestration.lib.metabase.instance import ALL_USERS, Foreign, Instance, details_of
from orchestration.lib.metabase.permissions import PermissionChange, permission_changes
from orchestration.lib.metabase.state import MetabaseState, Remembered, digest
from orchestration.lib.metabase.target import Target
from orchestration.lib.metabase.wire import Names, Raw, Values
from orchestration.lib.metabase.wire_cards import card_found, card_wanted
from orchestration.lib.metabase.wire_dashboards import (
    FoundDashboard,
    dashboard_found,
    dashboard_wanted,
)

Kind = Literal[
    "setup", "database", "collection", "group", "permission", "card", "dashboard", "table", "field"
]
Verb = Literal["create", "change", "move", "rename", "restore", "archive", "switch"]
Origin = Literal["files", "hand", "both", "unknown"]

# Kinds that later requests need ids of; after them the instance is read again.
GROUND: tuple[Kind, ...] = ("setup", "database", "collection", "group", "permission")
MISSING = "(missing)"


@dataclass(frozen=True)
class Change:
    """One key of an object: from what to what, and who made them differ."""

    key: str
    before: Any
    after: Any
    origin: Origin = "unknown"


@dataclass(frozen=True)
class Action:
    """One thing to do to one object.

    Attributes:
        kind: What it is.
        verb: What happens to it.
        key: Our key.
        name: As people see it.
        id: Metabase's number, when it has one.
        changes: What differs.
    """

    kind: Kind
    verb: Verb
    key: str
    name: str
    id: int | None = None
    changes: tuple[Change, ...] = ()

    @property
    def is_by_hand(self) -> bool:
        """Return whether somebody changed the object in Metabase."""
        return any(change.origin in {"hand", "both"} for change in self.changes)


@dataclass(frozen=True)
class Plan:
    """What to do, in order.

    Attributes:
        actions: Nothing to do when empty.
        foreign: What lies in our collection and is not ours; left alone.
        permissions: The rights to change, for apply.
        found: Dashboards as they are by key, for apply.
        names: Ids of the instance by our names.
        is_first_sync_due: The instance knows no tables yet, so labels cannot be compared.
    """

    actions: tuple[Action, ...]
    foreign: tuple[Foreign, ...]
    permissions: tuple[PermissionChange, ...]
    found: Mapping[str, FoundDashboard]
    names: Names
    is_first_sync_due: bool = False

    @property
    def is_empty(self) -> bool:
        """Return whether the instance is as it shall be."""
        return not self.actions

    def text(self, locale: str) -> str:
        """Return the plan as a person reads it."""
        from orchestration.lib.metabase.plan_text import plan_text

        return plan_text(self, locale)


def plan(desired: DesiredState, target: Target, instance: Instance, state: MetabaseState) -> Plan:
    """Return what must be done to an instance so that it is as wanted.

    Args:
        desired: What the files want.
        target: The database that shall show the marts.
        instance: What is there.
        state: What we remember.
    """
    names = instance.names()
    found = _found_dashboards(desired, instance, state, names)
    tabs = {(key, tab): number for key, one in found.items() for tab, number in one.tab_ids.items()}
    # Read again, now that tabs have names: links that lead to them are compared by name.
    names = instance.names(tabs)
    found = _found_dashboards(desired, instance, state, names)
    permissions = permission_changes(instance)
    actions = [
        *_ground(desired, target, instance, state),
        *_permission_actions(instance, permissions),
        *_cards(desired, instance, state, names),
        *_dashboards(desired, instance, state, found),
        *_removed(desired, instance, state),
        *_metadata(desired, instance, state),
    ]
    return Plan(
        actions=tuple(actions),
        foreign=instance.foreign,
        permissions=permissions,
        found=found,
        names=names,
        is_first_sync_due=not instance.tables,
    )


def _found_dashboards(
    desired: DesiredState, instance: Instance, state: MetabaseState, names: Names
) -> dict[str, FoundDashboard]:
    found = {}
    for dashboard in desired.dashboards:
        raw = instance.dashboards.get(dashboard.key)
        if raw is not None:
            known = state.remembered("dashboard", dashboard.key)
            parts = known.parts if known is not None and known.id == raw["id"] else {}
            found[dashboard.key] = dashboard_found(
                raw, dashboard, names, parts, instance.inner_cards
            )
    return found


def _ground(
    desired: DesiredState, target: Target, instance: Instance, state: MetabaseState
) -> Iterator[Action]:
    if not instance.is_set_up:
        yield Action("setup", "create", "instance", "Metabase")
    if instance.database is None:
        yield Action("database", "create", ROOT_COLLECTION, target.name)
    else:
        yield from _database(target, instance.database)
    yield from _collection(desired, instance.collection, state)
    if instance.group is None:
        yield Action("group", "create", "owners", target.group_name)


def _database(target: Target, raw: Raw) -> Iterator[Action]:
    differing = target.differing(details_of(raw))
    changes = [
        Change(name, "***" if name == "password" else before, "***" if name == "password" else now)
        for name, (before, now) in differing.items()
    ]
    if raw["name"] != target.name:
        changes.append(Change("name", raw["name"], target.name))
    if changes:
        is_switch = {"database_file"} <= set(differing) <= {"database_file", "memory_limit"}
        verb: Verb = "switch" if is_switch else "change"
        yield Action("database", verb, ROOT_COLLECTION, target.name, raw["id"], tuple(changes))


def collection_wanted(desired: DesiredState) -> Values:
    """Return how our collection shall look."""
    return {
        "name": desired.collection_name,
        "description": marked(desired.collection_description, "collection", ROOT_COLLECTION),
        "archived": False,
    }


def collection_found(raw: Raw) -> Values:
    """Return how our collection looks; where it lies is the administrator's choice."""
    return {
        "name": raw.get("name"),
        "description": raw.get("description"),
        "archived": bool(raw.get("archived")),
    }


def _collection(desired: DesiredState, raw: Raw | None, state: MetabaseState) -> Iterator[Action]:
    if raw is None:
        yield Action("collection", "create", ROOT_COLLECTION, desired.collection_name)
        return
    known = state.remembered("collection", ROOT_COLLECTION)
    changes = differing(collection_wanted(desired), collection_found(raw), known)
    if changes:
        name = desired.collection_name
        yield Action("collection", _verb(changes), ROOT_COLLECTION, name, raw["id"], tuple(changes))


def _permission_actions(
    instance: Instance, permissions: tuple[PermissionChange, ...]
) -> Iterator[Action]:
    for one in permissions:
        name = "All Users" if one.group_id == ALL_USERS else instance.groups.get(one.group_id, "")
        change = Change(one.right, one.before, one.after)
        yield Action("permission", "change", f"{one.right} {one.group_id}", name, None, (change,))


def _cards(
    desired: DesiredState, instance: Instance, state: MetabaseState, names: Names
) -> Iterator[Action]:
    for card in desired.cards:
        raw = instance.cards.get(card.key)
        if raw is None:
            yield Action("card", "create", card.key, card.name)
            continue
        known = _known(state, "card", card.key, raw)
        changes = differing(card_wanted(card), card_found(raw, names), known)
        if changes:
            yield Action("card", _verb(changes), card.key, card.name, raw["id"], tuple(changes))


def _dashboards(
    desired: DesiredState,
    instance: Instance,
    state: MetabaseState,
    found: Mapping[str, FoundDashboard],
) -> Iterator[Action]:
    for dashboard in desired.dashboards:
        raw = instance.dashboards.get(dashboard.key)
        if raw is None:
            yield Action("dashboard", "create", dashboard.key, dashboard.name)
            continue
        known = _known(state, "dashboard", dashboard.key, raw)
        live = found[dashboard.key]
        changes = differing(dashboard_wanted(dashboard), live.values, known)
        known_parts = known.parts.get("dashcards", {}) if known is not None else {}
        ours_before = set(known_parts.values())
        for one in live.extra:
            title = (one.get("card") or {}).get("name") or f"dashcard {one['id']}"
            origin: Origin = "files" if one["id"] in ours_before or known is None else "hand"
            changes.append(Change(f"dashcard {title}", "on the dashboard", MISSING, origin))
        known_tabs = set(known.parts.get("tabs", {}).values()) if known is not None else set()
        for tab in live.extra_tabs:
            origin = "files" if tab["id"] in known_tabs or known is None else "hand"
            changes.append(Change(f"tab {tab.get('name')}", "on the dashboard", MISSING, origin))
        if changes:
            yield Action(
                "dashboard",
                _verb(changes),
                dashboard.key,
                dashboard.name,
                raw["id"],
                tuple(changes),
            )


def _removed(desired: DesiredState, instance: Instance, state: MetabaseState) -> Iterator[Action]:
    """Yield what is ours and no longer wanted; dashboards first, their cards after them."""
    place = instance.collection["id"] if instance.collection else None

    def is_removed(kind: Kind, key: str, raw: Raw, wanted: set[str]) -> bool:
        if key in wanted or raw.get("archived"):
            return False
        # Elsewhere a marker alone may be that of a person's copy.
        is_in_place = place is not None and raw.get("collection_id") == place
        return is_in_place or _known(state, kind, key, raw) is not None

    wanted_dashboards = {one.key for one in desired.dashboards}
    for key, raw in instance.dashboards.items():
        if is_removed("dashboard", key, raw, wanted_dashboards):
            yield Action("dashboard", "archive", key, str(raw.get("name")), raw["id"])
    wanted_cards = {one.key for one in desired.cards}
    for key, raw in instance.cards.items():
        if is_removed("card", key, raw, wanted_cards):
            yield Action("card", "archive", key, str(raw.get("name")), raw["id"])


def table_wanted(table: DesiredTableMetadata) -> Values:
    """Return how a table shall be named; what is not said is left alone."""
    wanted: Values = {
        "display_name": table.label,
        "visibility_type": "hidden" if table.is_hidden else None,
    }
    if table.description:
        wanted["description"] = table.description
    return wanted


def field_wanted(one: DesiredFieldMetadata, names: Names) -> Values:
    """Return how a column shall be named and treated; what is not said is left alone."""
    wanted: Values = {"display_name": one.label}
    if one.description:
        wanted["description"] = one.description
    if one.semantic_type:
        wanted["semantic_type"] = one.semantic_type
    if one.foreign_key is not None:
        number = names.fields.get((one.foreign_key.table, one.foreign_key.column))
        if number is not None:
            wanted["semantic_type"] = "type/FK"
            wanted["fk_target_field_id"] = number
    return wanted


def _metadata(desired: DesiredState, instance: Instance, state: MetabaseState) -> Iterator[Action]:
    names = instance.names()
    for table in desired.tables:
        found = instance.tables.get(table.table)
        if found is not None:
            wanted = table_wanted(table)
            known = state.remembered("table", table.table)
            changes = differing(wanted, {name: found.raw.get(name) for name in wanted}, known)
            if changes:
                yield Action("table", "change", table.table, table.label, found.id, tuple(changes))
    for one in desired.fields:
        place = instance.tables.get(one.table)
        column = place.columns.get(one.column) if place is not None else None
        if column is not None:
            wanted = field_wanted(one, names)
            key = f"{one.table}.{one.column}"
            known = state.remembered("field", key)
            changes = differing(wanted, {name: column.raw.get(name) for name in wanted}, known)
            if changes:
                yield Action("field", "change", key, one.label, column.id, tuple(changes))


def _known(state: MetabaseState, kind: str, key: str, raw: Raw) -> Remembered | None:
    known = state.remembered(kind, key)
    return known if known is not None and known.id == raw["id"] else None


def differing(wanted: Values, found: Values, known: Remembered | None) -> list[Change]:
    """Return the keys in which an object is not as wanted.

    Args:
        wanted: Canonical values of the files.
        found: Canonical values of the instance.
        known: What we sent and what came back last time.
    """
    changes = []
    for key in [*wanted, *(name for name in found if name not in wanted)]:
        before, after = found.get(key, MISSING), wanted.get(key, MISSING)
        if before == after:
            continue
        sent = known.sent.get(key) if known is not None else None
        seen = known.seen.get(key) if known is not None else None
        is_files_changed = sent is not None and sent != digest(after)
        is_by_hand = seen is not None and seen != digest(before)
        if sent is not None and seen is not None and not is_files_changed and not is_by_hand:
            continue
        origin: Origin = "unknown"
        if is_files_changed or is_by_hand:
            both = is_files_changed and is_by_hand
            origin = "both" if both else "files" if is_files_changed else "hand"
        changes.append(Change(key, before, after, origin))
    return changes


def _verb(changes: list[Change]) -> Verb:
    keys = {change.key for change in changes}
    if any(change.key == "archived" for change in changes):
        return "restore"
    if keys == {"place"}:
        return "move"
    return "rename" if keys == {"name"} else "change"
