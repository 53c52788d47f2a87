"""Databases, their sync, tables and columns (api.md 2)."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.metabase.fake.engines import EngineError, Instances, Pool, Table, open_pool
from tests.metabase.fake.state import ALL_USERS, Row, State
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, invalid, missing

HIDDEN_SECRET = "**MetabasePass**"
_SECRETS = ("password", "motherduck_token")
_VISIBILITY = {"hidden", "technical", "cruft", None}
_NAMED_SEMANTICS = {
    "id": "type/PK",
    "created_at": "type/CreationTimestamp",
    "quantity": "type/Quantity",
    "title": "type/Title",
}


class Databases:
    """What the instance knows of the databases behind it."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake
        self._pools: dict[int, tuple[str, Pool]] = {}
        self._instances = Instances()
        self._lock = threading.Lock()

    @property
    def _state(self) -> State:
        state: State = self._fake.state
        return state

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/database", self.list_databases),
            ("POST", "/api/database", self.create_database),
            ("POST", "/api/database/validate", self.validate_database),
            ("GET", "/api/database/{id}", self.get_database),
            ("PUT", "/api/database/{id}", self.put_database),
            ("DELETE", "/api/database/{id}", self.delete_database),
            ("GET", "/api/database/{id}/metadata", self.get_metadata),
            ("GET", "/api/database/{id}/fields", self.list_fields),
            ("GET", "/api/database/{id}/healthcheck", self.check_health),
            ("POST", "/api/database/{id}/sync_schema", self.sync_schema),
            ("POST", "/api/database/{id}/rescan_values", self.rescan_values),
            ("POST", "/api/notify/db/{id}", self.notify),
            ("GET", "/api/task", self.list_tasks),
            ("GET", "/api/table", self.list_tables),
            ("GET", "/api/table/{id}", self.get_table),
            ("PUT", "/api/table/{id}", self.put_table),
            ("GET", "/api/table/{id}/query_metadata", self.get_query_metadata),
            ("GET", "/api/field/{id}", self.get_field),
            ("PUT", "/api/field/{id}", self.put_field),
        ):
            routes.add(method, template, handler)

    def pool(self, database_id: int) -> Pool:
        """Return the pool of a database; a changed connection spec opens another one.

        Raises:
            EngineError: The database cannot be reached.
        """
        row = self._state.databases[database_id]
        spec = f"{row['engine']}:{sorted(row['details'].items())}"
        with self._lock:
            held = self._pools.get(database_id)
            if held is not None:
                if held[0] == spec:
                    return held[1]
                # The old connections go first: a file of the same path would be theirs otherwise.
                del self._pools[database_id]
                held[1].close()
            pool = self._open(row["engine"], row["details"])
            self._pools[database_id] = (spec, pool)
        return pool

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for _, pool in pools.values():
            pool.close()

    def database(self, number: str | int | None) -> Row:
        """Return a database's row."""
        try:
            return self._state.databases[int(number or 0)]
        except (KeyError, ValueError):
            raise missing() from None

    def _shown(self, row: Row, call: Call) -> Row:
        is_admin = call.visitor is not None and call.visitor.is_admin
        shown = {name: value for name, value in row.items() if not name.startswith("_")}
        shown["features"] = ["native-parameters", "native-parameter-card-reference"]
        shown["timezone"] = "UTC"
        shown["native_permissions"] = (
            "write" if self._fake.accounts.may_query(call.visitor, row["id"]) else "none"
        )
        details = {
            name: HIDDEN_SECRET if name in _SECRETS and value else value
            for name, value in row["details"].items()
        }
        if is_admin:
            shown["details"] = details
        else:
            del shown["details"]
        return shown

    def list_databases(self, call: Call) -> Any:
        """List them, in an envelope."""
        self._let_syncs_end()
        rows = [self._shown(row, call) for row in self._state.databases.values()]
        return {"data": rows, "total": len(rows)}

    def create_database(self, call: Call) -> Any:
        """Test the connection, then make a database; the same name again makes a second one."""
        self._fake.accounts.admin_only(call)
        state, body = self._state, call.body or {}
        if not body.get("name"):
            raise invalid(name="value must be a non-blank string.")
        if body.get("engine") not in self._fake.engines:
            raise invalid(engine="value must be a valid database engine.")
        if not isinstance(body.get("details"), dict):
            raise invalid(details="Value must be a map.")
        self._test(body["engine"], body["details"])
        database_id = state.new_id("database")
        state.databases[database_id] = {
            "id": database_id,
            "entity_id": state.entity_id(),
            "name": body["name"],
            "engine": body["engine"],
            "details": dict(body["details"]),
            "description": None,
            "is_full_sync": body.get("is_full_sync", True),
            "is_on_demand": body.get("is_on_demand", False),
            "auto_run_queries": body.get("auto_run_queries", True),
            "cache_ttl": body.get("cache_ttl"),
            "schedules": body.get("schedules"),
            "settings": None,
            "is_sample": False,
            "initial_sync_status": "incomplete",
            "created_at": state.moment(),
            "updated_at": state.moment(),
        }
        state.data_graph.setdefault(ALL_USERS, {})[database_id] = {
            "view-data": "unrestricted",
            "create-queries": "query-builder-and-native",
            "download": {"schemas": "full"},
        }
        self._start_sync(database_id)
        return self._shown(state.databases[database_id], call)

    @property
    def open_file_count(self) -> int:
        """Return how many DuckDB files are held open."""
        return self._instances.count

    def _reach(self, engine: str, details: Row) -> None:
        self._open(engine, details).close()

    def _open(self, engine: str, details: Row) -> Pool:
        if engine == "duckdb" and self._fake.is_driver_too_old:
            raise EngineError("The following options were not recognized: connection-pool-type")
        return open_pool(engine, details, self._instances)

    def _test(self, engine: str, details: Row) -> None:
        try:
            self._reach(engine, details)
        except EngineError as error:
            raise RefusedError(
                400, {"message": str(error), "errors": {"database_file": "check your settings"}}
            ) from error

    def validate_database(self, call: Call) -> Any:
        """Say whether details would do."""
        self._fake.accounts.admin_only(call)
        wanted = (call.body or {}).get("details") or {}
        try:
            self._reach(str(wanted.get("engine")), wanted.get("details") or {})
        except EngineError as error:
            return {"valid": False, "message": str(error)}
        return {"valid": True}

    def get_database(self, call: Call) -> Any:
        """Return one."""
        self._let_syncs_end()
        shown = self._shown(self.database(call.numbers[0]), call)
        if call.one("include") in {"tables", "tables.fields"}:
            shown["tables"] = self._tables(shown["id"], is_hidden_shown=True, call=call)
        return shown

    def put_database(self, call: Call) -> Any:
        """Merge the details, test them, save them, close the old connections."""
        self._fake.accounts.admin_only(call)
        row, body = self.database(call.numbers[0]), call.body or {}
        sent = body.get("details") or {}
        details = {
            **row["details"],
            **{name: value for name, value in sent.items() if value != HIDDEN_SECRET},
        }
        if details != row["details"]:
            self._test(row["engine"], details)
        row["details"] = details
        for name in ("name", "auto_run_queries", "schedules"):
            if body.get(name) is not None:
                row[name] = body[name]
        for name in ("description", "cache_ttl", "settings", "caveats", "points_of_interest"):
            if name in body:
                row[name] = body[name]
        row["updated_at"] = self._state.moment()
        # The new connections are there before the answer is: nobody reads the old file after it.
        self.pool(row["id"])
        return self._shown(row, call)

    def delete_database(self, call: Call) -> Any:
        """Drop a database, its tables and its cards."""
        self._fake.accounts.admin_only(call)
        state, row = self._state, self.database(call.numbers[0])
        del state.databases[row["id"]]
        with self._lock:
            held = self._pools.pop(row["id"], None)
        if held is not None:
            held[1].close()
        gone = {table["id"] for table in state.tables.values() if table["db_id"] == row["id"]}
        state.tables = {k: v for k, v in state.tables.items() if k not in gone}
        state.fields = {k: v for k, v in state.fields.items() if v["table_id"] not in gone}
        for card in [c for c in state.cards.values() if c["database_id"] == row["id"]]:
            self._fake.cards.drop(card["id"])
        for rights in state.data_graph.values():
            rights.pop(row["id"], None)
        return Answer(204)

    def check_health(self, call: Call) -> Any:
        """Say whether the database answers."""
        row = self.database(call.numbers[0])
        try:
            self._reach(row["engine"], row["details"])
        except EngineError as error:
            return {"status": "error", "message": str(error)}
        return {"status": "ok"}

    def sync_schema(self, call: Call) -> Any:
        """Say ok at once and look later."""
        self._fake.accounts.admin_only(call)
        self._start_sync(self.database(call.numbers[0])["id"])
        return {"status": "ok"}

    def rescan_values(self, call: Call) -> Any:
        """Say ok; the values of filters are always fresh here."""
        self._fake.accounts.admin_only(call)
        self.database(call.numbers[0])
        return {"status": "ok"}

    def notify(self, call: Call) -> Any:
        """Sync for a pipeline without a user, by the key from the environment."""
        key = self._fake.notify_key
        if key is None or call.headers.get("x-metabase-apikey") != key:
            raise RefusedError(403, "Forbidden")
        self._start_sync(self.database(call.numbers[0])["id"])
        return {"success": True}

    def _start_sync(self, database_id: int) -> None:
        state = self._state
        task_id = state.new_id("task")
        state.tasks.append(
            {
                "id": task_id,
                "task": "sync",
                "db_id": database_id,
                "status": "started",
                "started_at": state.moment(),
                "ended_at": None,
                "_due": time.monotonic() + self._fake.sync_seconds,
            }
        )

    def _let_syncs_end(self) -> None:
        for task in self._state.tasks:
            if task["status"] == "started" and time.monotonic() >= task["_due"]:
                self._sync(task["db_id"])
                task["status"] = "success"
                task["ended_at"] = self._state.moment()

    def _sync(self, database_id: int) -> None:
        row = self._state.databases.get(database_id)
        if row is None:
            return
        try:
            found = self.pool(database_id).tables()
        except EngineError:
            return
        state = self._state
        known = {
            (table["schema"], table["name"]): table
            for table in state.tables.values()
            if table["db_id"] == database_id
        }
        for table in found:
            self._learn(database_id, table, known.pop((table.schema, table.name), None))
        for table_row in known.values():
            table_row["active"] = False
        row["initial_sync_status"] = "complete"

    def _learn(self, database_id: int, table: Table, row: Row | None) -> None:
        state = self._state
        if row is None:
            table_id = state.new_id("table")
            row = {
                "id": table_id,
                "entity_id": state.entity_id(),
                "db_id": database_id,
                "schema": table.schema,
                "name": table.name,
                "display_name": _friendly(table.name),
                "description": table.description,
                "visibility_type": None,
                "field_order": "database",
                "initial_sync_status": "complete",
                "active": True,
            }
            state.tables[table_id] = row
        row["active"] = True
        known = {
            field["name"]: field
            for field in state.fields.values()
            if field["table_id"] == row["id"]
        }
        for position, column in enumerate(table.columns):
            field = known.pop(column.name, None)
            if field is None:
                field_id = state.new_id("field")
                field = {
                    "id": field_id,
                    "entity_id": state.entity_id(),
                    "table_id": row["id"],
                    "name": column.name,
                    "display_name": _friendly(column.name),
                    "description": column.description,
                    "semantic_type": _NAMED_SEMANTICS.get(column.name),
                    "fk_target_field_id": None,
                    "has_field_values": "list" if column.base_type == "type/Text" else "none",
                    "visibility_type": "normal",
                    "settings": None,
                }
                state.fields[field_id] = field
            field.update(
                active=True,
                base_type=column.base_type,
                effective_type=column.base_type,
                database_type=column.database_type,
                position=position,
            )
        for field in known.values():
            field["active"] = False

    def _tables(self, database_id: int, *, is_hidden_shown: bool, call: Call) -> list[Row]:
        fields: dict[int, list[Row]] = {}
        if not call.flag("skip_fields"):
            for field in self._state.fields.values():
                if field["active"] or not call.flag("remove_inactive"):
                    fields.setdefault(field["table_id"], []).append(field)
        return [
            {**table, "fields": [dict(field) for field in fields.get(table["id"], [])]}
            for table in self._state.tables.values()
            if table["db_id"] == database_id
            and table["active"]
            and (is_hidden_shown or table["visibility_type"] is None)
        ]

    def get_metadata(self, call: Call) -> Any:
        """Return tables and their columns with ids."""
        self._let_syncs_end()
        row = self.database(call.numbers[0])
        tables = self._tables(row["id"], is_hidden_shown=call.flag("include_hidden"), call=call)
        return {**self._shown(row, call), "tables": tables}

    def list_fields(self, call: Call) -> Any:
        """Return all active columns, flat."""
        self._let_syncs_end()
        row = self.database(call.numbers[0])
        return [
            {
                "id": field["id"],
                "name": field["name"],
                "display_name": field["display_name"],
                "table_name": self._state.tables[field["table_id"]]["name"],
                "schema": self._state.tables[field["table_id"]]["schema"],
                "base_type": field["base_type"],
                "semantic_type": field["semantic_type"],
            }
            for field in self._state.fields.values()
            if field["active"] and self._state.tables[field["table_id"]]["db_id"] == row["id"]
        ]

    def list_tasks(self, call: Call) -> Any:
        """Return tasks, newest first."""
        self._fake.accounts.admin_only(call)
        self._let_syncs_end()
        wanted = call.one("task")
        rows = [
            {name: value for name, value in task.items() if name != "_due"}
            for task in reversed(self._state.tasks)
            if wanted in {None, task["task"]}
        ]
        limit = int(call.one("limit") or 0) or None
        offset = int(call.one("offset") or 0)
        shown = rows[offset:][:limit]
        return {"data": shown, "total": len(rows), "limit": limit, "offset": offset}

    def list_tables(self, call: Call) -> Any:
        """Return active tables."""
        self._let_syncs_end()
        return [dict(table) for table in self._state.tables.values() if table["active"]]

    def _table(self, call: Call) -> Row:
        table = self._state.tables.get(int(call.numbers[0]))
        if table is None:
            raise missing()
        return table

    def get_table(self, call: Call) -> Any:
        """Return one table."""
        return dict(self._table(call))

    def get_query_metadata(self, call: Call) -> Any:
        """Return one table and its active columns."""
        self._let_syncs_end()
        table = self._table(call)
        fields = [
            dict(field)
            for field in self._state.fields.values()
            if field["table_id"] == table["id"] and field["active"]
        ]
        return {**table, "fields": fields}

    def put_table(self, call: Call) -> Any:
        """Change what people see of a table."""
        self._fake.accounts.admin_only(call)
        table, body = self._table(call), call.body or {}
        if body.get("display_name") == "":
            raise invalid(display_name="nullable value must be a non-blank string.")
        if body.get("visibility_type") not in _VISIBILITY:
            raise invalid(visibility_type="nullable enum of :cruft, :hidden, :technical")
        if body.get("display_name") is not None:
            table["display_name"] = body["display_name"]
        for name in ("description", "visibility_type", "caveats", "points_of_interest"):
            if name in body:
                table[name] = body[name]
        return dict(table)

    def _field(self, call: Call) -> Row:
        field = self._state.fields.get(int(call.numbers[0]))
        if field is None:
            raise missing()
        return field

    def get_field(self, call: Call) -> Any:
        """Return one column."""
        field = self._field(call)
        return {**field, "table": dict(self._state.tables[field["table_id"]])}

    def put_field(self, call: Call) -> Any:
        """Change what people see of a column."""
        self._fake.accounts.admin_only(call)
        field, body = self._field(call), call.body or {}
        for name in ("display_name", "description", "caveats", "points_of_interest"):
            if body.get(name) == "":
                raise RefusedError(
                    400, {"errors": {name: "nullable value must be a non-blank string."}}
                )
        target = body.get("fk_target_field_id")
        if target is not None and target not in self._state.fields:
            raise invalid(fk_target_field_id="Invalid target field.")
        for name in ("display_name", "visibility_type", "has_field_values"):
            if body.get(name) is not None:
                field[name] = body[name]
        for name in ("description", "semantic_type", "fk_target_field_id", "settings"):
            if name in body:
                field[name] = body[name]
        if field["semantic_type"] != "type/FK":
            # A target means something on a foreign key alone.
            field["fk_target_field_id"] = None
        return dict(field)


def _friendly(name: str) -> str:
    """Return the name Metabase shows before anybody gives a better one."""
    return " ".join(word.capitalize() for word in name.split("_"))
