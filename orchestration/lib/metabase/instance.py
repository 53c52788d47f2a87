"""What stands in an instance, read and matched with what is ours.

Nothing in Metabase has a unique name, so an object is ours when its id and `entity_id` are those we
remember, or, when nothing is remembered, when the marker we put at the end of its description says
so. A person who copies a card of ours copies the marker too; the remembered one stays ours, in the
trash as well, and the copy is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.lib.metabase.client import MetabaseClient
from orchestration.lib.metabase.desired import ROOT_COLLECTION, ObjectKind
from orchestration.lib.metabase.errors import (
    MetabaseAmbiguousError,
    MetabaseForeignError,
    MetabaseNotFoundError,
    shown,
)
from orchestration.lib.metabase.state import MetabaseState
from orchestration.lib.metabase.target import Target
from orchestration.lib.metabase.wire import Names, Raw
from orchestration.lib.serving import MARTS_SCHEMA

ALL_USERS = 1
ADMINISTRATORS = 2
_MARKER = re.compile(r"^voronka:(card|dashboard|collection):([a-z0-9_/]+)\s*$", re.MULTILINE)
_VERSION = re.compile(r"v?[01]\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Version:
    """A release of Metabase; the open and the paid line share the second number."""

    tag: str
    major: int | None
    patch: int | None = None

    @classmethod
    def parse(cls, tag: str) -> Version:
        """Return the version that a tag such as v0.63.17 or v1.63.17 names."""
        found = _VERSION.match(tag)
        if found is None:
            return cls(tag, None)
        return cls(tag, int(found[1]), int(found[2]) if found[2] else None)


@dataclass(frozen=True)
class Column:
    """A column as Metabase knows it."""

    id: int
    raw: Raw


@dataclass(frozen=True)
class Table:
    """A table of the marts as Metabase knows it."""

    id: int
    raw: Raw
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Foreign:
    """Something in our collection that is not ours; it is left alone."""

    kind: str
    id: int
    name: str


@dataclass(frozen=True)
class Instance:
    """What an instance holds that concerns us.

    Attributes:
        version: Its release.
        is_set_up: Whether somebody made the first user.
        database: Our database, if it is there.
        tables: Tables of the marts by name.
        collection: Our collection, if it is there.
        cards: Cards of ours by key, archived ones included.
        dashboards: Dashboards of ours by key, with tabs and places.
        inner_cards: Questions that live inside a dashboard.
        group: The owners' group, if it is there.
        groups: Names of all groups by id.
        data_graph: Who may query what.
        collection_graph: Who may see and change which collection.
        foreign: What else lies in our collection.
    """

    version: Version
    is_set_up: bool
    database: Raw | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    collection: Raw | None = None
    cards: Mapping[str, Raw] = field(default_factory=dict)
    dashboards: Mapping[str, Raw] = field(default_factory=dict)
    inner_cards: frozenset[int] = frozenset()
    group: Raw | None = None
    groups: Mapping[int, str] = field(default_factory=dict)
    data_graph: Raw = field(default_factory=dict)
    collection_graph: Raw = field(default_factory=dict)
    foreign: tuple[Foreign, ...] = ()

    def names(self, tabs: Mapping[tuple[str, str], int] | None = None) -> Names:
        """Return the ids of this instance by our names."""
        return Names(
            collection_id=self.collection["id"] if self.collection else None,
            database_id=self.database["id"] if self.database else None,
            fields={
                (table, column): one.id
                for table, found in self.tables.items()
                for column, one in found.columns.items()
            },
            cards={key: raw["id"] for key, raw in self.cards.items()},
            dashboards={key: raw["id"] for key, raw in self.dashboards.items()},
            tabs=dict(tabs or {}),
        )


def read_front(client: MetabaseClient) -> Instance:
    """Return what an instance tells everybody: its version and whether it is set up."""
    properties = client.get("/api/session/properties")
    tag = str((properties.get("version") or {}).get("tag") or "unknown")
    return Instance(Version.parse(tag), bool(properties.get("has-user-setup")))


def read_instance(client: MetabaseClient, state: MetabaseState, target: Target) -> Instance:
    """Return what an instance holds.

    Args:
        client: With an administrator's credentials.
        state: What we remember of the instance.
        target: The database that shall be there.

    Raises:
        MetabaseAmbiguousError: Two objects carry the same marker, or two databases our name.
        MetabaseForeignError: What stands under our name is of another home.
        MetabaseError: A request failed.
    """
    front = read_front(client)
    database = find_database(client, state, target)
    collection = find_collection(client, state)
    if collection is not None and state.remembered("collection", ROOT_COLLECTION) is None:
        _refuse_other_home(client, collection, database)
    cards, foreign_cards, inner = _cards(client, state, database, collection)
    dashboards, foreign_dashboards = _dashboards(client, state, collection)
    groups = {int(one["id"]): one for one in client.get("/api/permissions/group")}
    return Instance(
        version=front.version,
        is_set_up=front.is_set_up,
        database=database,
        tables=read_tables(client, database["id"]) if database else {},
        collection=collection,
        cards=cards,
        dashboards=dashboards,
        inner_cards=inner,
        group=find_group(groups.values(), state, target),
        groups={number: str(one["name"]) for number, one in groups.items()},
        data_graph=client.get("/api/permissions/graph"),
        collection_graph=client.get("/api/collection/graph"),
        foreign=(*foreign_cards, *foreign_dashboards),
    )


def find_database(client: MetabaseClient, state: MetabaseState, target: Target) -> Raw | None:
    """Return our database, or None.

    Raises:
        MetabaseAmbiguousError: Several carry our name.
        MetabaseForeignError: The one that carries it shows another home's files.
    """
    listed = client.get("/api/database")
    rows = listed["data"] if isinstance(listed, Mapping) else listed
    same = [one for one in rows if one["engine"] == target.engine and one["name"] == target.name]
    known = state.remembered("database", ROOT_COLLECTION)
    if known is not None:
        for one in rows:
            if (
                one["id"] == known.id
                and one["engine"] == target.engine
                and (one["name"] == target.name or target.is_ours(one.get("details") or {}))
            ):
                return dict(one)
    if len(same) > 1:
        ids = ", ".join(str(one["id"]) for one in same)
        raise MetabaseAmbiguousError(
            f"Metabase has {len(same)} databases named {shown(target.name)} (ids {ids}); rename "
            "the one that is not ours, or set VORONKA_METABASE_DATABASE_NAME."
        )
    if same and not target.is_ours(same[0].get("details") or {}):
        raise MetabaseForeignError(
            f"The database {shown(target.name)} (id {same[0]['id']}) in Metabase shows "
            f"{shown(target.place_of(same[0].get('details') or {}))}, which is not of this home; "
            "set VORONKA_METABASE_DATABASE_NAME to another name, or "
            "VORONKA_METABASE_DATABASE_FOLDER to the folder as Metabase sees it."
        )
    return dict(same[0]) if same else None


def find_collection(client: MetabaseClient, state: MetabaseState) -> Raw | None:
    """Return our collection, archived or not, or None.

    Raises:
        MetabaseAmbiguousError: Several carry our marker.
    """
    live = _real(client.get("/api/collection", **{"exclude-other-user-collections": True}))
    found = _ours(live, "collection", state).get(ROOT_COLLECTION)
    if found is not None:
        return found
    archived = _real(
        client.get("/api/collection", archived=True, **{"exclude-other-user-collections": True})
    )
    found = _ours(archived, "collection", state, is_archive=True).get(ROOT_COLLECTION)
    return None if found is None else {**found, "archived": True}


def _refuse_other_home(client: MetabaseClient, collection: Raw, database: Raw | None) -> None:
    """Refuse a collection found by its marker alone whose cards ask another database."""
    answer = client.get(f"/api/collection/{collection['id']}/items", models="card")
    ours = database["id"] if database else None
    for one in answer["data"]:
        if marker_key(one, "card") is not None and one.get("database_id") not in {None, ours}:
            raise MetabaseForeignError(
                f"The collection {shown(collection.get('name'))} (id {collection['id']}) belongs "
                "to another home of Voronka, which shows another database. Each home needs a "
                "Metabase of its own; if that home is gone, archive the collection and remove "
                "the last line of its description."
            )


def _real(rows: Iterable[Raw]) -> list[Raw]:
    return [one for one in rows if isinstance(one.get("id"), int)]


def list_cards(client: MetabaseClient, database_id: int) -> list[Raw]:
    """Return every live card that asks our database, wherever it lies."""
    cards: list[Raw] = client.get("/api/card", f="database", model_id=database_id)
    return cards


def list_dashboards(client: MetabaseClient, collection: int) -> list[Raw]:
    """Return the dashboards in a collection, without their content."""
    answer = client.get(f"/api/collection/{collection}/items", models="dashboard")
    rows: list[Raw] = answer["data"]
    return [one for one in rows if one.get("model", "dashboard") == "dashboard"]


def _cards(
    client: MetabaseClient, state: MetabaseState, database: Raw | None, collection: Raw | None
) -> tuple[dict[str, Raw], list[Foreign], frozenset[int]]:
    if database is None:
        return {}, [], frozenset()
    live = list_cards(client, database["id"])
    inner = frozenset(int(one["id"]) for one in live if one.get("dashboard_id"))
    found = _known(live, "card", state)
    missing = [key for key in state.keys("card") if key not in found]
    mine: list[Raw] = []
    if missing or not found:
        archived = client.get("/api/card", f="archived")
        mine = [one for one in archived if one.get("database_id") in {None, database["id"]}]
        for key, raw in _known(mine, "card", state).items():
            found.setdefault(key, {**raw, "archived": True})
    for key in missing:
        elsewhere = None if key in found else _by_id(client, state, "card", key)
        if elsewhere is not None:
            found[key] = elsewhere
    place = collection["id"] if collection else None

    def may_claim(raw: Raw) -> bool:
        """Return whether a marker counts: elsewhere it is a copy's when we remember another."""
        is_in_place = place is not None and raw.get("collection_id") == place
        return is_in_place or marker_key(raw, "card") not in missing

    # A marker counts only where the object we remember is gone: copies carry it too.
    found |= _claimed(filter(may_claim, live), "card", found, near=collection)
    for key, raw in _claimed(filter(may_claim, mine), "card", found, is_archive=True).items():
        found[key] = {**raw, "archived": True}
    ours = {raw["id"] for raw in found.values()}
    foreign = [
        Foreign("card", one["id"], str(one.get("name")))
        for one in live
        if one.get("collection_id") == place and one["id"] not in ours and not one.get("archived")
    ]
    return found, foreign if place is not None else [], inner


