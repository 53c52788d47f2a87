"""Pace, patience and verdicts of the shared HTTP client, without a network."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import monotonic
from typing import Any

import httpx
import pytest

from ingest.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import (
    ApiClient,
    RateLimiter,
    RetryPolicy,
    Verdict,
    classify_by_status,
    retry_after_seconds,
)

Answer = Callable[[httpx.Request], httpx.Response]
JSON = {"Content-Type": "application/json"}


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client(answer: Answer, time: Time | None = None, **more: Any) -> ApiClient:
    clock = time or Time()
    return ApiClient(
        "https://api.example/v1",
        account="some:main",
        limiter=RateLimiter(1000.0, clock=clock, sleep=clock.sleep),
        classify=more.pop("classify", classify_by_status("some:main")),
        sleep=clock.sleep,
        transport=httpx.MockTransport(answer),
        **more,
    )


def answers(*given: httpx.Response | Exception) -> Answer:
    waiting = list(given)

    def answer(_: httpx.Request) -> httpx.Response:
        now = waiting.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    return answer


def good(body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(200, json=body or {}, headers=headers)


def test_turns_are_evenly_spaced() -> None:
    time = Time()
    limiter = RateLimiter(7.0, clock=time, sleep=time.sleep)
    moments = []
    for _ in range(15):
        limiter.wait_for_turn()
        moments.append(time.now)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps == pytest.approx([1 / 7 / 0.965] * 14)


def test_turns_that_wake_up_late_never_make_one_too_many_in_a_second() -> None:
    time = Time()
    lateness = iter([0.0, 0.12, 0.0, 0.0, 0.09, 0.0, 0.0, 0.0, 0.0] * 20)

    def sleep(seconds: float) -> None:
        time.sleep(seconds + next(lateness))

    limiter = RateLimiter(7.0, clock=time, sleep=sleep)
    moments = []
    for _ in range(60):
        limiter.wait_for_turn()
        moments.append(time.now)
    assert all(moments[n + 7] - moments[n] >= 1.03 - 1e-6 for n in range(len(moments) - 7))


def test_a_request_that_leaves_late_delays_the_one_that_would_be_too_many() -> None:
    time = Time()
    limiter = RateLimiter(7.0, clock=time, sleep=time.sleep)
    sent = []
    for number in range(15):
        limiter.wait_for_turn()
        if number == 3:
            time.now += 0.2
        limiter.note_sent()
        sent.append(time.now)
    assert all(sent[n + 7] - sent[n] >= 1.03 - 1e-6 for n in range(len(sent) - 7))


def test_a_request_for_a_token_counts_against_the_limit() -> None:
    time = Time()
    limiter = RateLimiter(2.0, clock=time, sleep=time.sleep)
    limiter.wait_for_turn()
    limiter.count_in()
    sent = [time.now, time.now]
    limiter.adopt(20.0)
    for _ in range(60):
        limiter.wait_for_turn()
        sent.append(time.now)
    assert all(sent[n + 20] - sent[n] > 1.0 for n in range(len(sent) - 20))


def test_a_limit_of_ten_seconds_is_kept_over_ten_seconds() -> None:
    time = Time()
    limiter = RateLimiter(2.0, limit=20, clock=time, sleep=time.sleep)
    moments = []
    for _ in range(45):
        limiter.wait_for_turn()
        moments.append(time.now)
    assert all(moments[n + 20] - moments[n] >= 10.15 - 1e-6 for n in range(len(moments) - 20))
    assert moments[40] <= 20 / 0.95


def test_threads_share_one_pace() -> None:
    limiter = RateLimiter(200.0)
    moments: list[float] = []

    def work() -> None:
        for _ in range(10):
            limiter.wait_for_turn()
            moments.append(0.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    started = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moments) == 40
    assert monotonic() - started >= 39 / 200


def test_slowing_down_halves_the_pace_and_good_answers_restore_it() -> None:
    time = Time()
    limiter = RateLimiter(10.0, clock=time, sleep=time.sleep)
    full_pace = limiter.interval_seconds
    limiter.slow_down(5.0)
    limiter.slow_down(5.0)  # another thread, refused for the same reason
    assert limiter.interval_seconds == pytest.approx(2 * full_pace)
    limiter.wait_for_turn()
    assert time.now >= 5.0
    for _ in range(40):
        limiter.note_success()
    assert limiter.interval_seconds == pytest.approx(full_pace)


def test_no_number_of_refusals_brings_the_pace_to_a_halt() -> None:
    time = Time()
    limiter = RateLimiter(7.0, clock=time, sleep=time.sleep)
    full_pace = limiter.interval_seconds
    for _ in range(30):
        limiter.slow_down(1.0)
        time.sleep(1.0)
    assert limiter.interval_seconds == pytest.approx(16 * full_pace)


def test_the_pace_can_be_what_the_vendor_s_answers_name() -> None:
    time = Time()
    limiter = RateLimiter(2.0, clock=time, sleep=time.sleep)
    limiter.wait_for_turn()
    limiter.slow_down(0.0)
    limiter.adopt(40.0)
    assert limiter.interval_seconds == pytest.approx(2 / (40 * 0.965))
    for _ in range(40):
        limiter.note_success()
    moments = []
    for _ in range(90):
        limiter.wait_for_turn()
        moments.append(time.now)
    assert moments[0] < 0.1
    assert all(moments[n + 40] - moments[n] >= 1.03 - 1e-6 for n in range(50))
    assert 89 / (moments[-1] - moments[0]) > 0.95 * 40
    limiter.adopt(1.0)
    limiter.wait_for_turn()
    limiter.wait_for_turn()
    assert time.now - moments[-1] >= 1.0


def test_retry_after_is_obeyed_in_seconds_and_as_a_date() -> None:
    time = Time()
    api = client(answers(httpx.Response(429, headers={"Retry-After": "17"}), good()), time)
    api.get_json("x")
    assert 17.0 in time.slept
    dated = httpx.Response(
        429,
        headers={
            "Date": "Fri, 21 Nov 2025 10:00:00 GMT",
            "Retry-After": "Fri, 21 Nov 2025 10:00:30 GMT",
        },
    )
    assert retry_after_seconds(dated) == 30.0
    assert retry_after_seconds(httpx.Response(429, headers={"Retry-After": "soon"})) is None


def test_without_retry_after_pauses_grow() -> None:
    time = Time()
    busy = [httpx.Response(503, text="busy") for _ in range(4)]
    client(answers(*busy, good()), time).get_json("x")
    assert [pause for pause in time.slept if pause >= 1] == [1.0, 2.0, 4.0, 8.0]


def test_a_very_long_retry_after_is_told_and_not_slept() -> None:
    time = Time()
    api = client(answers(httpx.Response(429, headers={"Retry-After": "86400"})), time)
    with pytest.raises(RateLimitError, match="86400"):
        api.get_json("x")
    assert max(time.slept, default=0.0) < 1


def test_patience_ends_with_the_cause() -> None:
    policy = RetryPolicy(attempts=3)
    with pytest.raises(RateLimitError, match="slowing down"):
        client(answers(*[httpx.Response(429)] * 3), policy=policy).get_json("x")
    with pytest.raises(UnreachableError, match="502"):
        client(answers(*[httpx.Response(502)] * 3), policy=policy).get_json("x")
    with pytest.raises(UnreachableError, match="time-out"):
        client(answers(*[httpx.ReadTimeout("")] * 3), policy=policy).get_json("x")
    with pytest.raises(UnreachableError, match="no connection"):
        client(answers(*[httpx.ConnectError("refused")] * 3), policy=policy).get_json("x")


def test_a_host_that_never_answered_is_given_up_sooner() -> None:
    silent, clock = [httpx.ConnectError("refused")] * 9, Time()
    with pytest.raises(UnreachableError, match="no connection"):
        client(answers(*silent), clock).get_json("x")
    assert sum(clock.slept) < 10
    api = client(answers(good({"a": 1}), *silent[:5], good({"a": 2})))
    assert [api.get_json("x"), api.get_json("x")] == [{"a": 1}, {"a": 2}]


def test_a_passing_failure_is_survived() -> None:
    api = client(answers(httpx.ConnectError("x"), httpx.Response(500), good({"a": 1})))
    assert api.get_json("x") == {"a": 1}


def test_html_where_json_is_due_is_never_parsed() -> None:
    page = httpx.Response(200, headers={"Content-Type": "text/html"}, text="<html>login</html>")
    with pytest.raises(SourceContractError, match="text/html"):
        client(answers(*[page] * 4)).get_json("x")
    torn = httpx.Response(200, headers=JSON, content=b'{"a": ')
    with pytest.raises(SourceContractError, match="broken JSON"):
        client(answers(*[torn] * 4)).get_json("x")
    assert client(answers(page, torn, good({"a": 1}))).get_json("x") == {"a": 1}


def test_an_answer_that_cannot_be_is_asked_for_again_and_at_last_an_error() -> None:
    def check(body: dict[str, int]) -> None:
        if body["page"] != 2:
            raise SourceContractError("another page came")

    wrong = good({"page": 1})
    assert client(answers(wrong, good({"page": 2}))).get_json("x", check=check) == {"page": 2}
    with pytest.raises(SourceContractError, match="another page"):
        client(answers(*[wrong] * 4)).get_json("x", check=check)


def test_a_torn_compressed_body_is_asked_for_again() -> None:
    torn = {**JSON, "Content-Encoding": "gzip"}

    def answer(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        if len(asked) > 1:
            return good({"a": 1})
        return httpx.Response(200, headers=torn, stream=httpx.ByteStream(b"\x1f\x8b\x08broken"))

    asked: list[int] = []
    assert client(answer).get_json("x") == {"a": 1}


def test_204_is_nothing() -> None:
    assert client(answers(httpx.Response(204))).get_json("x") is None


def test_unauthorized_renews_once_and_repeats_once() -> None:
    renewed: list[int] = []
    api = client(
        answers(httpx.Response(401), good({"a": 1})), renew_credentials=lambda: renewed.append(1)
    )
    assert api.get_json("x") == {"a": 1}
    again = client(answers(*[httpx.Response(401)] * 2), renew_credentials=lambda: None)
    with pytest.raises(AuthenticationError, match="not accepted"):
        again.get_json("x")
    assert renewed == [1]


def test_waiting_is_bounded_by_time_and_no_failure() -> None:
    time = Time()

    def classify(response: httpx.Response) -> Verdict:
        return Verdict("wait", wait_seconds=20.0) if response.status_code == 201 else Verdict("ok")

    api = client(answers(*[httpx.Response(201)] * 9, good()), time, classify=classify)
    api.request("POST", "reports", json={})
    assert time.now >= 180
    short = RetryPolicy(longest_wait_seconds=50)
    hopeless = client(answers(*[httpx.Response(201)] * 9), classify=classify, policy=short)
    with pytest.raises(RateLimitError, match="not ready"):
        hopeless.request("POST", "reports", json={})


def test_the_first_date_is_the_servers_present() -> None:
    api = client(
        answers(
            good(Date="Fri, 21 Nov 2025 10:00:00 GMT"), good(Date="Fri, 21 Nov 2025 11:00:00 GMT")
        )
    )
    assert api.server_now is None
    api.get_json("x")
    api.get_json("x")
    assert str(api.server_now) == "2025-11-21 10:00:00"


@pytest.mark.parametrize(
    ("dates", "agreed"),
    [
        (("21", "21"), "2025-11-21"),
        (("22", "21", "21"), "2025-11-21"),
        (("20", "21", "21"), "2025-11-21"),
        (("22", "20", "24", "26", "28", "30"), "2025-11-20"),
    ],
)
def test_the_servers_present_is_what_two_answers_agree_on(
    dates: tuple[str, ...], agreed: str
) -> None:
    api = client(answers(*[good(Date=f"Fri, {day} Nov 2025 10:00:00 GMT") for day in dates]))
    api.get_json("x")
    assert str(api.agree_on_clock(lambda: api.get_json("x"))) == f"{agreed} 10:00:00"
    assert str(api.server_now) == f"{agreed} 10:00:00"


def test_credentials_go_to_the_accounts_host_only_and_into_no_message() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(418, text="secret-token")

    api = client(answer, credentials=lambda: {"Authorization": "Bearer secret-token"})
    with pytest.raises(SourceContractError) as caught:
        api.get_json("http://elsewhere.example/v1/page?x=secret-token")
    assert asked[0].url.host == "api.example"
    assert asked[0].url.scheme == "https"
    assert "secret-token" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_body_too_large_for_memory_goes_into_a_file_and_a_broken_one_is_replaced() -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"half of a much longer"
            raise httpx.RemoteProtocolError("peer closed connection")

    sink = io.BytesIO()
    broken = httpx.Response(200, stream=Broken())
    whole = httpx.Response(200, content=b"short", headers={"content-type": "text/csv"})
    with client(answers(broken, httpx.Response(503, content=b"later"), whole)) as api:
        response = api.request("GET", "part", sink=sink)
    assert sink.getvalue() == b"short"
    assert (response.content, response.headers["content-type"]) == (b"", "text/csv")


def test_what_is_no_success_or_a_page_never_reaches_the_file() -> None:
    sink = io.BytesIO(b"untouched")
    page = httpx.Response(200, content=b"<html>", headers={"content-type": "text/html"})
    with client(answers(page)) as api:
        assert api.request("GET", "part", sink=sink).content == b"<html>"
    assert sink.getvalue() == b"untouched"


def test_a_header_that_cannot_be_sent_is_told_at_once_and_not_quoted() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.LocalProtocolError("Illegal header value b'Bearer abc\\ndef'")

    with pytest.raises(ConfigurationError) as caught, client(answer) as api:
        api.get_json("things")
    assert len(asked) == 1
    assert "abc" not in str(caught.value)
