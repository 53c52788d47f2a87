"""A person with plain HTTP in front of the fake: what its own tests speak through."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests.metabase.fake import FakeMetabase

EMAIL, PASSWORD = "admin@example.com", "long-enough-1"
SPEND_SQL = "select channel, sum(spend) as spend from marts.spend"
FILTERED_SQL = (
    f"{SPEND_SQL} where true [[and {{{{channel}}}}]] [[and {{{{day}}}}]] group by 1 order by 1"
)
Body = dict[str, Any]


def write_marts(path: Path, *, spend: int = 1, columns: str = "") -> Path:
    """Write a file as the pipeline publishes it: 2,500 rows of one table and 3 of another.

    Args:
        path: Where.
        spend: Money in each row, to tell files apart.
        columns: More columns of the first table, such as ", 1 as clicks".
    """
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.spend as"
            " select date '2026-01-01' + cast(i % 300 as integer) as day,"
            " ['Meta', 'Search', 'Organic'][1 + i % 3] as channel,"
            f" cast({spend} as decimal(18, 2)) as spend,"
            f" i % 2 = 0 as is_paid{columns}"
            " from range(2500) as numbers(i)"
        )
        connection.execute("create table marts.channels as select 'Meta' as channel, 1 as place")
        connection.execute("comment on column marts.spend.spend is 'Money spent'")
    return path


def client(fake: FakeMetabase, **headers: str) -> httpx.Client:
    """Return somebody else in front of the fake."""
    # Without certificates to load a client is made forty times faster.
    return httpx.Client(base_url=fake.url, timeout=10, verify=False, headers=headers)


class Visitor:
    """An administrator's browser without a browser."""

    def __init__(self, fake: FakeMetabase) -> None:
        self.fake = fake
        self.http = client(fake)
        self.database_id = 0
        self.fields: dict[str, int] = {}

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Send a request."""
        sent = {"json": body} if body is not None else {}
        return self.http.request(method, path, params=query or None, **sent)

    def get(self, path: str, **query: Any) -> Any:
        """Return what a GET says; it must succeed."""
        answer = self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        """Return what a POST says; it must succeed."""
        answer = self.ask("POST", path, body if body is not None else {})
        assert answer.status_code in {200, 202}, answer.text
        return answer.json()

    def put(self, path: str, body: Any) -> Any:
        """Return what a PUT says; it must succeed."""
        answer = self.ask("PUT", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def set_up(self) -> str:
        """Be the first user and stay signed in; return the session."""
        token = self.get("/api/session/properties")["setup-token"]
        user = {"email": EMAIL, "password": PASSWORD}
        body = {"token": token, "user": user, "prefs": {"site_name": "Voronka"}}
        session: str = self.post("/api/setup", body)["id"]
        self.http.headers["X-Metabase-Session"] = session
        return session

    def connect(self, path: Path) -> int:
        """Add a database on a file, wait until its tables show, and return its id."""
        details = {"database_file": str(path), "read_only": True, "old_implicit_casting": True}
        body = {"name": "Voronka", "engine": "duckdb", "details": details}
        self.database_id = self.post("/api/database", body)["id"]
        self.wait_for_sync()
        return self.database_id

    def wait_for_sync(self) -> None:
        """Wait for the first sync, and remember the ids of columns by `table.column`."""
        place = f"/api/database/{self.database_id}"
        deadline = time.monotonic() + 5
        while self.get(place)["initial_sync_status"] != "complete":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.fields = self.columns()

    def columns(self) -> dict[str, int]:
        """Return the ids of the columns that show, by `table.column`."""
        tables = self.get(f"/api/database/{self.database_id}/metadata", remove_inactive="true")
        return {
            f"{table['name']}.{field['name']}": field["id"]
            for table in tables["tables"]
            for field in table["fields"]
        }

    def query(self, sql: str, **tags: Body) -> Body:
        """Return a query in MBQL 5."""
        stage: Body = {"lib/type": "mbql.stage/native", "native": sql}
        if tags:
            stage["template-tags"] = tags
        return {"lib/type": "mbql/query", "database": self.database_id, "stages": [stage]}

    def tag(self, name: str, column: str, widget_type: str = "string/=", **more: Any) -> Body:
        """Return a field filter."""
        return {
            "id": f"tag-{name}",
            "name": name,
            "display-name": name.capitalize(),
            "type": "dimension",
            "dimension": ["field", {}, self.fields[column]],
            "widget-type": widget_type,
            **more,
        }

    def card_body(self, sql: str = f"{SPEND_SQL} group by 1", **more: Any) -> Body:
        """Return the body of a new card."""
        return {
            "name": "Spend",
            "display": "bar",
            "dataset_query": self.query(sql),
            "visualization_settings": {},
            **more,
        }

    def card(self, sql: str = f"{SPEND_SQL} group by 1", **more: Any) -> Body:
        """Make a card and return it."""
        made: Body = self.post("/api/card", self.card_body(sql, **more))
        return made

    def filtered_card(self) -> Body:
        """Make a card with a filter by channel and one by day."""
        tags = {
            "channel": self.tag("channel", "spend.channel"),
            "day": self.tag("day", "spend.day", "date/all-options"),
        }
        return self.card(dataset_query=self.query(FILTERED_SQL, **tags))

    def dashboard(self, **more: Any) -> Body:
        """Make a dashboard and return it."""
        made: Body = self.post("/api/dashboard", {"name": "Owner", **more})
        return made


def place(dashcard_id: int, card_id: int | None, row: int = 0, **more: Any) -> Body:
    """Return a dashcard half the grid wide."""
    size = {"row": row, "col": 0, "size_x": 12, "size_y": 6}
    return {"id": dashcard_id, "card_id": card_id, **size, **more}


def note(dashcard_id: int, row: int = 0, **more: Any) -> Body:
    """Return a dashcard with text."""
    virtual = {"name": None, "display": "text", "visualization_settings": {}}
    settings = {"virtual_card": virtual, "text": "Hello"}
    return place(dashcard_id, None, row, visualization_settings=settings, **more)


def mapping(parameter_id: str, card_id: int, tag: str) -> Body:
    """Return how a filter reaches a field filter of a card."""
    target = ["dimension", ["template-tag", tag]]
    return {"parameter_id": parameter_id, "card_id": card_id, "target": target}


CHANNEL_FILTER: Body = {"id": "channel", "name": "Channel", "slug": "channel", "type": "string/="}
DAY_FILTER: Body = {"id": "day", "name": "Day", "slug": "day", "type": "date/all-options"}