def _dashboards(
    client: MetabaseClient, state: MetabaseState, collection: Raw | None
) -> tuple[dict[str, Raw], list[Foreign]]:
    if collection is None:
        return {}, []
    live = list_dashboards(client, collection["id"])
    found = _known(live, "dashboard", state)
    missing = [key for key in state.keys("dashboard") if key not in found]
    archived: list[Raw] = []
    if missing or not found:
        archived = client.get("/api/dashboard", f="archived")
        for key, raw in _known(archived, "dashboard", state).items():
            found.setdefault(key, raw)
    moved = {}
    for key in missing:
        elsewhere = None if key in found else _by_id(client, state, "dashboard", key)
        if elsewhere is not None:
            moved[key] = elsewhere
    found |= _claimed(live, "dashboard", {**found, **moved})
    found |= _claimed(archived, "dashboard", {**found, **moved}, is_archive=True)
    whole: dict[str, Raw] = dict(moved)
    for key, raw in found.items():
        whole[key] = client.get(f"/api/dashboard/{raw['id']}")
    ours = {raw["id"] for raw in whole.values()}
    foreign = [
        Foreign("dashboard", one["id"], str(one.get("name")))
        for one in live
        if one["id"] not in ours
    ]
    return whole, foreign


def _by_id(client: MetabaseClient, state: MetabaseState, kind: ObjectKind, key: str) -> Raw | None:
    """Return a remembered object that no list shows, because somebody moved it elsewhere."""
    known = state.remembered(kind, key)
    if known is None:
        return None
    try:
        raw: Raw = client.get(f"/api/{kind}/{known.id}")
    except MetabaseNotFoundError:
        return None
    return raw if _is_same(raw, known.entity_id, kind, key) else None


