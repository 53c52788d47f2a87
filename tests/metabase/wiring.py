"""Whether the filters of dashboards in an instance really filter: each place, each filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.lib.metabase.client import MetabaseClient
from orchestration.lib.metabase.errors import MetabaseError
from tests.metabase.fake import FakeMetabase
from tests.metabase.fake.dataset_query import tags_of
from tests.metabase.fake.state import Row

# A day and a word that no company has.
_NEVER = "1901-01-01"
_NOBODY = "no such value"


def filters_that_do_nothing(fake: FakeMetabase, client: MetabaseClient) -> tuple[int, list[str]]:
    """Ask every card at its place with each of its filters, as a browser does.

    Args:
        fake: The instance.
        client: With an administrator's credentials.

    Returns:
        How many filters of places were tried, and what is wrong: a query that fails with the
        commonest value of the filtered column, or shows the same with a value nobody has.
    """
    tried, wrong = 0, []
    for place in fake.state.dashcards.values():
        card = fake.state.cards.get(place["card_id"] or 0)
        if card is None:
            continue
        board = fake.state.dashboards[place["dashboard_id"]]
        kinds = {one["id"]: one["type"] for one in board["parameters"]}
        for mapping in place["parameter_mappings"]:
            tried += 1
            name = f"{board['name']}/{card['name']}: {mapping['parameter_id']}"
            column = _column(fake, tags_of(card["dataset_query"])[mapping["target"][1][1]])
            kind = kinds[mapping["parameter_id"]]
            asked = _Asked(client, place, {"id": mapping["parameter_id"], "type": kind})
            wrong += [f"{name}: {text}" for text in asked.findings(kind, column)]
    return tried, wrong


def _column(fake: FakeMetabase, tag: Row) -> tuple[str, str]:
    field = fake.state.fields[tag["dimension"][2]]
    return f"marts.{fake.state.tables[field['table_id']]['name']}", field["name"]


class _Asked:
    """One card at one place."""

    def __init__(self, client: MetabaseClient, place: Row, parameter: Row) -> None:
        self._client = client
        self._path = (
            f"/api/dashboard/{place['dashboard_id']}/dashcard/{place['id']}"
            f"/card/{place['card_id']}/query"
        )
        self._parameter = parameter

    def findings(self, kind: str, column: tuple[str, str]) -> Iterator[str]:
        """Yield what is wrong with a filter of that type on a column (table, name)."""
        is_date = kind.startswith("date/")
        try:
            whole = self._rows(None)
            self._rows(self._commonest(column, is_date=is_date))
            none = self._rows(_NEVER if is_date else [_NOBODY])
        except MetabaseError as error:
            yield str(error)
            return
        if whole and none == whole:
            yield f"shows the same {len(whole)} rows with a value nobody has"

    def _commonest(self, column: tuple[str, str], *, is_date: bool) -> Any:
        table, name = column
        sql = (
            f"select cast({name} as varchar) as value from {table} where {name} is not null"
            " group by 1 order by count(*) desc, 1 limit 1"
        )
        rows = self._dataset(sql)
        value = str(rows[0][0]) if rows else _NEVER
        return f"{value[:10]}~{value[:10]}" if is_date else [value]

    def _dataset(self, sql: str) -> list[list[Any]]:
        databases = self._client.get("/api/database")["data"]
        body = {"database": databases[0]["id"], "type": "native", "native": {"query": sql}}
        rows: list[list[Any]] = self._client.post("/api/dataset", body, reads=True)["data"]["rows"]
        return rows

    def _rows(self, value: Any) -> list[list[Any]]:
        parameters = [] if value is None else [{**self._parameter, "value": value}]
        answer = self._client.post(self._path, {"parameters": parameters}, reads=True)
        rows: list[list[Any]] = answer["data"]["rows"]
        return rows
