"""The fake VK Ads against its page: tokens, lists, statistics, limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from ingest.demo import CompanyTables
from ingest.demo.http import Call, Reply
from ingest.demo.vk_server import VkOptions, VkServer


class Vk:
    """A client of the fake VK Ads."""

    def __init__(self, server: VkServer) -> None:
        self.server = server
        self.token = ""

    def ask(self, grant: str = "client_credentials", **form: str) -> Reply:
        body = {
            "grant_type": grant,
            "client_id": self.server.client_id,
            "client_secret": self.server.client_secret,
            **form,
        }
        path = "/api/v2/oauth2/token.json"
        return self.server.answer(Call("POST", path, "", {}, urlencode(body).encode(), ""))

    def enter(self) -> dict[str, Any]:
        token: dict[str, Any] = orjson.loads(self.ask().body)
        self.token = token["access_token"]
        return token

    def get(self, path: str, **params: Any) -> Reply:
        headers = {"authorization": f"Bearer {self.token}"}
        call = Call("GET", f"/api/v2/{path}.json", urlencode(params), headers, b"", "")
        return self.server.answer(call)

    def body(self, path: str, **params: Any) -> dict[str, Any]:
        reply = self.get(path, **params)
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = orjson.loads(reply.body)
        return answer

    def refused(self, path: str, **params: Any) -> tuple[int, str]:
        reply = self.get(path, **params)
        said = orjson.loads(reply.body)
        return reply.status, said.get("error", said)["code"]


MakeVk = Callable[..., Vk]
DAYS = {"date_from": "2026-11-01", "date_to": "2026-11-10"}


@pytest.fixture
def vk(firm: CompanyTables) -> MakeVk:
    def make(now: int | None = None, **options: Any) -> Vk:
        chosen = VkOptions(**{"requests_per_second": None, **options})
        client = Vk(VkServer(firm, chosen, now))
        client.enter()
        return client

    return make


def test_the_sixth_token_is_refused_whatever_the_state_of_the_others(vk: MakeVk) -> None:
    client = vk(token_seconds=60)
    client.server.clock.set(client.server.clock.now + 3600)
    assert [client.ask().status for _ in range(5)] == [200] * 4 + [403]


def test_a_refresh_kills_the_access_token_and_takes_no_new_place(vk: MakeVk) -> None:
    client = vk()
    first = client.enter()
    again = orjson.loads(client.ask("refresh_token", refresh_token=first["refresh_token"]).body)
    assert again["tokens_left"] == first["tokens_left"]
    assert isinstance(again["expires_in"], str)
    assert client.refused("ad_plans") == (401, "invalid_token")
    client.token = again["access_token"]
    assert client.get("ad_plans").status == 200
    client.server.clock.set(client.server.clock.now + 86_400)
    reply = client.get("ad_plans")
    assert (reply.status, orjson.loads(reply.body)["code"]) == (401, "expired_token")
    assert 'error="expired_token"' in reply.headers["WWW-Authenticate"]


def test_lists_give_twenty_rows_ids_and_names_and_hide_deleted_ones(vk: MakeVk) -> None:
    client = vk()
    plans = client.body("ad_plans")
    assert set(plans["items"][0]) == {"id", "name"}
    banners = client.body("banners", limit=5)
    assert len(banners["items"]) == 5 < banners["count"]
    assert set(banners["items"][0]) >= {"id", "ad_group_id", "moderation_status"}
    everything = VkOptions(requests_per_second=None, deleted_after_days=-1)
    client.server.options = everything
    assert client.body("ad_plans")["count"] == 0
    assert client.body("ad_plans", _status__in="active,blocked,deleted")["count"] == plans["count"]


def test_the_time_filters_of_the_lists_differ(vk: MakeVk) -> None:
    client = vk()
    moment = "2026-11-02 00:00:00"
    assert client.body("banners", _updated__gte=moment)["count"] == 0
    assert client.body("ad_groups", _last_updated__gte=moment)["count"] == 0
    assert client.body("banners", _updated__lt=moment)["count"] > 0
    for path, name in (
        ("ad_plans", "_updated__gte"),
        ("ad_groups", "_updated__gte"),
        ("banners", "_last_updated__gte"),
    ):
        assert client.refused(path, **{name: moment}) == (400, "ERR_WRONG_PARAMETER")


def test_unknown_fields_are_a_validation_error(vk: MakeVk) -> None:
    reply = vk().get("ad_plans", fields="id,ad_groups")
    assert reply.status == 400
    assert "ad_groups" in orjson.loads(reply.body)["error"]["fields"]


def test_statistics_are_what_the_ledger_says_at_this_moment(
    vk: MakeVk, firm: CompanyTables
) -> None:
    day = dt.date(2026, 11, 1)
    ledger = [
        row
        for row in firm.ad_spend.to_pylist()
        if row["platform"] == "vk_ads" and row["spend_date"] == day
    ]
    assert len({row["campaign_id"] for row in ledger}) > 1
    # Restated: one day is told several times.
    assert len(ledger) > len({row["campaign_id"] for row in ledger})
    moments = [firm.now, min(row["known_from_at"] for row in ledger)]
    for now in moments:
        client = vk(now=now)
        ids = ",".join(str(item["id"]) for item in client.body("ad_plans")["items"])
        found = client.body(
            "statistics/ad_plans/day", id=ids, date_from=day, date_to=day, metrics="base"
        )
        told = {item["id"]: item["rows"][0]["base"] for item in found["items"] if item["rows"]}
        valid = {
            row["campaign_id"]: row
            for row in ledger
            if row["known_from_at"] <= now < (row["known_to_at"] or now + 1)
        }
        assert {number: base["shows"] for number, base in told.items()} == {
            number: row["impressions"] for number, row in valid.items()
        }
        for number, base in told.items():
            assert isinstance(base["spent"], str)
            assert round(float(base["spent"]) * 100) == valid[number]["cost_micros"] // 10_000


def test_a_foreign_id_poisons_the_whole_request(vk: MakeVk) -> None:
    client = vk()
    number = client.body("ad_plans")["items"][0]["id"]
    path = "statistics/ad_plans/day"
    assert client.get(path, id=number, **DAYS).status == 200
    assert client.refused(path, id=f"{number},1", **DAYS) == (400, "ERR_WRONG_ADPLANS")
    client.server.options = VkOptions(poisoned_ids=(number,), wrong_ids_status=404)
    assert client.refused(path, id=number, **DAYS) == (404, "ERR_WRONG_IDS")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"id": ",".join(map(str, range(1, 202))), **DAYS}, "ERR_LIMIT_EXCEEDED"),
        ({"id": 1, "date_from": "2025-01-01", "date_to": "2026-11-10"}, "ERR_LIMIT_EXCEEDED"),
        ({"id": 1, "date_from": "2025-10-01", "date_to": "2025-10-02"}, "ERR_WRONG_DATE"),
        ({"id": 1, "date_from": "2026-11-02", "date_to": "2026-11-01"}, "ERR_WRONG_DATE"),
        ({"id": 1}, "ERR_WRONG_DATE"),
        ({**DAYS}, "ERR_WRONG_PARAMETER"),
        ({"id": 1, "metrics": "money", **DAYS}, "ERR_WRONG_PARAMETER"),
    ],
)
def test_statistics_refuse_too_much_and_nonsense(
    vk: MakeVk, query: dict[str, Any], code: str
) -> None:
    assert vk().refused("statistics/ad_plans/day", **query) == (400, code)


def test_days_without_shows_are_left_out_or_filled_with_zeros(vk: MakeVk) -> None:
    client = vk(zero_filled_days=True)
    number = client.body("ad_plans")["items"][0]["id"]
    ancient = {"date_from": "2026-01-01", "date_to": "2026-01-10"}
    rows = client.body("statistics/ad_plans/day", id=number, **ancient)["items"][0]["rows"]
    assert [row["base"]["spent"] for row in rows] == ["0"] * 10
    client.server.options = VkOptions(requests_per_second=None)
    assert client.body("statistics/ad_plans/day", id=number, **ancient)["items"][0]["rows"] == []


def test_groups_and_banners_tell_the_plan_s_figures_once(vk: MakeVk) -> None:
    client = vk()
    sums = []
    for kind in ("ad_plans", "ad_groups", "banners"):
        ids = [item["id"] for item in client.body(kind, limit=50)["items"]]
        found = client.body(
            f"statistics/{kind}/day", id=",".join(map(str, ids)), **DAYS, attribution="impression"
        )
        sums.append(sum(row["base"]["clicks"] for item in found["items"] for row in item["rows"]))
    assert sums[0] > 0
    assert len(set(sums)) == 1


def test_limits_are_of_calendar_periods_and_told_in_headers(firm: CompanyTables) -> None:
    real = [100.0]
    options = VkOptions(requests_per_second=3, requests_per_hour=5)
    client = Vk(VkServer(firm, options, real_time=lambda: real[0]))
    client.enter()
    replies = [client.get("ad_plans") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[0].headers["X-RateLimit-RPS-Remaining"] == "2"
    assert replies[3].headers["X-RateLimit-RPS-Remaining"] == "0"
    # Another method has a limit of its own.
    assert client.get("banners").status == 200
    real[0] += 1
    replies = [client.get("ad_plans") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].headers["X-RateLimit-Hourly-Remaining"] == "0"
    client.server.clock.set(client.server.clock.now + 3600)
    real[0] += 1
    assert client.get("ad_plans").status == 200


def test_an_agency_names_its_client(firm: CompanyTables) -> None:
    client = Vk(VkServer(firm, VkOptions(is_agency_client=True)))
    assert client.ask().status == 403
    assert client.ask("agency_client_credentials", agency_client_name="nobody").status == 401
    named = client.ask("agency_client_credentials", agency_client_name=client.server.login)
    assert named.status == 200


def test_the_same_firm_is_told_in_the_same_bytes(vk: MakeVk) -> None:
    def bodies() -> list[bytes]:
        client = vk()
        ids = [item["id"] for item in client.body("ad_plans")["items"]]
        return [
            client.get("banners", fields="id,name,urls,updated", limit=50).body,
            client.get("statistics/ad_plans/day", id=",".join(map(str, ids)), **DAYS).body,
        ]

    assert bodies() == bodies()
