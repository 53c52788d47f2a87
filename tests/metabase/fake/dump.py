"""What an instance holds without ids, moments, secrets: equal for histories that end alike."""

from __future__ import annotations

import json
from typing import Any

from tests.metabase.fake import dataset_query
from tests.metabase.fake.state import Row, State

_FIELD_KEYS = (
    "display_name",
    "description",
    "semantic_type",
    "has_field_values",
    "visibility_type",
    "settings",
    "active",
)
_TABLE_KEYS = ("display_name", "description", "visibility_type", "active")


def dump(state: State) -> Row:
    """Return the canonical content of an instance.

    Everything is named by names: a second object of one name stands there as a second entry, so
    doubles are differences. Lists without a meaning of their own order are sorted.
    """
    return _Dump(state).whole()


class _Dump:
    def __init__(self, state: State) -> None:
        self._state = state

    def whole(self) -> Row:
        state = self._state
        return {
            "settings": dict(state.settings),
            "users": sorted(user["email"] for user in state.users.values()),
            "groups": sorted(group["name"] for group in state.groups.values()),
            "members": _sorted(
                [state.groups[m["group_id"]]["name"], state.users[m["user_id"]]["email"]]
                for m in state.memberships.values()
            ),
            "api_keys": _sorted(
                [key["name"], state.groups[key["group_id"]]["name"]]
                for key in state.api_keys.values()
            ),
            "databases": _sorted(self._database(row) for row in state.databases.values()),
            "data_rights": _sorted(
                [state.groups[group]["name"], state.databases[database]["name"], rights]
                for group, databases in state.data_graph.items()
                for database, rights in databases.items()
            ),
            "collection_rights": _sorted(
                [state.groups[group]["name"], self._place(None if key == "root" else key), right]
                for group, rights in state.collection_graph.items()
                for key, right in rights.items()
                if key == "root" or key in state.collections
            ),
            "collections": _sorted(
                [self._place(row["id"]), row["description"], row["archived"]]
                for row in state.collections.values()
            ),
            "cards": _sorted(self._card(row) for row in state.cards.values()),
            "dashboards": _sorted(self._dashboard(row) for row in state.dashboards.values()),
        }

    def _place(self, collection_id: int | None) -> str:
        row = self._state.collections.get(collection_id or 0)
        if row is None:
            return "/"
        parts = [part for part in row["location"].split("/") if part]
        names = [self._state.collections[int(part)]["name"] for part in parts]
        return "/" + "/".join([*names, row["name"]])

    def _database(self, row: Row) -> Row:
        state = self._state
        tables = []
        for table in state.tables.values():
            if table["db_id"] != row["id"]:
                continue
            fields = {
                field["name"]: {
                    **{name: field[name] for name in _FIELD_KEYS},
                    "fk_target": self._field_name(field["fk_target_field_id"]),
                }
                for field in state.fields.values()
                if field["table_id"] == table["id"]
            }
            shown = {name: table[name] for name in _TABLE_KEYS}
            tables.append({"name": f"{table['schema']}.{table['name']}", **shown, "fields": fields})
        kept = ("name", "engine", "details", "description", "is_full_sync", "auto_run_queries")
        return {**{name: row[name] for name in kept}, "tables": _sorted(tables)}

    def _field_name(self, field_id: int | None) -> str | None:
        field = self._state.fields.get(field_id or 0)
        if field is None:
            return None
        table = self._state.tables[field["table_id"]]
        return f"{table['schema']}.{table['name']}.{field['name']}"

    def _card_name(self, card_id: int | None) -> str | None:
        card = self._state.cards.get(card_id or 0)
        return None if card is None else f"{self._place(card['collection_id'])}/{card['name']}"

    def _card(self, row: Row) -> Row:
        tags = []
        for tag in dataset_query.tags_of(row["dataset_query"]).values():
            kept = {k: v for k, v in tag.items() if k not in {"id", "dimension"}}
            reference = tag.get("dimension")
            if isinstance(reference, list):
                kept["dimension"] = self._field_name(reference[2])
            tags.append(kept)
        database = self._state.databases.get(row["database_id"])
        return {
            "name": row["name"],
            "place": self._place(row["collection_id"]),
            "description": row["description"],
            "display": row["display"],
            "type": row["type"],
            "archived": row["archived"],
            "database": database["name"] if database else None,
            "sql": dataset_query.sql_of(row["dataset_query"]),
            "tags": _sorted(tags),
            "settings": self._named(row["visualization_settings"]),
            "columns": [one["name"] for one in row["result_metadata"] or []],
        }

    def _named(self, settings: Any) -> Any:
        """Return settings with ids of click targets as names."""
        if isinstance(settings, list):
            return [self._named(one) for one in settings]
        if not isinstance(settings, dict):
            return settings
        named = {name: self._named(value) for name, value in settings.items()}
        if settings.get("type") == "link" and "targetId" in settings:
            is_board = settings.get("linkType") == "dashboard"
            board = self._state.dashboards.get(settings["targetId"])
            named["targetId"] = (
                (board["name"] if board else None)
                if is_board
                else self._card_name(settings["targetId"])
            )
            tab = self._state.tabs.get(settings.get("tabId") or 0)
            named["tabId"] = tab["name"] if tab else None
        return named

    def _dashboard(self, row: Row) -> Row:
        state = self._state
        places = []
        for dashcard in state.dashcards.values():
            if dashcard["dashboard_id"] != row["id"]:
                continue
            tab = state.tabs.get(dashcard["dashboard_tab_id"] or 0)
            places.append(
                {
                    "tab": tab["name"] if tab else None,
                    "at": [dashcard[name] for name in ("row", "col", "size_x", "size_y")],
                    "card": self._card_name(dashcard["card_id"]),
                    "settings": self._named(dashcard["visualization_settings"]),
                    "mappings": _sorted(
                        [m.get("parameter_id"), self._card_name(m.get("card_id")), m.get("target")]
                        for m in dashcard["parameter_mappings"]
                    ),
                    "series": _sorted(self._card_name(one["id"]) for one in dashcard["series"]),
                }
            )
        tabs = [tab for tab in state.tabs.values() if tab["dashboard_id"] == row["id"]]
        return {
            "name": row["name"],
            "place": self._place(row["collection_id"]),
            "description": row["description"],
            "archived": row["archived"],
            "parameters": row["parameters"],
            "width": row["width"],
            "tabs": [tab["name"] for tab in sorted(tabs, key=lambda tab: tab["position"])],
            "dashcards": _sorted(places),
        }


def _sorted(some: Any) -> list[Any]:
    return sorted(some, key=lambda one: json.dumps(one, sort_keys=True, default=str))
