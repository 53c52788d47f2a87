"""What VK's answers mean: limits, errors, pages that cannot be."""

from __future__ import annotations

import datetime as dt
import time

import httpx
import pytest

from ingest.demo.http import Reply
from ingest.demo.vk_server import VkServer
from ingest.errors import (
    AuthenticationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import RetryPolicy
from ingest.sources.vk_ads.client import VkAdsClient, classifier
from tests.contract.vk_ads.conftest import MakeClient
from tests.contract.vk_ads.server import HTML, Desk, error, firm

PATH = "/ad_plans.json"
DAY = dt.date(2026, 11, 19)
MOVED = Reply(302, headers={"Location": "https://ads.vk.ru/api/v2/ad_plans.json"})


def limited(**left: int) -> Reply:
    """Return a 429 with the headers of its limits."""
    headers: dict[str, str] = {}
    for name, remaining in left.items():
        headers |= {
            f"X-RateLimit-{name}-Limit": "20",
            f"X-RateLimit-{name}-Remaining": str(remaining),
        }
    return Reply(429, b"", "text/plain", headers)


def refusal(client: VkAdsClient) -> IngestError:
    with client, pytest.raises(IngestError) as caught:
        client.count_plans()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_full_second_slows_down_and_goes_on(desk: Desk, make_client: MakeClient) -> None:
    desk.put(PATH, limited(RPS=0, Hourly=7), limited(RPS=0))
    with make_client() as client:
        before = client._limiter.interval_seconds
        assert client.count_plans() == 2
        assert client._limiter.interval_seconds > before


def test_a_spent_hour_is_waited_for_to_its_end(desk: Desk, make_client: MakeClient) -> None:
    desk.set_now("2026-11-20T12:20:00+03:00")
    desk.put(PATH, limited(RPS=5, Hourly=0))
    slept: list[float] = []
    client = make_client()
    client._api._sleep = slept.append
    client._api._policy = RetryPolicy(longest_wait_seconds=3600.0)
    with client:
        assert client.count_plans() == 2
    assert 2400.0 < max(slept) <= 2401.0


def test_a_spent_day_stops_with_when_to_run_again(desk: Desk, make_client: MakeClient) -> None:
    desk.put(PATH, limited(RPS=5, Daily=0))
    found = refusal(make_client())
    assert isinstance(found, RateLimitError)
    assert "midnight, Moscow" in str(found)
    assert len(desk.asked(PATH)) == 1


def test_endless_429_is_one_clear_error(desk: Desk, make_client: MakeClient) -> None:
    desk.put(PATH, *[limited(RPS=0)] * 5)
    assert isinstance(refusal(make_client()), RateLimitError)


def test_the_pace_is_what_the_answers_name(desk: Desk, make_client: MakeClient) -> None:
    desk.change(requests_per_second=40)
    desk.vk = VkServer(firm(), desk.options)
    with make_client(requests_per_second=None) as client:
        assert client._limiter.interval_seconds == pytest.approx(1 / (2 * 0.965))
        client.count_plans()
        assert client._limiter.interval_seconds == pytest.approx(1 / (40 * 0.965))
    with make_client(requests_per_second=5.0) as client:
        client.count_plans()
        assert client._limiter.interval_seconds == pytest.approx(1 / (5 * 0.965))


def test_the_allowed_rate_is_used_and_never_passed(desk: Desk, make_client: MakeClient) -> None:
    desk.change(requests_per_second=20)
    desk.vk = VkServer(firm(), desk.options)
    with make_client(requests_per_second=None) as client:
        client._sleep = client._limiter._sleep = time.sleep
        client.count_plans()
        started = time.monotonic()
        for _ in range(50):
            client.count_plans()
        rate = 50 / (time.monotonic() - started)
    assert desk.statuses == {200: 52}
    assert 0.95 * 20 <= rate <= 20


def test_few_requests_left_for_the_day_are_noticed(desk: Desk, make_client: MakeClient) -> None:
    desk.change(requests_per_day=25)
    desk.vk = VkServer(firm(), desk.options)
    with make_client() as client:
        client.count_plans()
        assert client.daily_left == (24, 25)
        assert not client.is_day_nearly_spent
        for _ in range(23):
            client.count_plans()
        assert client.is_day_nearly_spent


@pytest.mark.parametrize("status", [200, 403, 404, 502])
def test_html_is_asked_again_and_then_one_clear_error(
    desk: Desk, make_client: MakeClient, status: int
) -> None:
    page = Reply(status, HTML.body, "text/html")
    desk.put(PATH, page)
    with make_client() as client:
        assert client.count_plans() == 2
    desk.put(PATH, *[page] * 5)
    assert not isinstance(refusal(make_client()), AuthenticationError)


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (error(403, "ERR_ACCESS_DENIED"), AuthenticationError, "read_ads"),
        (error(404, "ERR_WRONG_RESOURCE"), SourceContractError, "ERR_WRONG_RESOURCE"),
        (error(400, "ERR_WRONG_DATE"), SourceContractError, "ERR_WRONG_DATE"),
        (
            Reply(
                400,
                b'{"error":{"code":"validation_failed","message":"no","fields":{"utm":{}}}}',
            ),
            SourceContractError,
            "utm",
        ),
        (
            Reply(302, b"", headers={"Location": "https://ads.vk.ru/"}),
            SourceContractError,
            "ads.vk.ru",
        ),
    ],
)
def test_fatal_answers_are_not_repeated(
    desk: Desk, make_client: MakeClient, reply: Reply, kind: type[IngestError], said: str
) -> None:
    desk.put(PATH, reply)
    found = refusal(make_client())
    assert isinstance(found, kind)
    assert said in str(found)
    assert len(desk.asked(PATH)) == 1