def marker_key(raw: Raw, kind: ObjectKind) -> str | None:
    """Return the key that the marker in a description names."""
    for found in _MARKER.finditer(str(raw.get("description") or "")):
        if found[1] == kind:
            return found[2]
    return None


def _is_same(raw: Raw, entity_id: str | None, kind: ObjectKind, key: str) -> bool:
    """Return whether an object with a remembered id is the remembered object.

    After an instance was set up anew, the same small number is somebody else's.
    """
    if entity_id is not None and raw.get("entity_id") is not None:
        return bool(raw["entity_id"] == entity_id)
    return marker_key(raw, kind) == key


def _known(rows: Iterable[Raw], kind: ObjectKind, state: MetabaseState) -> dict[str, Raw]:
    """Return the rows we remember by key."""
    by_id = {one["id"]: one for one in rows}
    found: dict[str, Raw] = {}
    for key in state.keys(kind):
        known = state.remembered(kind, key)
        raw = by_id.get(known.id) if known is not None else None
        if raw is not None and known is not None and _is_same(raw, known.entity_id, kind, key):
            found[key] = raw
    return found


def _claimed(
    rows: Iterable[Raw],
    kind: ObjectKind,
    found: Mapping[str, Raw],
    *,
    near: Raw | None = None,
    is_archive: bool = False,
) -> dict[str, Raw]:
    """Return the rows that carry the marker of a key for which nothing was found."""
    taken = {raw["id"] for raw in found.values()}
    claims: dict[str, list[Raw]] = {}
    for raw in {one["id"]: one for one in rows}.values():
        claimed = marker_key(raw, kind)
        if claimed is not None and claimed not in found and raw["id"] not in taken:
            claims.setdefault(claimed, []).append(raw)
    return {
        key: _chosen(key, kind, claimants, near, is_archive=is_archive)
        for key, claimants in claims.items()
    }


