"""The life of a log: made once, waited for, downloaded whole, cleaned whatever happens."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.demo.faults import USUAL_RATES, FaultLayer, FaultPlan
from ingest.demo.http import Call, Reply
from ingest.errors import (
    AuthenticationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import RetryPolicy
from ingest.sources.yandex_metrica.client import LogStorageFullError, MetricaClient
from ingest.sources.yandex_metrica.settings import YandexMetricaSettings
from tests.contract.yandex_metrica.conftest import Refresh
from tests.contract.yandex_metrica.metrica import Metrica, once, visit
from tests.contract.yandex_metrica.replies import (
    BACKEND_ERROR,
    PAGE,
    PROXY_PAGE,
    REFUSED,
    refusal,
)

FIRST, LAST = dt.date(2026, 11, 1), dt.date(2026, 11, 19)
DAYS = [visit(n, f"2026-11-{n:02d}T10:00:00") for n in range(1, 20)]


class Asking:
    """A client whose pauses are noted and not slept."""

    def __init__(self, metrica: Metrica, mark: bytes = b"this home", **options: Any) -> None:
        self.slept: list[float] = []
        given = {
            "url": metrica.url,
            "requests_per_second": 1000.0,
            "requests_per_five_minutes": 100_000,
            **options,
        }
        self.client = MetricaClient(
            YandexMetricaSettings.model_validate(given),
            "44147844",
            token=metrica.token,
            account="yandex_metrica:main",
            mark=mark,
            policy=RetryPolicy(attempts=3, first_pause_seconds=0.01, longest_wait_seconds=900.0),
            sleep=self.slept.append,
        )

    def visits(self, first: dt.date = FIRST, last: dt.date = LAST) -> list[str]:
        """Return the numbers of the visits of these days."""
        return [
            str(number)
            for batch in self.client.visits(first, last)
            for number in batch.column("visit_id").to_pylist()
        ]


ALL = [str(n) for n in range(1, 20)]
Ask = Callable[..., Asking]


@pytest.fixture
def ask(metrica: Metrica) -> Iterator[Ask]:
    made: list[Asking] = []

    def make(mark: bytes = b"this home", **options: Any) -> Asking:
        made.append(Asking(metrica, mark, **options))
        return made[-1]

    metrica.serve(DAYS)
    yield make
    for asking in made:
        asking.client.close()


def test_a_log_is_looked_at_until_it_is_ready_with_longer_and_longer_pauses(
    metrica: Metrica, ask: Ask
) -> None:
    metrica.serve(DAYS, polls_until_processed=4)
    asking = ask()
    assert asking.visits() == ALL
    assert asking.slept == [1.0, 1.5, 2.25, 3.375]
    assert metrica.statuses() == ["cleaned_by_user"]
    assert metrica.server.most_waiting_requests == 1


def test_a_log_that_is_never_ready_is_canceled_and_told(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, polls_until_processed=10**6)
    with pytest.raises(RateLimitError, match="still created"):
        ask(log_wait_seconds=30.0).visits()
    assert metrica.statuses() == ["canceled"]


def test_a_log_that_fails_is_ordered_again(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, processing_failures=1)
    assert ask().visits() == ALL
    assert metrica.statuses() == ["processing_failed", "cleaned_by_user"]


def test_days_whose_log_keeps_failing_are_asked_for_in_halves(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, processing_failures=2)
    assert ask().visits() == ALL
    assert metrica.ordered()[2:] == [("2026-11-01", "2026-11-10"), ("2026-11-11", "2026-11-19")]


def test_a_single_day_that_never_comes_is_an_error_in_words(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, processing_failures=10**6)
    with pytest.raises(UnreachableError, match="no log of 2026-11-01"):
        ask().visits(FIRST, FIRST)


def test_days_are_split_as_evaluate_says(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, longest_days=8)
    assert ask().visits() == ALL
    assert metrica.ordered() == [
        ("2026-11-01", "2026-11-08"),
        ("2026-11-09", "2026-11-16"),
        ("2026-11-17", "2026-11-19"),
    ]
    assert metrica.server.most_waiting_requests == 1


def test_a_log_is_cleaned_when_reading_it_fails(metrica: Metrica, ask: Ask) -> None:
    metrica.faults.append(once("/download", REFUSED))
    with pytest.raises(SourceContractError, match="Something is wrong"):
        ask().visits()
    assert metrica.statuses() == ["cleaned_by_user"]


def test_a_log_is_cleaned_when_the_reader_stops_listening(metrica: Metrica, ask: Ask) -> None:
    reading = ask().client.visits(FIRST, LAST)
    next(reading)
    assert metrica.statuses() == ["processed"]
    reading.close()  # type: ignore[attr-defined]
    assert metrica.statuses() == ["cleaned_by_user"]


def test_a_clean_whose_answer_was_lost_is_no_error(metrica: Metrica, ask: Ask) -> None:
    metrica.faults.append(once("/clean", BACKEND_ERROR, method="POST"))
    assert ask().visits() == ALL
    assert metrica.statuses() == ["cleaned_by_user"]


def test_a_log_that_could_not_be_cleaned_costs_no_data_and_is_cleaned_later(
    metrica: Metrica, ask: Ask
) -> None:
    refuse = metrica.server._one

    def broken(call: Call, number: int, verb: str | None, part: str | None) -> Reply:
        return BACKEND_ERROR if verb else refuse(call, number, verb, part)

    metrica.server._one = broken  # type: ignore[method-assign]
    assert ask().visits() == ALL
    assert metrica.statuses() == ["processed"]
    metrica.server._one = refuse  # type: ignore[method-assign]
    assert ask().client.free_own_logs() == 1
    assert metrica.statuses() == ["cleaned_by_user"]


def test_an_order_that_was_taken_without_an_answer_is_not_ordered_twice(
    metrica: Metrica, ask: Ask
) -> None:
    metrica.serve(DAYS, creation_failures=1)
    assert ask().visits() == ALL
    assert metrica.statuses() == ["cleaned_by_user"]


@pytest.mark.parametrize(
    ("refused", "pauses"),
    [(BACKEND_ERROR, [0.01]), (refusal(429, "quota_requests_by_uid", "Quota"), [60.0])],
)
def test_an_order_that_was_not_taken_is_ordered_again(
    metrica: Metrica, ask: Ask, refused: Reply, pauses: list[float]
) -> None:
    create, left = metrica.server._create, [refused]

    def broken(parameters: dict[str, str]) -> Reply:
        return left.pop() if left else create(parameters)

    metrica.server._create = broken  # type: ignore[method-assign, assignment]
    asking = ask()
    assert asking.visits() == ALL
    assert metrica.statuses() == ["cleaned_by_user"]
    assert asking.slept == pauses


def test_own_logs_of_a_killed_run_are_cleaned_and_nobody_elses(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, others_bytes=(5_000,))
    for mark in (b"this home", b"another home"):
        ask(mark).client._ordered(FIRST, LAST)
        # Another one of the same home was still waiting when the run was killed.
    metrica.server._work()
    metrica.server._work()
    metrica.server.options = replace(metrica.server.options, polls_until_processed=10**6)
    ask().client._ordered(FIRST, FIRST)
    assert metrica.statuses() == ["processed", "processed", "processed", "created"]
    assert ask().client.free_own_logs() == 2
    assert metrica.statuses() == ["processed", "cleaned_by_user", "processed", "canceled"]


def test_room_that_own_logs_took_is_freed_and_used(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, storage_bytes=30_000)
    ask().client._ordered(FIRST, LAST)
    metrica.server._work()
    metrica.server._jobs[max(metrica.server._jobs)].size = 30_000
    assert ask().visits() == ALL
    assert metrica.statuses() == ["cleaned_by_user"] * 2


@pytest.mark.parametrize("status", [400, 429])
def test_room_that_others_took_is_told_with_their_logs(
    metrica: Metrica, ask: Ask, status: int
) -> None:
    metrica.serve(DAYS, others_bytes=(9_999_999_999,), storage_error_status=status)
    with pytest.raises(LogStorageFullError, match=r"10\.0 of the 10 GB \(7350001\)"):
        ask().visits()
    # Even where evaluate was asked a moment too early.
    metrica.serve(DAYS, storage_error_status=status)
    evaluate, early = metrica.server._evaluate, [True]

    def late(parameters: dict[str, str]) -> Reply:
        reply = evaluate(parameters)
        if early and early.pop():
            job = metrica.server._add("2026-01-01", "2026-01-31", ["ym:s:date"], "LAST")
            job.status, job.size = "processed", 9_999_999_999
        return reply

    metrica.server._evaluate = late  # type: ignore[method-assign, assignment]
    with pytest.raises(LogStorageFullError, match="no room"):
        ask().visits()
    assert metrica.statuses() == ["processed"]


def test_the_quota_of_five_minutes_is_waited_for(metrica: Metrica, ask: Ask) -> None:
    quota = refusal(429, "quota_requests_by_uid", "Quota exceeded", {"Retry-After": "7"})
    silent = refusal(420, "quota_requests_by_ip", "Too Many Requests")
    metrica.faults += [
        once("/evaluate", quota),
        once("/part/0/download", silent),
        once("/logrequests", refusal(429, "quota", "Quota"), method="POST"),
    ]
    asking = ask()
    # The refused order was taken all the same: this fault answers in the server's place.
    assert asking.visits() == ALL
    assert asking.slept == [7.0, 30.0]


def test_a_quota_that_stays_used_up_ends_with_what_it_is(metrica: Metrica, ask: Ask) -> None:
    quota = refusal(429, "quota_requests_by_uid", "Quota exceeded for the day")
    metrica.faults.append(once("/evaluate", quota, times=10**6))
    asking = ask()
    with pytest.raises(RateLimitError, match="Quota exceeded for the day"):
        asking.visits()
    assert sum(asking.slept) == 900.0


def test_the_servers_own_limits_are_never_met(metrica: Metrica, ask: Ask) -> None:
    metrica.serve(DAYS, requests_per_second=10, requests_per_window=200, longest_days=2)
    asking = ask(requests_per_second=10.0, requests_per_five_minutes=200)
    refused = [0]

    def count(_: Call, reply: Reply) -> None:
        refused[0] += reply.status == 429

    metrica.faults.append(count)
    # Turns are waited for in real time: a dozen requests at ten a second.
    assert asking.visits(FIRST, dt.date(2026, 11, 4)) == ALL[:4]
    assert refused == [0]


@pytest.mark.parametrize("fault", [BACKEND_ERROR, PAGE, Reply(429, b"<html>", "text/html")])
def test_passing_failures_are_survived_everywhere(metrica: Metrica, ask: Ask, fault: Reply) -> None:
    metrica.faults += [once(path, fault) for path in ("/evaluate", r"/logrequest/\d+", "/download")]
    assert ask().visits() == ALL
    assert metrica.statuses() == ["cleaned_by_user"]


@pytest.mark.parametrize("cut", ["within a line", "after a line"])
def test_a_part_that_ends_early_is_downloaded_again(metrica: Metrica, ask: Ask, cut: str) -> None:
    times = [1]

    def torn(call: Call, reply: Reply) -> Reply | None:
        if not call.path.endswith("/download") or times[0] == 0:
            return None
        times[0] -= 1
        whole = metrica.server._jobs[max(metrica.server._jobs)].parts[0]
        end = len(whole) - 5 if cut == "within a line" else whole.rindex(b"\n", 0, -1) + 1
        return Reply(200, whole[:end], reply.content_type)

    metrica.faults.append(torn)
    assert ask().visits() == ALL
    times[0] = 10**6
    with pytest.raises(SourceContractError, match="part 0 of log"):
        ask().visits()
    assert set(metrica.statuses()) == {"cleaned_by_user"}


def test_visits_of_other_days_are_refused(metrica: Metrica, ask: Ask) -> None:
    rows = metrica.server._visits.rows
    metrica.server._visits.rows = lambda *_: rows("2026-11-01", "2026-11-19", 2**40)  # type: ignore[method-assign]
    with pytest.raises(SourceContractError, match="a log of 2026-11-02 to 2026-11-03 has a visit"):
        ask().visits(dt.date(2026, 11, 2), dt.date(2026, 11, 3))
    assert metrica.statuses() == ["cleaned_by_user"]


def test_columns_come_in_any_order_and_new_ones_are_left_out(metrica: Metrica, ask: Ask) -> None:
    parts = metrica.server._visits.parts

    def odd(rows: Any, names: list[str], count: int) -> list[bytes]:
        return parts(rows, ["ym:s:counterID", *reversed(names)], count)

    metrica.server._visits.parts = odd  # type: ignore[method-assign, assignment]
    assert ask().visits() == ALL

    def few(rows: Any, names: list[str], count: int) -> list[bytes]:
        return parts(rows, names[1:], count)

    metrica.server._visits.parts = few  # type: ignore[method-assign, assignment]
    with pytest.raises(SourceContractError, match="other columns"):
        ask().visits()


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (PROXY_PAGE, SourceContractError, "HTML"),
        (Reply(403, b"<html>No</html>", "text/html"), SourceContractError, "HTML"),
        (refusal(403, "access_denied", "Access is denied"), AuthenticationError, "metrika:read"),
        (Reply(200, b'{"requests"', "application/json"), SourceContractError, "JSON"),
        (Reply(200, b"[]", "application/json"), SourceContractError, "log_request_evaluation"),
    ],
)
def test_answers_that_cannot_be_are_one_clear_line(
    metrica: Metrica, ask: Ask, reply: Reply, error: type[IngestError], words: str
) -> None:
    metrica.faults.append(once("/evaluate", reply, times=10**6))
    with pytest.raises(error, match=words) as caught:
        ask().visits()
    assert "\n" not in str(caught.value)
    assert metrica.token not in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_no_fault_loses_or_doubles_a_visit_or_leaves_a_log(
    metrica: Metrica, ask: Ask, seed: int
) -> None:
    server = metrica.serve(DAYS, polls_until_processed=1, rows_per_part=4, others_bytes=(1,))
    rates = {kind: min(2 * rate, 0.2) for kind, rate in USUAL_RATES.items()}
    metrica.layer = FaultLayer("metrica", server, FaultPlan(seed, rates))
    for _ in range(5):
        try:
            found = ask().visits()
        except IngestError:
            continue
        break
    else:
        pytest.fail("five runs ended with an error")
    metrica.layer = None
    # Rows that come twice are one visit: the loader keeps each version of a record once.
    assert sorted(set(found), key=int) == ALL
    ask().client.free_own_logs()
    assert {log["request_id"] for log in server.requests if log["status"] == "processed"} == {
        7_350_001
    }
    assert "created" not in metrica.statuses()


KILLED = """
import os, sys
from ingest.config import SourceRef, load_settings
from ingest.loading import load_source
from ingest.sources.yandex_metrica import client
read = client.read_log
def dies(file, names):
    yield next(read(file, names))
    os._exit(9)
client.read_log = dies
load_source(SourceRef("yandex_metrica"), load_settings(dict(os.environ)))
"""


def test_the_next_run_cleans_up_after_a_killed_one(
    metrica: Metrica, whole_refresh: Refresh, tmp_path: Path
) -> None:
    metrica.serve(DAYS, others_bytes=(7_000,))
    environment = {
        "VORONKA_HOME": str(tmp_path),
        "VORONKA_SOURCES": "yandex_metrica",
        "VORONKA_YANDEX_METRICA_URL": metrica.url,
        "VORONKA_YANDEX_METRICA_COUNTER_ID": "44147844",
        "VORONKA_YANDEX_METRICA_START_DATE": "2026-11-01",
        "SOURCES__YANDEX_METRICA__TOKEN": metrica.token,
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        check=False,
        env=environment,
        cwd=Path(__file__).resolve().parents[3],
        timeout=120,
    )
    assert killed.returncode == 9
    assert metrica.statuses() == ["processed", "processed"]
    assert whole_refresh(start_date="2026-11-01").rows_stored == 19 + 1
    assert metrica.statuses() == ["processed", "cleaned_by_user", "cleaned_by_user"]
