"""Making an instance as wanted, one request at a time, each written down before the next.

A request that makes something is never sent twice blindly. Its answer is remembered at once; when
no answer came, or the process died before it could write, the marker in the description finds the
object on the next look. So an apply that is broken off after any request is completed by the next
one, and nothing is made double.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.lib.metabase.client import MetabaseClient
from orchestration.lib.metabase.desired import (
    ROOT_COLLECTION,
    DesiredCard,
    DesiredDashboard,
    DesiredState,
    marked,
)
from orchestration.lib.metabase.errors import (
    MetabaseServerError,
    MetabaseUncertainError,
    shown,
)
from orchestration.lib.metabase.instance import (
    Instance,
    find_collection,
    find_database,
    find_group,
    list_cards,
    list_dashboards,
    marker_key,
    read_instance,
)
from orchestration.lib.metabase.permissions import apply_permissions
from orchestration.lib.metabase.plan import (
    GROUND,
    Action,
    Plan,
    collection_found,
    collection_wanted,
    field_wanted,
    plan,
    table_wanted,
)
from orchestration.lib.metabase.state import MetabaseState
from orchestration.lib.metabase.target import Target
from orchestration.lib.metabase.wire import Names, Raw, Values
from orchestration.lib.metabase.wire_cards import card_body, card_found, card_wanted
from orchestration.lib.metabase.wire_dashboards import (
    FoundDashboard,
    dashboard_body,
    dashboard_found,
    dashboard_wanted,
)

# Metabase may still be at work on a request whose answer was lost.
_LOOKS = 4
_SECONDS_BETWEEN_LOOKS = 1.0
_GROUND_ROUNDS = 4
# Labels are set by name and may be set again, so their memory is written in lots.
_SAVE_EVERY = 50
# Keys Metabase may rewrite; any other that comes back changed was not kept.
_REWRITABLE = frozenset({"description", "settings", "tags", "parameters"})

Tell = Callable[[str], None]


@dataclass
class Applied:
    """What an apply did.

    Attributes:
        actions: In the order done.
        rewritten: Values Metabase keeps otherwise than sent: "card owner/came: settings".
        names: Ids of the instance afterwards.
    """

    actions: list[Action] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    names: Names = field(default_factory=Names)

    @property
    def has_changed_content(self) -> bool:
        """Return whether a card or dashboard was made, changed or archived."""
        return any(action.kind in {"card", "dashboard"} for action in self.actions)


@dataclass
class Applier:
    """Applies one desired state to one instance.

    Attributes:
        client: With an administrator's credentials.
        state: Memory; saved after each request.
        desired: What the files want.
        target: The database that shall show the marts.
        sync: Called with the database's id; lets Metabase read the schema where it changed, and
            tells whether it did.
        tell: Receives a line per action.
        sleep: Waits between looks.
    """

    client: MetabaseClient
    state: MetabaseState
    desired: DesiredState
    target: Target
    sync: Callable[[int], bool] = lambda _: False
    tell: Callable[[Action], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    applied: Applied = field(default_factory=Applied)

    def run(self) -> Applied:
        """Apply until the instance is as wanted.

        Raises:
            MetabaseError: A request failed; run again to go on.
        """
        instance, todo = self._read()
        for _ in range(_GROUND_ROUNDS):
            ground = [action for action in todo.actions if action.kind in GROUND]
            if not ground:
                break
            for action in ground:
                if action.kind != "permission":
                    self._ground(action, instance)
            if todo.permissions:
                apply_permissions(self.client, instance, todo.permissions)
            for action in ground:
                self._done(action)
            instance, todo = self._read()
        if instance.database is not None and self.sync(int(instance.database["id"])):
            instance, todo = self._read()
        self._content(todo)
        self._adopt(instance, todo)
        return self.applied

    def _read(self) -> tuple[Instance, Plan]:
        instance = read_instance(self.client, self.state, self.target)
        return instance, plan(self.desired, self.target, instance, self.state)

    def _done(self, action: Action) -> None:
        self.applied.actions.append(action)
        self.tell(action)

    def _ground(self, action: Action, instance: Instance) -> None:
        if action.kind == "database":
            self._database(instance)
        elif action.kind == "collection":
            self._collection(instance)
        elif action.kind == "group":
            body = {"name": self.target.group_name}
            raw = self._create("/api/permissions/group", body, self._look_for_group)
            self.state.remember("group", "owners", raw, {}, {})

    def _look_for_group(self) -> Raw | None:
        return find_group(self.client.get("/api/permissions/group"), self.state, self.target)

    def _database(self, instance: Instance) -> None:
        target = self.target
        body = {"name": target.name, "engine": target.engine, "details": dict(target.details)}
        raw = instance.database
        if raw is None:
            raw = self._create(
                "/api/database",
                {**body, "is_full_sync": True, "is_on_demand": False},
                lambda: find_database(self.client, self.state, target),
            )
            self.state.schema_hash = None
        else:
            # Metabase tests the new connection before it lets go of the old one.
            self.client.put(
                f"/api/database/{raw['id']}",
                {"name": target.name, "engine": target.engine, "details": dict(target.details)},
            )
        self.state.served_file = target.file_name
        self.state.remember("database", ROOT_COLLECTION, raw, {}, {})

    def _collection(self, instance: Instance) -> None:
        wanted = collection_wanted(self.desired)
        if instance.collection is None:
            body = {"name": wanted["name"], "description": wanted["description"]}
            raw = self._create(
                "/api/collection", body, lambda: find_collection(self.client, self.state)
            )
        else:
            raw = self.client.put(f"/api/collection/{instance.collection['id']}", wanted)
        self.state.remember("collection", ROOT_COLLECTION, raw, wanted, collection_found(raw))

    def _create(self, path: str, body: Mapping[str, Any], look: Callable[[], Raw | None]) -> Raw:
        """Send a POST once; when its answer is lost, look for what it made.

        Raises:
            MetabaseUncertainError: Nothing was found; the next apply looks again.
        """
        try:
            made: Raw = self.client.post(path, body)
        except MetabaseUncertainError:
            for attempt in range(_LOOKS):
                if attempt:
                    self.sleep(_SECONDS_BETWEEN_LOOKS)
                found = look()
                if found is not None:
                    return found
            raise
        return made

    def _content(self, todo: Plan) -> None:
        names = todo.names
        cards, dashboards = dict(names.cards), dict(names.dashboards)
        for action in todo.actions:
            if action.kind == "card" and action.verb != "archive":
                card = self.desired.card(action.key)
                cards[card.key] = self._card(card, action, names)
                self._done(action)
        names = _with(names, cards=cards)
        wanted = {one.key: one for one in self.desired.dashboards}
        changed = [
            action
            for action in todo.actions
            if action.kind == "dashboard" and action.verb != "archive"
        ]
        for action in changed:
            if action.verb == "create":
                # An empty one first: links between dashboards need their ids.
                dashboards[action.key] = self._new_dashboard(wanted[action.key], names)
        names = _with(names, dashboards=dashboards)
        names = self._fill(changed, wanted, todo, names)
        for action in todo.actions:
            if action.verb == "archive":
                raw = self.client.put(f"/api/{action.kind}/{action.id}", {"archived": True})
                self.state.remember(
                    action.kind,
                    action.key,
                    {"id": action.id, "entity_id": (raw or {}).get("entity_id")},
                    {},
                    {},
                )
                self._done(action)
        self._labels(todo)
        self.applied.names = names

    def _card(self, card: DesiredCard, action: Action, names: Names) -> int:
        body = card_body(card, names)
        if action.verb == "create":
            database_id = int(names.database_id or 0)
            raw = self._create("/api/card", body, lambda: self._look_for_card(card, database_id))
        else:
            keys = {change.key for change in action.changes}
            raw = self.client.put(f"/api/card/{action.id}", _only(body, keys))
        found = card_found(raw, names)
        wanted = card_wanted(card)
        self.state.remember("card", card.key, raw, wanted, found)
        self._compare("card", card.key, wanted, found, _REWRITABLE)
        return int(raw["id"])

    def _look_for_card(self, card: DesiredCard, database_id: int) -> Raw | None:
        for raw in list_cards(self.client, database_id):
            if marker_key(raw, "card") == card.key:
                return raw
        return None

    def _new_dashboard(self, dashboard: DesiredDashboard, names: Names) -> int:
        # Tabs and places in a POST are ignored without an error, so none are sent.
        body = {
            "name": dashboard.name,
            "description": marked(dashboard.description, "dashboard", dashboard.key),
            "collection_id": names.collection_id,
        }
        raw = self._create(
            "/api/dashboard", body, lambda: self._look_for_dashboard(dashboard, names)
        )
        self.state.remember("dashboard", dashboard.key, raw, {}, {})
        return int(raw["id"])

    def _look_for_dashboard(self, dashboard: DesiredDashboard, names: Names) -> Raw | None:
        for raw in list_dashboards(self.client, int(names.collection_id or 0)):
            if marker_key(raw, "dashboard") == dashboard.key:
                return raw
        return None

    def _fill(
        self,
        changed: list[Action],
        wanted: Mapping[str, DesiredDashboard],
        todo: Plan,
        names: Names,
    ) -> Names:
        found: dict[str, FoundDashboard] = dict(todo.found)
        tabs = dict(names.tabs)
        unfinished = []
        for action in changed:
            dashboard = wanted[action.key]
            if action.verb == "restore":
                # By itself: places in a request for an archived dashboard are refused, even where
                # the same request restores it.
                back = {"archived": False, "collection_id": names.collection_id}
                self.client.put(f"/api/dashboard/{action.id}", back)
            is_complete, found[action.key] = self._put_dashboard(
                dashboard, found.get(action.key), names
            )
            for tab, number in found[action.key].tab_ids.items():
                tabs[(action.key, tab)] = number
            if not is_complete:
                unfinished.append(dashboard)
            self._done(action)
        names = _with(names, tabs=tabs)
        for dashboard in unfinished:
            # It leads to tabs that had no id when it was filled.
            self._put_dashboard(dashboard, found[dashboard.key], names)
        return names

    def _put_dashboard(
        self, dashboard: DesiredDashboard, found: FoundDashboard | None, names: Names
    ) -> tuple[bool, FoundDashboard]:
        number = names.dashboards[dashboard.key]
        body, is_complete = dashboard_body(dashboard, found, names)
        raw = self.client.put(f"/api/dashboard/{number}", body)
        if not isinstance(raw, Mapping) or "dashcards" not in raw:
            raw = self.client.get(f"/api/dashboard/{number}")
        parts = (
            {"tabs": found.tab_ids, "dashcards": found.dashcard_ids} if found is not None else {}
        )
        live = dashboard_found(raw, dashboard, names, parts)
        names = _with(
            names,
            tabs={**names.tabs, **{(dashboard.key, k): n for k, n in live.tab_ids.items()}},
        )
        live = dashboard_found(
            raw, dashboard, names, {"tabs": live.tab_ids, "dashcards": live.dashcard_ids}
        )
        wanted = dashboard_wanted(dashboard)
        known = self.state.remember(
            "dashboard",
            dashboard.key,
            raw,
            wanted if is_complete else {},
            live.values if is_complete else {},
        )
        known.parts = {"tabs": dict(live.tab_ids), "dashcards": dict(live.dashcard_ids)}
        self.state.save()
        if is_complete:
            self._compare_dashboard(dashboard.key, wanted, live.values)
        return is_complete, live

    def _remember_parts(self, key: str, found: FoundDashboard) -> None:
        """Keep the ids of tabs and places of a dashboard that needed no request."""
        known = self.state.remembered("dashboard", key)
        parts = {"tabs": dict(found.tab_ids), "dashcards": dict(found.dashcard_ids)}
        if known is not None and not known.parts:
            known.parts = parts

    def _labels(self, todo: Plan) -> None:
        tables = {one.table: one for one in self.desired.tables}
        fields = {f"{one.table}.{one.column}": one for one in self.desired.fields}
        count = 0
        for action in todo.actions:
            if action.kind == "table":
                wanted = table_wanted(tables[action.key])
            elif action.kind == "field":
                wanted = field_wanted(fields[action.key], todo.names)
            else:
                continue
            sent = {change.key: wanted[change.key] for change in action.changes}
            raw = self.client.put(f"/api/{action.kind}/{action.id}", sent)
            seen = {name: (raw or {}).get(name) for name in wanted}
            count += 1
            self.state.remember(
                action.kind,
                action.key,
                {"id": action.id},
                wanted,
                seen,
                is_saved=count % _SAVE_EVERY == 0,
            )
            self._compare(action.kind, action.key, wanted, seen, frozenset(wanted))
            self._done(action)
        if count:
            self.state.save()

    def _adopt(self, instance: Instance, todo: Plan) -> None:
        """Remember what was found as wanted by its marker or name, the memory having been lost."""
        names = todo.names

        def keep(kind: str, key: str, raw: Raw, wanted: Values, found: Values) -> None:
            if self.state.remembered(kind, key) is None:
                self.state.remember(kind, key, raw, wanted, found, is_saved=False)

        if instance.collection is not None:
            found = collection_found(instance.collection)
            keep("collection", ROOT_COLLECTION, instance.collection, found, found)
        for kind, key, one in (
            ("database", ROOT_COLLECTION, instance.database),
            ("group", "owners", instance.group),
        ):
            if one is not None:
                keep(kind, key, one, {}, {})
        for card in self.desired.cards:
            if card.key in instance.cards:
                raw = instance.cards[card.key]
                keep("card", card.key, raw, card_wanted(card), card_found(raw, names))
        for dashboard in self.desired.dashboards:
            live = todo.found.get(dashboard.key)
            if live is not None:
                raw = instance.dashboards[dashboard.key]
                keep("dashboard", dashboard.key, raw, dashboard_wanted(dashboard), live.values)
                self._remember_parts(dashboard.key, live)
        for table in self.desired.tables:
            if table.table in instance.tables:
                place = instance.tables[table.table]
                wanted = table_wanted(table)
                keep("table", table.table, {"id": place.id}, wanted, _parts(place.raw, wanted))
        for one_field in self.desired.fields:
            table_found = instance.tables.get(one_field.table)
            column = table_found.columns.get(one_field.column) if table_found else None
            if column is not None:
                wanted = field_wanted(one_field, names)
                key = f"{one_field.table}.{one_field.column}"
                keep("field", key, {"id": column.id}, wanted, _parts(column.raw, wanted))
        self.state.save()

    def _compare(
        self,
        kind: str,
        key: str,
        wanted: Mapping[str, Any],
        found: Mapping[str, Any],
        rewritable: frozenset[str],
    ) -> None:
        """Note what Metabase rewrote.

        Raises:
            MetabaseServerError: It did not keep what it may not rewrite.
        """
        for name, value in wanted.items():
            if found.get(name) != value:
                if name not in rewritable:
                    raise MetabaseServerError(
                        f"Metabase took the {kind} {key} and did not keep its {name}: "
                        f"sent {shown(value, 150)}, kept {shown(found.get(name), 150)}."
                    )
                self.applied.rewritten.append(f"{kind} {key}: {name}")

    def _compare_dashboard(
        self, key: str, wanted: Mapping[str, Any], found: Mapping[str, Any]
    ) -> None:
        for name, value in wanted.items():
            live = found.get(name)
            if name.startswith("dashcard ") and isinstance(live, Mapping):
                self._compare("dashboard", f"{key}, {name}", value, live, _REWRITABLE)
            else:
                self._compare("dashboard", key, {name: value}, {name: live}, _REWRITABLE)


def _parts(raw: Raw, wanted: Values) -> Values:
    return {name: raw.get(name) for name in wanted}


_BODY_KEYS: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "description": ("description",),
    "sql": ("dataset_query",),
    "tags": ("dataset_query",),
    "database": ("dataset_query",),
    "display": ("display",),
    "settings": ("visualization_settings",),
    "type": ("type",),
    "place": ("collection_id",),
    # A card in the trash may have lost the place it lay in.
    "archived": ("archived", "collection_id"),
}


def _only(body: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    """Return the parts of a card's body that carry the changed keys."""
    needed = {part for key in keys for part in _BODY_KEYS[key]}
    return {name: value for name, value in {**body, "archived": False}.items() if name in needed}


def _with(names: Names, **changes: Any) -> Names:
    """Return names with other ids; what was derived from the old ones is derived anew."""
    values = {
        "collection_id": names.collection_id,
        "database_id": names.database_id,
        "fields": names.fields,
        "cards": names.cards,
        "dashboards": names.dashboards,
        "tabs": names.tabs,
    }
    return Names(**{**values, **changes})
