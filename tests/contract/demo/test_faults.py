"""Faults in front of the fake servers: which, how often, and the same again for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from ingest.demo import CompanyTables
from ingest.demo.faults import KINDS, USUAL_RATES, FaultLayer, FaultPlan, kinds_of
from ingest.demo.http import Call, Outcome
from ingest.demo.serving import serve_demo
from tests.contract.demo.conftest import Amo, Direct


def call(amo: Amo, path: str, query: str = "") -> Call:
    headers = {"authorization": f"Bearer {amo.token}"}
    return Call("GET", f"/api/v4/{path}", query, headers, b"", "http://amo")


def asked(amo: Amo, plan: FaultPlan, path: str, query: str = "", times: int = 1) -> list[Outcome]:
    layer = FaultLayer("amocrm", amo.server, plan)
    return [layer.outcome(call(amo, path, query), amo.server.answer) for _ in range(times)]


def only(kind: str, rate: float = 1.0) -> FaultPlan:
    return FaultPlan(1, {kind: rate}, hang_seconds=0.0)


def test_the_same_seed_disturbs_the_same_requests_in_the_same_way(amo: Callable[..., Amo]) -> None:
    one, other = (asked(amo(token="t"), FaultPlan(5), "leads", times=60) for _ in range(2))
    assert one == other
    assert one != asked(amo(token="t"), FaultPlan(6), "leads", times=60)


def test_a_good_day_changes_nothing(amo: Callable[..., Amo]) -> None:
    server = amo()
    (outcome,) = asked(server, FaultPlan(5, apis=("direct",)), "leads", "limit=3")
    assert outcome == Outcome(server.query("leads", {"limit": 3}))


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("rate_limit", {429}),
        ("unavailable", {500, 502, 503, 504}),
        ("html_body", {200, 403, 502, 503}),
        ("token_expiry", {401}),
    ],
)
def test_what_comes_instead_of_an_answer(
    amo: Callable[..., Amo], kind: str, statuses: set[int]
) -> None:
    found = asked(amo(), only(kind), "leads", times=1 if kind == "token_expiry" else 40)
    assert {outcome.reply.status for outcome in found if outcome.reply} == statuses
    if kind == "rate_limit":
        headers = [outcome.reply.headers.get("retry-after") for outcome in found if outcome.reply]
        assert {None, "1"} < set(headers)
    if kind == "html_body":
        assert all(outcome.reply and outcome.reply.body[:5] == b"<html" for outcome in found)


def test_before_and_after_the_server_acted(amo: Callable[..., Amo]) -> None:
    for kind, expected in (("timeout_before", 0), ("timeout_after", 1)):
        server, seen = amo(), []
        layer = FaultLayer("amocrm", server.server, only(kind))

        def answer(one: Call, server: Amo = server, seen: list[Call] = seen) -> Any:
            seen.append(one)
            return server.server.answer(one)

        assert layer.outcome(call(server, "leads"), answer).reply is None
        assert len(seen) == expected


def rows(outcome: Outcome) -> Any:
    assert outcome.reply is not None
    return next(iter(orjson.loads(outcome.reply.body)["_embedded"].values()))


def test_rows_move_between_pages_and_pages_come_twice(amo: Callable[..., Amo]) -> None:
    server = amo()
    whole = [row["id"] for row in rows(Outcome(server.query("leads", {"limit": 200})))]
    for kind in ("moved_rows", "duplicated_page"):
        layer = FaultLayer("amocrm", server.server, only(kind))
        pages = [
            [
                row["id"]
                for row in rows(
                    layer.outcome(
                        call(server, "leads", f"limit=50&page={page}"), server.server.answer
                    )
                )
            ]
            for page in (1, 2)
        ]
        assert pages[0] == whole[:50]
        if kind == "duplicated_page":
            assert pages[1] == pages[0]
        else:
            skipped = whole.index(pages[1][0]) - 50
            assert 1 <= skipped <= 3
            assert pages[1] == whole[50 + skipped : 100 + skipped]


def test_a_record_is_written_in_other_ways(amo: Callable[..., Amo]) -> None:
    server = amo()
    plain = rows(Outcome(server.query("leads", {"limit": 20})))
    (flipped,) = asked(server, only("type_flip"), "leads", "limit=20")
    assert [str(row["id"]) for row in rows(flipped)] == [str(row["id"]) for row in plain]
    assert rows(flipped) != plain
    (unknown,) = asked(server, only("unknown_fields"), "leads", "limit=20")
    assert all(set(new) > set(old) for new, old in zip(rows(unknown), plain, strict=True))
    (shuffled,) = asked(server, only("reordered_fields"), "leads", "limit=20")
    assert rows(shuffled) == plain
    assert any(list(new) != list(old) for new, old in zip(rows(shuffled), plain, strict=True))


def test_a_torn_report_keeps_whole_lines(direct: Callable[..., Direct]) -> None:
    client = direct()
    layer = FaultLayer("direct", client.server, only("truncated_body"))
    body = {
        "params": {
            "SelectionCriteria": {"DateFrom": "2026-11-01", "DateTo": "2026-11-10"},
            "FieldNames": ["Date", "CampaignId", "Cost"],
            "ReportName": "one",
            "ReportType": "CUSTOM_REPORT",
            "DateRangeType": "CUSTOM_DATE",
            "Format": "TSV",
            "IncludeVAT": "NO",
        }
    }
    found = []
    for _ in range(30):
        report = Call(
            "POST", "/json/v5/reports", "", client.headers, orjson.dumps(body), "http://direct"
        )
        found.append(layer.outcome(report, client.server.answer))
    silent = [one.reply.body for one in found if one.reply and one.kept_bytes is None]
    assert silent
    assert all(text.endswith(b"\n") and b"Total rows" not in text for text in silent)


def test_every_kind_has_an_api_and_a_rate() -> None:
    met = {kind for api in ("amocrm", "direct", "vk", "metrica") for kind in kinds_of(api)}
    assert met == set(KINDS) == set(USUAL_RATES)
    assert FaultPlan.parse("restart, rate_limit", 1).rates.keys() == {"restart", "rate_limit"}
    for wrong in ("", "nonsense", "all,nonsense"):
        with pytest.raises(ValueError, match="none of"):
            FaultPlan.parse(wrong, 1)


def test_faults_reach_a_client_over_http_and_end_when_told(firm: CompanyTables) -> None:
    plan = FaultPlan(3, {"timeout_before": 0.3, "truncated_body": 0.3}, hang_seconds=0.0)
    with (
        serve_demo(firm, faults=plan) as endpoints,
        httpx.Client(
            headers={"authorization": f"Bearer {endpoints.token}"}, trust_env=False
        ) as http,
    ):
        url = f"{endpoints.amocrm_url}/api/v4/account"
        broken = 0
        for _ in range(40):
            try:
                http.get(url).json()
            except (httpx.TransportError, ValueError):
                broken += 1
        counted = endpoints.statistics()["amocrm"]
        assert broken == sum(counted["faults"].values()) > 10
        assert set(counted["faults"]) == {"timeout_before", "truncated_body"}
        assert 0 < sum(counted["faults_retried"].values()) <= broken
        endpoints.set_faults(None)
        assert all(http.get(url).json()["id"] for _ in range(10))
