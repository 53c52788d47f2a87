"""A small firm, and the fake servers without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from ingest.demo import CompanyTables, DemoCompany
from ingest.demo.amocrm_server import AmoOptions, AmoServer
from ingest.demo.direct_server import DirectOptions, DirectServer
from ingest.demo.http import Call, Reply


@pytest.fixture(scope="session")
def firm() -> CompanyTables:
    return DemoCompany(months=4, leads=1200).world()


class Amo:
    """A client of the fake amoCRM."""

    def __init__(self, server: AmoServer) -> None:
        self.server = server
        self.token = server.token

    def get(self, path: str, **params: Any) -> Reply:
        """Ask; brackets are written with keyword names through `query`."""
        return self.query(path, params)

    def query(self, path: str, params: dict[str, Any]) -> Reply:
        query = urlencode(params)
        headers = {"authorization": f"Bearer {self.token}"}
        return self.server.answer(Call("GET", f"/api/v4/{path}", query, headers, b"", "http://amo"))

    def post(self, path: str, body: dict[str, Any]) -> Reply:
        return self.server.answer(Call("POST", path, "", {}, orjson.dumps(body), "http://amo"))

    def follow(self, reply: Reply) -> Iterator[dict[str, Any]]:
        """Yield all records from a first page on, as `next` leads."""
        while reply.status == 200:
            page = orjson.loads(reply.body)
            yield from next(iter(page["_embedded"].values()))
            link = page["_links"].get("next")
            if link is None:
                return
            path, _, query = link["href"].partition("?")
            headers = {"authorization": f"Bearer {self.token}"}
            call = Call("GET", path.removeprefix("http://amo"), query, headers, b"", "http://amo")
            reply = self.server.answer(call)
        assert reply.status == 204

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        return list(self.follow(self.query(path, params)))


@pytest.fixture
def amo(firm: CompanyTables) -> Callable[..., Amo]:
    def make(tables: CompanyTables = firm, now: int | None = None, **options: Any) -> Amo:
        return Amo(AmoServer(tables, AmoOptions(**{"requests_per_second": None, **options}), now))

    return make


class Direct:
    """A client of the fake Direct."""

    def __init__(self, server: DirectServer) -> None:
        self.server = server
        self.headers: dict[str, str] = {"authorization": f"Bearer {server.token}"}

    def post(self, service: str, body: dict[str, Any], **headers: str) -> Reply:
        call = Call(
            "POST", f"/json/v5/{service}", "", {**self.headers, **headers}, orjson.dumps(body), ""
        )
        return self.server.answer(call)

    def report(
        self,
        first: str = "2026-11-01",
        last: str = "2026-11-16",
        *,
        headers: dict[str, str] | None = None,
        **changed: Any,
    ) -> Reply:
        params = {
            "SelectionCriteria": {"DateFrom": first, "DateTo": last},
            "FieldNames": ["Date", "CampaignId", "Clicks", "Cost"],
            "ReportName": "one",
            "ReportType": "CUSTOM_REPORT",
            "DateRangeType": "CUSTOM_DATE",
            "Format": "TSV",
            "IncludeVAT": "NO",
            **changed,
        }
        return self.post("reports", {"params": params}, **(headers or {}))


@pytest.fixture
def direct(firm: CompanyTables) -> Callable[..., Direct]:
    def make(tables: CompanyTables = firm, now: int | None = None, **options: Any) -> Direct:
        return Direct(
            DirectServer(tables, DirectOptions(**{"requests_per_window": None, **options}), now)
        )

    return make
