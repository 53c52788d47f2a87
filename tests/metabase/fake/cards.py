"""Saved questions (api.md 4)."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake import dataset_query
from tests.metabase.fake.engines import EngineError
from tests.metabase.fake.part import Part, found
from tests.metabase.fake.queries import metadata
from tests.metabase.fake.state import Row
from tests.metabase.fake.substitution import SubstitutionError
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, forbidden, invalid, missing

_TYPES = {"question", "model", "metric"}


class Cards(Part):
    """Questions, which a dashboard shows."""

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/card", self.list_cards),
            ("POST", "/api/card", self.create_card),
            ("GET", "/api/card/{id}", self.get_card),
            ("PUT", "/api/card/{id}", self.put_card),
            ("DELETE", "/api/card/{id}", self.delete_card),
        ):
            routes.add(method, template, handler)

    def card(self, number: Any) -> Row:
        """Return a card's row by id or entity id."""
        row = found(self._state.cards, number)
        if row is None:
            raise missing()
        return row

    def shown(self, row: Row, call: Call) -> Row:
        """Return a card as the server sends it."""
        collection = self._state.collections.get(row["collection_id"] or 0)
        on = {
            d["dashboard_id"] for d in self._state.dashcards.values() if d["card_id"] == row["id"]
        }
        return {
            **row,
            "dataset_query": dataset_query.shown(
                row["dataset_query"], self._fake.minor, is_legacy=call.flag("legacy-mbql")
            ),
            "collection": collection,
            "dashboard_count": len(on),
            "can_write": self._fake.accounts.may_write(call.visitor, row["collection_id"]),
            "last-edit-info": {"id": row["creator_id"], "timestamp": row["updated_at"]},
        }

    def list_cards(self, call: Call) -> Any:
        """Return all that may be read; `f=archived` shows archived ones alone."""
        wanted = call.one("f", "all")
        model = int(call.one("model_id") or 0)
        rows = []
        for row in self._state.cards.values():
            if not self._fake.accounts.may_read(call.visitor, row["collection_id"]):
                continue
            if row["archived"] != (wanted == "archived"):
                continue
            if wanted == "database" and row["database_id"] != model:
                continue
            if wanted == "mine" and row["creator_id"] != getattr(call.visitor, "user_id", None):
                continue
            rows.append(self.shown(row, call))
        return rows

    def create_card(self, call: Call) -> Any:
        """Make a card and run it once for its columns; the same name again makes a second one."""
        state, body = self._state, call.body or {}
        for name in ("name", "display"):
            if not isinstance(body.get(name), str) or not body[name].strip():
                raise invalid(**{name: "value must be a non-blank string."})
        if body.get("description") == "":
            raise invalid(description="nullable value must be a non-blank string.")
        if not isinstance(body.get("visualization_settings"), dict):
            raise invalid(visualization_settings="Value must be a map.")
        if body.get("type") not in {None, *_TYPES}:
            raise invalid(type="nullable enum of :question, :metric, :model")
        query = dataset_query.stored(body.get("dataset_query"), state.uuid)
        if query.get("database") not in state.databases:
            raise missing()
        collection_id = self._fake.collections.checked(body.get("collection_id"))
        if body.get("dashboard_id") is not None:
            collection_id = self._fake.dashboards.dashboard(body["dashboard_id"])["collection_id"]
        accounts = self._fake.accounts
        if not accounts.may_write(call.visitor, collection_id):
            raise forbidden()
        if not accounts.may_query(call.visitor, query["database"]):
            raise RefusedError(
                403, "You cannot save this Question because you do not have permissions"
            )
        card_id = state.new_id("card")
        moment = state.moment()
        state.cards[card_id] = {
            "id": card_id,
            "entity_id": body.get("entity_id") or state.entity_id(),
            "name": body["name"],
            "description": body.get("description"),
            "display": body["display"],
            "dataset_query": query,
            "visualization_settings": body["visualization_settings"],
            "collection_id": collection_id,
            "collection_position": body.get("collection_position"),
            "dashboard_id": body.get("dashboard_id"),
            "type": body.get("type") or "question",
            "parameters": body.get("parameters") or [],
            "parameter_mappings": body.get("parameter_mappings") or [],
            "cache_ttl": None,
            "query_type": "query" if dataset_query.sql_of(query) is None else "native",
            "database_id": query["database"],
            "table_id": None,
            "archived": False,
            "archived_directly": False,
            "enable_embedding": False,
            "creator_id": getattr(call.visitor, "user_id", None),
            "created_at": moment,
            "updated_at": moment,
            "result_metadata": self._learned(query),
        }
        return self.shown(state.cards[card_id], call)

    def _learned(self, query: Row) -> list[Row] | None:
        try:
            return metadata(self._fake.queries.result(query, {})[0])
        except (EngineError, SubstitutionError):
            # A card that cannot run is saved all the same.
            return None

    def get_card(self, call: Call) -> Any:
        """Return one, archived or not."""
        row = self.card(call.numbers[0])
        if not self._fake.accounts.may_read(call.visitor, row["collection_id"]):
            raise forbidden()
        return self.shown(row, call)

    def put_card(self, call: Call) -> Any:
        """Change what is sent."""
        row, body, state = self.card(call.numbers[0]), call.body or {}, self._state
        accounts = self._fake.accounts
        if not accounts.may_write(call.visitor, row["collection_id"]):
            raise forbidden()
        if body.get("type") not in {None, *_TYPES}:
            raise invalid(type="nullable enum of :question, :metric, :model")
        changes: Row = {}
        for name in ("name", "display", "type", "visualization_settings", "archived"):
            if body.get(name) is not None:
                changes[name] = body[name]
        for name in ("description", "collection_position", "parameters", "parameter_mappings"):
            if name in body:
                changes[name] = body[name]
        if "collection_id" in body:
            changes["collection_id"] = self._fake.collections.checked(body["collection_id"])
            if not accounts.may_write(call.visitor, changes["collection_id"]):
                raise forbidden()
        if body.get("dataset_query") is not None:
            query = dataset_query.stored(body["dataset_query"], state.uuid)
            if query.get("database") not in state.databases:
                raise missing()
            if not accounts.may_query(call.visitor, query["database"]):
                raise forbidden()
            changes.update(dataset_query=query, database_id=query["database"])
            changes["result_metadata"] = self._learned(query)
        if changes.get("archived") and not row["archived"]:
            # The server takes an archived card off every dashboard; restoring brings none back.
            for dashcard_id, dashcard in list(state.dashcards.items()):
                if dashcard["card_id"] == row["id"]:
                    del state.dashcards[dashcard_id]
        if "archived" in changes:
            changes["archived_directly"] = changes["archived"]
        row.update(changes, updated_at=state.moment())
        return self.shown(row, call)

    def delete_card(self, call: Call) -> Any:
        """Drop a card for good."""
        row = self.card(call.numbers[0])
        if not self._fake.accounts.may_write(call.visitor, row["collection_id"]):
            raise forbidden()
        self.drop(row["id"])
        return Answer(204)

    def drop(self, card_id: int) -> None:
        """Forget a card and its places."""
        state = self._state
        del state.cards[card_id]
        for dashcard_id, dashcard in list(state.dashcards.items()):
            if dashcard["card_id"] == card_id:
                del state.dashcards[dashcard_id]
