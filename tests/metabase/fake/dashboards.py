"""Dashboards, their tabs and the places of cards (api.md 6)."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from tests.metabase.fake.part import Part, found
from tests.metabase.fake.state import Row
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, forbidden, invalid, missing

_NULLABLE = (
    "description",
    "position",
    "width",
    "collection_position",
    "cache_ttl",
)
_NOT_NULL = ("name", "parameters", "auto_apply_filters", "caveats", "points_of_interest")
_DASHCARD_KEYS = ("row", "col", "size_x", "size_y")
_TAB_TEXT = "This dashboard has tab, makes sure every card has a tab"


class Dashboards(Part):
    """Dashboards."""

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/dashboard", self.list_dashboards),
            ("POST", "/api/dashboard", self.create_dashboard),
            ("GET", "/api/dashboard/{id}", self.get_dashboard),
            ("PUT", "/api/dashboard/{id}", self.put_dashboard),
            ("DELETE", "/api/dashboard/{id}", self.delete_dashboard),
            ("POST", "/api/dashboard/{id}/public_link", self.public_link),
        ):
            routes.add(method, template, handler)

    def dashboard(self, number: Any) -> Row:
        """Return a dashboard's row by id or entity id."""
        row = found(self._state.dashboards, number)
        if row is None:
            raise missing()
        return row

    def _shown(self, row: Row, call: Call) -> Row:
        state, accounts = self._state, self._fake.accounts
        dashcards = []
        for dashcard in state.dashcards.values():
            if dashcard["dashboard_id"] != row["id"]:
                continue
            card = state.cards.get(dashcard["card_id"] or 0)
            dashcards.append(
                {
                    **dashcard,
                    # A place without a card holds this, not null.
                    "card": self._fake.cards.shown(card, call)
                    if card is not None
                    else {"query_average_duration": None},
                }
            )
        # The order says nothing, so the fake never sends the same twice.
        state.randomness.shuffle(dashcards)
        return {
            **row,
            "dashcards": dashcards,
            "tabs": self._tabs(row["id"]),
            "collection": state.collections.get(row["collection_id"] or 0),
            "can_write": accounts.may_write(call.visitor, row["collection_id"]),
            "param_fields": {},
        }

    def _tabs(self, dashboard_id: int) -> list[Row]:
        tabs = [t for t in self._state.tabs.values() if t["dashboard_id"] == dashboard_id]
        return [dict(tab) for tab in sorted(tabs, key=lambda tab: tab["position"])]

    def list_dashboards(self, call: Call) -> Any:
        """Return all that may be read, without their cards."""
        is_archived = call.one("f", "all") == "archived"
        return [
            dict(row)
            for row in self._state.dashboards.values()
            if row["archived"] == is_archived
            and self._fake.accounts.may_read(call.visitor, row["collection_id"])
        ]

    def create_dashboard(self, call: Call) -> Any:
        """Make an empty dashboard, whatever dashcards and tabs the body holds."""
        state, body = self._state, call.body or {}
        if not isinstance(body.get("name"), str) or not body["name"].strip():
            raise invalid(name="value must be a non-blank string.")
        self._check_parameters(body.get("parameters"))
        collection_id = self._fake.collections.checked(body.get("collection_id"))
        if not self._fake.accounts.may_write(call.visitor, collection_id):
            raise forbidden()
        dashboard_id = state.new_id("dashboard")
        moment = state.moment()
        state.dashboards[dashboard_id] = {
            "id": dashboard_id,
            "entity_id": state.entity_id(),
            "name": body["name"],
            "description": body.get("description"),
            "collection_id": collection_id,
            "collection_position": body.get("collection_position"),
            "parameters": copy.deepcopy(body.get("parameters") or []),
            "auto_apply_filters": True,
            "width": "fixed",
            "position": None,
            "cache_ttl": None,
            "caveats": None,
            "points_of_interest": None,
            "archived": False,
            "archived_directly": False,
            "enable_embedding": False,
            "public_uuid": None,
            "creator_id": getattr(call.visitor, "user_id", None),
            "created_at": moment,
            "updated_at": moment,
        }
        return self._shown(state.dashboards[dashboard_id], call)

    @staticmethod
    def _check_parameters(parameters: Any) -> None:
        for parameter in parameters or []:
            if not str(parameter.get("id") or "").strip() or not parameter.get("type"):
                raise invalid(parameters="parameter must be a map with :id and :type keys")

    def get_dashboard(self, call: Call) -> Any:
        """Return one with its tabs and cards."""
        row = self.dashboard(call.numbers[0])
        if not self._fake.accounts.may_read(call.visitor, row["collection_id"]):
            raise forbidden()
        return self._shown(row, call)

    def put_dashboard(self, call: Call) -> Any:
        """Change what is sent; dashcards and tabs are replaced whole."""
        row, body, state = self.dashboard(call.numbers[0]), call.body or {}, self._state
        accounts = self._fake.accounts
        if not accounts.may_write(call.visitor, row["collection_id"]):
            raise forbidden()
        if body.get("width") not in {None, "fixed", "full"}:
            raise invalid(width="nullable enum of fixed, full")
        self._check_parameters(body.get("parameters"))
        if "collection_id" in body:
            collection_id = self._fake.collections.checked(body["collection_id"])
            if not accounts.may_write(call.visitor, collection_id):
                raise forbidden()
        else:
            collection_id = row["collection_id"]
        # Tabs alone are passed over: the server looks for dashcards first.
        if "dashcards" in body:
            if row["archived"]:
                # Even where the same request restores it: the check is made on the old row.
                archived = {"message": "The object has been archived.", "error_code": "archived"}
                raise RefusedError(404, archived)
            self._replace(row["id"], body)
        row["collection_id"] = collection_id
        for name in _NULLABLE:
            if name in body:
                row[name] = body[name]
        for name in _NOT_NULL:
            if body.get(name) is not None:
                row[name] = copy.deepcopy(body[name])
        if body.get("archived") is not None:
            row["archived"] = row["archived_directly"] = body["archived"]
        row["updated_at"] = state.moment()
        return self._shown(row, call)

    def _replace(self, dashboard_id: int, body: Row) -> None:
        """Replace tabs and dashcards; nothing is changed when something is refused."""
        state = self._state
        sent = body["dashcards"] or []
        old = {k: d for k, d in state.dashcards.items() if d["dashboard_id"] == dashboard_id}
        old_tabs = {k: t for k, t in state.tabs.items() if t["dashboard_id"] == dashboard_id}
        # Dashcards without tabs: no tabs any more.
        tabs = body.get("tabs") or []
        for tab in tabs:
            if not str(tab.get("name") or "").strip():
                raise invalid(tabs="value must be seq of maps in which ids are unique")
        self._check_dashcards(sent, old, tabs, dashboard_id)
        new_tab_ids: dict[Any, int] = {}
        for position, tab in enumerate(tabs):
            tab_id = tab.get("id")
            if tab_id not in old_tabs:
                tab_id = state.new_id("tab")
                state.tabs[tab_id] = {
                    "id": tab_id,
                    "entity_id": state.entity_id(),
                    "dashboard_id": dashboard_id,
                }
            new_tab_ids[tab.get("id")] = tab_id
            state.tabs[tab_id].update(name=tab["name"], position=position)
        for tab_id in set(old_tabs) - set(new_tab_ids.values()):
            del state.tabs[tab_id]
        kept = set()
        for one in sent:
            kept.add(self._put_dashcard(dashboard_id, one, old, new_tab_ids))
        for dashcard_id in set(old) - kept:
            gone = state.dashcards.pop(dashcard_id)
            self._archive_question(dashboard_id, gone["card_id"])

    def _archive_question(self, dashboard_id: int, card_id: int | None) -> None:
        """Archive a question that lives in a dashboard and has lost its last place there."""
        card = self._state.cards.get(card_id or 0)
        if card is None or card["dashboard_id"] != dashboard_id:
            return
        if all(place["card_id"] != card_id for place in self._state.dashcards.values()):
            card.update(archived=True, archived_directly=True)

    def _check_dashcards(
        self, sent: list[Row], old: Row, tabs: list[Row], dashboard_id: int
    ) -> None:
        ids = [one.get("id") for one in sent]
        if len(ids) != len(set(ids)):
            raise invalid(dashcards="value must be seq of maps in which ids are unique")
        for one in sent:
            for name in ("id", *_DASHCARD_KEYS):
                if not isinstance(one.get(name), int):
                    raise invalid(dashcards=f"{name}: value must be an integer.")
            if one["size_x"] < 1 or one["size_y"] < 1 or one["row"] < 0 or one["col"] < 0:
                raise invalid(dashcards="size_x: value must be an integer greater than zero.")
            tab_id = one.get("dashboard_tab_id")
            if len(tabs) > 1 and tab_id is None:
                raise RefusedError(400, _TAB_TEXT)
            if tab_id is not None and tab_id not in {tab.get("id") for tab in tabs}:
                # The tab is deleted before the place is written.
                raise RefusedError(500, {"message": "Referential integrity constraint violation"})
            card_id = one.get("card_id")
            is_new = one["id"] not in old or old[one["id"]]["card_id"] != card_id
            for shown_id in (card_id, *(s.get("id") for s in one.get("series") or [])):
                if shown_id is None:
                    continue
                card = self._state.cards.get(shown_id)
                if card is None or (is_new and card["archived"]):
                    raise missing()
                if card["dashboard_id"] not in {None, dashboard_id}:
                    raise RefusedError(400, "Card is internal to another dashboard")

    def _put_dashcard(
        self, dashboard_id: int, one: Row, old: Row, new_tab_ids: dict[Any, int]
    ) -> int:
        state = self._state
        dashcard_id: int = one["id"]
        moment = state.moment()
        if dashcard_id not in old:
            dashcard_id = state.new_id("dashcard")
            state.dashcards[dashcard_id] = {
                "id": dashcard_id,
                "entity_id": state.entity_id(),
                "dashboard_id": dashboard_id,
                "action_id": None,
                "inline_parameters": [],
                "created_at": moment,
            }
        tab_id = new_tab_ids.get(one.get("dashboard_tab_id"))
        if tab_id is None and len(new_tab_ids) == 1:
            tab_id = next(iter(new_tab_ids.values()))
        state.dashcards[dashcard_id].update(
            {name: one[name] for name in _DASHCARD_KEYS},
            # Without the key the place is left without its card.
            card_id=one.get("card_id"),
            dashboard_tab_id=tab_id,
            parameter_mappings=copy.deepcopy(one.get("parameter_mappings") or []),
            visualization_settings=copy.deepcopy(one.get("visualization_settings") or {}),
            series=[{"id": series["id"]} for series in one.get("series") or []],
            updated_at=moment,
        )
        return dashcard_id

    def delete_dashboard(self, call: Call) -> Any:
        """Drop a dashboard for good; its cards stay."""
        row = self.dashboard(call.numbers[0])
        if not self._fake.accounts.may_write(call.visitor, row["collection_id"]):
            raise forbidden()
        self.drop(row["id"])
        return Answer(204)

    def drop(self, dashboard_id: int) -> None:
        """Forget a dashboard, its tabs and places."""
        state = self._state
        del state.dashboards[dashboard_id]
        state.tabs = {k: t for k, t in state.tabs.items() if t["dashboard_id"] != dashboard_id}
        state.dashcards = {
            k: d for k, d in state.dashcards.items() if d["dashboard_id"] != dashboard_id
        }

    def public_link(self, call: Call) -> Any:
        """Return the link's id, the same each time."""
        self._fake.accounts.admin_only(call)
        row = self.dashboard(call.numbers[0])
        row["public_uuid"] = row["public_uuid"] or str(uuid.uuid4())
        return {"uuid": row["public_uuid"]}
