"""Groups of people and the two graphs of what they may do (api.md 8)."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake.part import Part
from tests.metabase.fake.state import ADMINISTRATORS, ALL_USERS, Row
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, invalid, missing

_STALE = (
    "Looks like someone else edited the permissions and your data is out of date. "
    "Please fetch new data and try again."
)
_CREATE_QUERIES = {"query-builder-and-native", "query-builder", "no"}


class Groups(Part):
    """Who may see, change and query what."""

    def admin_only(self, call: Call) -> None:
        """Refuse everybody but administrators."""
        self._fake.accounts.admin_only(call)

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/permissions/group", self.list_groups),
            ("POST", "/api/permissions/group", self.create_group),
            ("GET", "/api/permissions/group/{id}", self.get_group),
            ("PUT", "/api/permissions/group/{id}", self.rename_group),
            ("DELETE", "/api/permissions/group/{id}", self.delete_group),
            ("GET", "/api/permissions/membership", self.list_memberships),
            ("POST", "/api/permissions/membership", self.create_membership),
            ("GET", "/api/permissions/graph", self.get_data_graph),
            ("PUT", "/api/permissions/graph", self.put_data_graph),
            ("GET", "/api/collection/graph", self.get_collection_graph),
            ("PUT", "/api/collection/graph", self.put_collection_graph),
        ):
            routes.add(method, template, handler)

    def list_groups(self, call: Call) -> Any:
        """List groups."""
        self.admin_only(call)
        return [self._shown_group(group) for group in self._state.groups.values()]

    def _shown_group(self, group: Row) -> Row:
        members = [m for m in self._state.memberships.values() if m["group_id"] == group["id"]]
        count = len(self._state.users) if group["id"] == ALL_USERS else len(members)
        return {**group, "member_count": count}

    def _group(self, call: Call) -> Row:
        group = self._state.groups.get(int(call.numbers[0]))
        if group is None:
            raise missing()
        return group

    def create_group(self, call: Call) -> Any:
        """Make a group; a used name makes a second one."""
        self.admin_only(call)
        name = (call.body or {}).get("name")
        self._check_group_name(name)
        group_id = self._state.new_id("group")
        self._state.groups[group_id] = {"id": group_id, "name": name}
        return self._shown_group(self._state.groups[group_id])

    def _check_group_name(self, name: str | None) -> None:
        if not name:
            raise invalid(name="value must be a non-blank string.")

    def get_group(self, call: Call) -> Any:
        """Return a group and its members."""
        self.admin_only(call)
        group = self._group(call)
        members = [m for m in self._state.memberships.values() if m["group_id"] == group["id"]]
        return {**group, "members": [{**m, **self._state.users[m["user_id"]]} for m in members]}

    def rename_group(self, call: Call) -> Any:
        """Give a group another name."""
        self.admin_only(call)
        group = self._group(call)
        self._check_group_name((call.body or {}).get("name"))
        group["name"] = call.body["name"]
        return group

    def delete_group(self, call: Call) -> Any:
        """Drop a group and what hangs on it."""
        self.admin_only(call)
        group = self._group(call)
        if group["id"] in {ALL_USERS, ADMINISTRATORS}:
            raise RefusedError(400, "You cannot edit or delete the built-in permissions groups!")
        state = self._state
        del state.groups[group["id"]]
        for membership_id, membership in list(state.memberships.items()):
            if membership["group_id"] == group["id"]:
                del state.memberships[membership_id]
        state.data_graph.pop(group["id"], None)
        state.collection_graph.pop(group["id"], None)
        return Answer(204)

    def list_memberships(self, call: Call) -> Any:
        """Return who is in what, by user."""
        self.admin_only(call)
        by_user: dict[str, list[Row]] = {}
        for membership in self._state.memberships.values():
            by_user.setdefault(str(membership["user_id"]), []).append(dict(membership))
        return by_user

    def create_membership(self, call: Call) -> Any:
        """Put a person into a group."""
        self.admin_only(call)
        body = call.body or {}
        if body.get("group_id") not in self._state.groups:
            raise missing()
        if body.get("user_id") not in self._state.users:
            raise missing()
        self._fake.accounts.join(body["user_id"], body["group_id"])
        return [m for m in self._state.memberships.values() if m["group_id"] == body["group_id"]]

    def get_data_graph(self, call: Call) -> Any:
        """Return who may query what."""
        self.admin_only(call)
        return self._data_graph()

    def _data_graph(self) -> Row:
        state = self._state
        full = {
            "view-data": "unrestricted",
            "create-queries": "query-builder-and-native",
            "download": {"schemas": "full"},
            "data-model": {"schemas": "all"},
            "details": "yes",
        }
        groups: dict[str, Any] = {}
        for group_id in state.groups:
            # The least right is not mentioned: no `create-queries` means "no".
            rights = {
                str(database): {
                    key: value
                    for key, value in (full if group_id == ADMINISTRATORS else values).items()
                    if value != "no"
                }
                for database, values in self._rights_of(group_id).items()
            }
            groups[str(group_id)] = rights
        return {"revision": state.data_revision, "groups": groups}

    def _rights_of(self, group_id: int) -> dict[int, Row]:
        if group_id == ADMINISTRATORS:
            return {database: {} for database in self._state.databases}
        rights = self._state.data_graph.get(group_id, {})
        return {database: one for database, one in rights.items() if one}

    def put_data_graph(self, call: Call) -> Any:
        """Change rights; a graph read before somebody's change is refused."""
        self.admin_only(call)
        state, body = self._state, call.body or {}
        if not call.flag("force") and body.get("revision") != state.data_revision:
            raise RefusedError(409, _STALE)
        changes = []
        for group_text, databases in (body.get("groups") or {}).items():
            group_id = int(group_text)
            if group_id not in state.groups:
                raise missing()
            for database_text, rights in (databases or {}).items():
                database_id = int(database_text)
                if database_id not in state.databases:
                    raise missing()
                if group_id != ADMINISTRATORS:
                    changes.append((group_id, database_id, self._checked(rights)))
        for group_id, database_id, rights in changes:
            state.data_graph.setdefault(group_id, {}).setdefault(database_id, {}).update(rights)
        state.data_revision += 1
        if call.flag("skip-graph"):
            return {"revision": state.data_revision}
        return self._data_graph()

    @staticmethod
    def _checked(rights: Row) -> Row:
        wanted = rights.get("create-queries")
        if isinstance(wanted, str) and wanted not in _CREATE_QUERIES:
            raise invalid(groups="Invalid permissions graph.")
        if rights.get("view-data", "unrestricted") != "unrestricted":
            raise RefusedError(402, {"message": "Advanced permissions is a paid feature."})
        return rights

    def get_collection_graph(self, call: Call) -> Any:
        """Return who may see and change which collection."""
        self.admin_only(call)
        return self._collection_graph()

    def _collection_graph(self) -> Row:
        state = self._state
        places: list[Any] = [
            "root",
            *(
                row["id"]
                for row in state.collections.values()
                if row["personal_owner_id"] is None and not row["archived"]
            ),
        ]
        groups: dict[str, dict[str, str]] = {}
        for group_id in state.groups:
            rights = state.collection_graph.get(group_id, {})
            shown = {
                str(place): "write" if group_id == ADMINISTRATORS else rights.get(place, "none")
                for place in places
            }
            # Since v0.56.13 a collection without a right is not mentioned.
            groups[str(group_id)] = {k: v for k, v in shown.items() if v != "none"}
        return {"revision": state.collection_revision, "groups": groups}

    def put_collection_graph(self, call: Call) -> Any:
        """Change what is sent, leave the rest."""
        self.admin_only(call)
        state, body = self._state, call.body or {}
        if not call.flag("force") and body.get("revision") != state.collection_revision:
            raise RefusedError(409, _STALE)
        for group_text, places in (body.get("groups") or {}).items():
            group_id = int(group_text)
            if group_id not in state.groups:
                raise missing()
            for place, right in (places or {}).items():
                if right not in {"read", "write", "none"}:
                    raise invalid(groups="Invalid collection permissions graph.")
                key = "root" if place == "root" else int(place)
                rights = state.collection_graph.setdefault(group_id, {})
                if right == "none":
                    rights.pop(key, None)
                elif group_id != ADMINISTRATORS:
                    rights[key] = right
        state.collection_revision += 1
        if call.flag("skip-graph"):
            return {"revision": state.collection_revision}
        return self._collection_graph()
