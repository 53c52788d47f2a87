"""Collections, their content and the trash (api.md 3 and 7)."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake.part import Part, found
from tests.metabase.fake.state import Row
from tests.metabase.fake.web import Answer, Call, Routes, forbidden, invalid, missing

_ROOT: Row = {"id": "root", "name": "Our analytics", "can_write": True, "is_personal": False}


class Collections(Part):
    """Folders."""

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/collection", self.list_collections),
            ("POST", "/api/collection", self.create_collection),
            ("GET", "/api/collection/tree", self.tree),
            ("GET", "/api/collection/root", self.root),
            ("GET", "/api/collection/{id}", self.get_collection),
            ("PUT", "/api/collection/{id}", self.put_collection),
            ("DELETE", "/api/collection/{id}", self.delete_collection),
            ("GET", "/api/collection/{id}/items", self.items),
            ("POST", "/api/eid-translation/translate", self.translate),
            ("GET", "/api/search", self.search),
        ):
            routes.add(method, template, handler)

    def new(
        self,
        name: str,
        *,
        description: str | None = None,
        parent_id: int | None = None,
        personal_owner_id: int | None = None,
    ) -> Row:
        """Make a collection; it inherits the rights of where it lies."""
        state = self._state
        collection_id = state.new_id("collection")
        parent = state.collections.get(parent_id or 0)
        row = {
            "id": collection_id,
            "entity_id": state.entity_id(),
            "name": name,
            "slug": name.lower().replace(" ", "_"),
            "description": description,
            "location": f"{parent['location']}{parent_id}/" if parent else "/",
            "archived": False,
            "archived_directly": None,
            "archive_operation_id": None,
            "authority_level": None,
            "namespace": None,
            "type": None,
            "personal_owner_id": personal_owner_id,
            "created_at": state.moment(),
        }
        state.collections[collection_id] = row
        if personal_owner_id is None:
            for rights in state.collection_graph.values():
                inherited = rights.get(parent_id if parent else "root")
                if inherited is not None:
                    rights[collection_id] = inherited
        return row

    def collection(self, number: Any) -> Row:
        """Return a collection's row by id or entity id."""
        row = found(self._state.collections, number)
        if row is None:
            raise missing()
        return row

    @staticmethod
    def parent_of(row: Row) -> int | None:
        """Return the id of the collection a collection lies in."""
        parts = [part for part in row["location"].split("/") if part]
        return int(parts[-1]) if parts else None

    def checked(self, value: Any) -> int | None:
        """Return the id of a collection named in a body: an id, an entity id or null."""
        return None if value is None else int(self.collection(value)["id"])

    def _shown(self, row: Row, call: Call) -> Row:
        accounts = self._fake.accounts
        return {
            **row,
            "parent_id": self.parent_of(row),
            "is_personal": row["personal_owner_id"] is not None,
            "can_write": accounts.may_write(call.visitor, row["id"]),
            "can_restore": bool(row["archived_directly"]),
            "can_delete": bool(row["archived"]),
        }

    def _visible(self, call: Call) -> list[Row]:
        accounts = self._fake.accounts
        is_others_left_out = call.flag("exclude-other-user-collections")
        assert call.visitor is not None
        return [
            row
            for row in self._state.collections.values()
            if accounts.may_read(call.visitor, row["id"])
            and not (
                is_others_left_out and row["personal_owner_id"] not in {None, call.visitor.user_id}
            )
        ]

    def list_collections(self, call: Call) -> Any:
        """Return them flat; archived ones only when asked, and then alone."""
        is_archived = call.flag("archived")
        rows = [row for row in self._visible(call) if row["archived"] == is_archived]
        shown = [self._shown(row, call) for row in rows]
        return shown if is_archived else [dict(_ROOT), *shown]

    def tree(self, call: Call) -> Any:
        """Return them nested."""
        rows = [row for row in self._visible(call) if not row["archived"]]
        nodes = {row["id"]: {**self._shown(row, call), "children": []} for row in rows}
        roots = []
        for row in rows:
            parent = nodes.get(self.parent_of(row) or 0)
            (parent["children"] if parent else roots).append(nodes[row["id"]])
        return roots

    def root(self, call: Call) -> Any:
        """Return the collection that is none."""
        can_write = self._fake.accounts.may_write(call.visitor, None)
        return {**_ROOT, "can_write": can_write}

    def create_collection(self, call: Call) -> Any:
        """Make a collection; the same name again makes a second one."""
        body = call.body or {}
        if not body.get("name"):
            raise invalid(name="value must be a non-blank string.")
        if body.get("description") == "":
            raise invalid(description="nullable value must be a non-blank string.")
        parent_id = self.checked(body.get("parent_id"))
        if not self._fake.accounts.may_write(call.visitor, parent_id):
            raise forbidden()
        row = self.new(body["name"], description=body.get("description"), parent_id=parent_id)
        return self._shown(row, call)

    def get_collection(self, call: Call) -> Any:
        """Return one."""
        row = self.collection(call.numbers[0])
        if not self._fake.accounts.may_read(call.visitor, row["id"]):
            raise forbidden()
        return self._shown(row, call)

    def put_collection(self, call: Call) -> Any:
        """Rename, move, archive with all inside, restore."""
        row, body = self.collection(call.numbers[0]), call.body or {}
        if not self._fake.accounts.may_write(call.visitor, row["id"]):
            raise forbidden()
        if body.get("name") is not None:
            row["name"] = body["name"]
        if "description" in body:
            if body["description"] == "":
                raise invalid(description="nullable value must be a non-blank string.")
            row["description"] = body["description"]
        if "parent_id" in body:
            parent_id = self.checked(body["parent_id"])
            parent = self._state.collections.get(parent_id or 0)
            self._move(row, f"{parent['location']}{parent_id}/" if parent else "/")
        if body.get("archived") is not None and body["archived"] != row["archived"]:
            self._archive(row, is_archived=body["archived"])
        return self._shown(row, call)

    def _move(self, row: Row, location: str) -> None:
        old = f"{row['location']}{row['id']}/"
        row["location"] = location
        new = f"{location}{row['id']}/"
        for one in self._state.collections.values():
            if one["location"].startswith(old):
                one["location"] = new + one["location"].removeprefix(old)

    def _archive(self, row: Row, *, is_archived: bool) -> None:
        state = self._state
        inside = f"{row['location']}{row['id']}/"
        below = [c for c in state.collections.values() if c["location"].startswith(inside)]
        ids = {row["id"], *(one["id"] for one in below)}
        content = [
            one
            for kind in (state.cards, state.dashboards)
            for one in kind.values()
            if one["collection_id"] in ids
        ]
        operation = state.uuid() if is_archived else row["archive_operation_id"]
        for one in (row, *below):
            if is_archived != one["archived"] and (
                is_archived or one["archive_operation_id"] == operation
            ):
                one["archived"] = is_archived
                one["archived_directly"] = (one is row) if is_archived else None
                one["archive_operation_id"] = operation if is_archived else None
        for one in content:
            # What was thrown away before by itself stays thrown away.
            if is_archived and not one["archived"]:
                one.update(archived=True, archived_directly=False)
            elif not is_archived and not one["archived_directly"]:
                one["archived"] = False

    def delete_collection(self, call: Call) -> Any:
        """Drop a collection and what is in it."""
        self._fake.accounts.admin_only(call)
        row = self.collection(call.numbers[0])
        state = self._state
        inside = f"{row['location']}{row['id']}/"
        ids = {
            row["id"],
            *(c["id"] for c in state.collections.values() if c["location"].startswith(inside)),
        }
        for card in [c for c in state.cards.values() if c["collection_id"] in ids]:
            self._fake.cards.drop(card["id"])
        for board in [d for d in state.dashboards.values() if d["collection_id"] in ids]:
            self._fake.dashboards.drop(board["id"])
        for collection_id in ids:
            del state.collections[collection_id]
        return Answer(204)

    def items(self, call: Call) -> Any:
        """Return what lies in a collection, a page at a time."""
        number = call.numbers[0]
        state = self._state
        is_trash = number == "trash"
        place = None if number in {"root", "trash"} else self.collection(number)["id"]
        if not is_trash and not self._fake.accounts.may_read(call.visitor, place):
            raise forbidden()
        models = set(call.query.get("models", []))
        is_archived = is_trash or call.flag("archived")
        found = []
        for model, rows in (
            ("collection", state.collections),
            ("card", state.cards),
            ("dashboard", state.dashboards),
        ):
            if models and model not in models and "no_models" not in models:
                continue
            for row in rows.values():
                home = self.parent_of(row) if model == "collection" else row["collection_id"]
                is_here = row["archived_directly"] if is_trash else home == place
                if is_here and bool(row["archived"]) == is_archived:
                    found.append(self._item(model, row))
        limit = int(call.one("limit") or 0) or None
        offset = int(call.one("offset") or 0)
        found.sort(key=lambda one: (one["model"], one["name"].lower(), one["id"]))
        return {
            "data": found[offset:][:limit],
            "total": len(found),
            "models": sorted(models),
            "limit": limit,
            "offset": offset,
        }

    @staticmethod
    def _item(model: str, row: Row) -> Row:
        shown = {
            "id": row["id"],
            "entity_id": row["entity_id"],
            "name": row["name"],
            "description": row["description"],
            "model": model,
            "archived": row["archived"],
            "collection_id": row.get("collection_id"),
        }
        if model == "card":
            shown.update(display=row["display"], database_id=row["database_id"])
        if model == "collection":
            shown.update(location=row["location"])
        return shown

    def translate(self, call: Call) -> Any:
        """Return ids of entity ids."""
        state = self._state
        kinds = {
            "card": state.cards,
            "dashboard": state.dashboards,
            "collection": state.collections,
        }
        answers = {}
        for kind, entity_ids in ((call.body or {}).get("entity_ids") or {}).items():
            known = {row["entity_id"]: row["id"] for row in kinds.get(kind, {}).values()}
            for entity_id in entity_ids:
                found = known.get(entity_id)
                answers[entity_id] = (
                    {"id": found, "type": kind, "status": "ok"}
                    if found is not None
                    else {"type": kind, "status": "not-found"}
                )
        return {"entity_ids": answers}

    def search(self, call: Call) -> Any:
        """Find by a piece of the name; the index of a real server lags behind."""
        state, text = self._state, (call.one("q") or "").lower()
        models = set(call.query.get("models", [])) or {"card", "dashboard", "collection"}
        is_archived = call.flag("archived")
        found = [
            self._item(model, row)
            for model, rows in (
                ("card", state.cards),
                ("dashboard", state.dashboards),
                ("collection", state.collections),
            )
            if model in models
            for row in rows.values()
            if text in row["name"].lower()
            and bool(row["archived"]) == is_archived
            and self._fake.accounts.may_read(call.visitor, row.get("collection_id"))
        ]
        return {"data": found, "total": len(found), "limit": None, "offset": None}