def test_a_failing_server_is_asked_some_times(desk: Desk, make_client: MakeClient) -> None:
    desk.put(PATH, Reply(500), error(503, "ERR_INTERNAL"))
    with make_client() as client:
        assert client.count_plans() == 2
    desk.put(PATH, *[Reply(500)] * 5)
    assert isinstance(refusal(make_client()), UnreachableError)


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"items":[]}', b'{"count":1,"items":[{}],"offset":0}', b'{"count":', b""],
)
def test_a_page_that_cannot_be_is_asked_again(
    desk: Desk, make_client: MakeClient, body: bytes
) -> None:
    desk.put(PATH, Reply(200, body))
    with make_client() as client:
        assert sum(len(page) for page in client.pages("ad_plans")) == 2


def test_another_page_than_asked_for_is_not_taken(desk: Desk, make_client: MakeClient) -> None:
    desk.show(plans=120)
    body = b'{"count":120,"offset":50,"items":[{"id":1}]}'
    with make_client() as client:
        desk.put(PATH, Reply(200, body))
        ids = [row["id"] for page in client.pages("ad_plans") for row in page]
    assert ids == list(range(111, 231))


def test_bisection_finds_each_bad_id_with_few_requests(desk: Desk, make_client: MakeClient) -> None:
    desk.show(plans=range(1000, 1064))
    desk.change(poisoned_ids=(1003, 1050))
    with make_client() as client:
        _, refused = client.daily_statistics([str(n) for n in range(1000, 1064)], DAY, DAY)
    assert refused == {"1003", "1050"}
    # Two ways of six halvings, each with the other half.
    assert len(desk.asked("/day.json")) <= 2 * 2 * 6 + 1


def test_too_much_for_one_day_of_one_plan_is_an_error(desk: Desk, make_client: MakeClient) -> None:
    desk.put("/day.json", error(400, "ERR_LIMIT_EXCEEDED"))
    with make_client() as client, pytest.raises(SourceContractError, match="LIMIT_EXCEEDED"):
        client.daily_statistics(["111"], DAY, DAY)


def test_every_status_has_a_verdict() -> None:
    classify = classifier("vk_ads")
    request = httpx.Request("GET", "https://ads.vk.com/api/v2/ad_plans.json")
    found = {
        status: classify(httpx.Response(status, request=request, content=b"")).action
        for status in (200, 204, 301, 400, 401, 403, 404, 405, 408, 413, 414, 429, 500, 503)
    }
    assert found == {
        200: "ok",
        204: "ok",
        301: "fatal",
        400: "fatal",
        401: "unauthorized",
        403: "fatal",
        404: "fatal",
        405: "fatal",
        408: "retry",
        413: "fatal",
        414: "fatal",
        429: "slow_down",
        500: "retry",
        503: "retry",
    }