def _ours(
    rows: Iterable[Raw], kind: ObjectKind, state: MetabaseState, *, is_archive: bool = False
) -> dict[str, Raw]:
    """Return the rows that are ours by key."""
    rows = list(rows)
    found = _known(rows, kind, state)
    return {**found, **_claimed(rows, kind, found, is_archive=is_archive)}


def _chosen(
    key: str, kind: ObjectKind, claimants: list[Raw], near: Raw | None, *, is_archive: bool
) -> Raw:
    if is_archive:
        return max(claimants, key=lambda one: int(one["id"]))
    if near is not None:
        # A person's copy of a card lies in a collection of his own, as a rule.
        claimants = [
            one for one in claimants if one.get("collection_id") == near["id"]
        ] or claimants
    if len(claimants) == 1:
        return claimants[0]
    named = "; ".join(f"id {one['id']} {shown(one.get('name'), 60)}" for one in claimants)
    raise MetabaseAmbiguousError(
        f"{len(claimants)} objects in Metabase say they are our {kind} {key}: {named}. Remove the "
        f"line `voronka:{kind}:{key}` from the description of the copy and apply again."
    )


def find_group(groups: Iterable[Raw], state: MetabaseState, target: Target) -> Raw | None:
    """Return the owners' group: the remembered one, else the one of that name."""
    rows = [one for one in groups if one["id"] not in {ALL_USERS, ADMINISTRATORS}]
    known = state.remembered("group", "owners")
    for one in rows:
        if known is not None and one["id"] == known.id and one["name"] == target.group_name:
            return one
    same = [one for one in rows if one["name"] == target.group_name]
    return min(same, key=lambda one: int(one["id"])) if same else None


def read_tables(client: MetabaseClient, database_id: int) -> dict[str, Table]:
    """Return the tables of the marts that Metabase knows, hidden ones included."""
    metadata = client.get(
        f"/api/database/{database_id}/metadata", include_hidden=True, remove_inactive=True
    )
    tables = {}
    for raw in metadata.get("tables") or []:
        if raw.get("schema") == MARTS_SCHEMA and raw.get("active", True):
            tables[str(raw["name"])] = Table(
                id=raw["id"],
                raw={name: value for name, value in raw.items() if name != "fields"},
                columns={
                    str(one["name"]): Column(one["id"], one)
                    for one in raw.get("fields") or []
                    if one.get("active", True)
                },
            )
    return tables


def details_of(database: Raw | None) -> dict[str, Any]:
    """Return the connection details of a database."""
    return dict((database or {}).get("details") or {})
