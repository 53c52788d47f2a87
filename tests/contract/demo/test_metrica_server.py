"""The fake Metrica keeps the vendor's habits."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from ingest.demo import CompanyTables
from ingest.demo.http import Call, Reply
from ingest.demo.metrica_server import MetricaOptions, MetricaServer
from ingest.demo.tables import unix_seconds

FIELDS = ("ym:s:visitID", "ym:s:date", "ym:s:clientID")
NOW = "2026-11-20T12:00:00+03:00"


def firm(*visits: dict[str, Any]) -> CompanyTables:
    return CompanyTables.build(
        now=NOW, deals=[{"deal_id": 1, "created_at": "2026-09-05T10:00:00+03:00"}], visits=visits
    )


def visit(number: object, at: str, **more: Any) -> dict[str, Any]:
    return {"visit_id": str(number), "client_id": "1", "visited_at": f"{at}+03:00", **more}


class Metrica:
    """A client of the fake Metrica."""

    def __init__(self, *visits: dict[str, Any], **options: Any) -> None:
        given = {"requests_per_second": None, "requests_per_window": None, **options}
        self.server = MetricaServer(firm(*visits), MetricaOptions(**given))
        self.headers = {"authorization": f"OAuth {self.server.token}"}

    def ask(self, method: str, path: str, **parameters: Any) -> Reply:
        whole = f"/management/v1/counter/{self.server.counter_id}{path}"
        return self.server.answer(
            Call(method, whole, urlencode(parameters), self.headers, b"", "http://metrica")
        )

    def question(self, method: str, path: str, **changed: Any) -> Reply:
        asked = {"date1": "2026-11-01", "date2": "2026-11-19", "source": "visits",
                 "fields": ",".join(FIELDS), **changed}  # fmt: skip
        return self.ask(method, path, **asked)

    def order(self, **changed: Any) -> int:
        return int(
            body(self.question("POST", "/logrequests", **changed))["log_request"]["request_id"]
        )

    def state(self, number: int) -> dict[str, Any]:
        log: dict[str, Any] = body(self.ask("GET", f"/logrequest/{number}"))["log_request"]
        return log

    def ready(self, number: int) -> dict[str, Any]:
        for _ in range(20):
            log = self.state(number)
            if log["status"] != "created":
                return log
        raise AssertionError("never ready")

    def table(self, number: int, part: int = 0) -> list[list[str]]:
        reply = self.ask("GET", f"/logrequest/{number}/part/{part}/download")
        assert reply.status == 200, reply
        return [line.split("\t") for line in reply.body.decode().splitlines()]

    def read(self, *fields: str, **changed: Any) -> list[list[str]]:
        number = self.order(fields=",".join(fields), **changed)
        self.ready(number)
        return self.table(number)[1:]


def body(reply: Reply) -> Any:
    assert reply.status == 200, reply
    return orjson.loads(reply.body)


def error(reply: Reply) -> tuple[int, str]:
    said = orjson.loads(reply.body)
    assert said["code"] == reply.status
    return reply.status, said["errors"][0]["error_type"]


def test_a_log_is_ready_after_some_looks_and_then_has_parts() -> None:
    metrica = Metrica(
        *(visit(n, f"2026-11-{n:02d}T10:00:00") for n in range(1, 8)),
        polls_until_processed=2,
        rows_per_part=3,
    )
    number = metrica.order()
    assert "parts" not in metrica.state(number)
    assert metrica.state(number)["status"] == "created"
    log = metrica.state(number)
    assert log["status"] == "processed"
    assert [part["part_number"] for part in log["parts"]] == [0, 1, 2]
    first = metrica.ask("GET", f"/logrequest/{number}/part/0/download").body
    assert log["parts"][0]["size"] == len(first)
    assert metrica.table(number, 2) == [list(FIELDS), ["7", "2026-11-07", "1"]]


def test_logs_are_made_one_after_another() -> None:
    metrica = Metrica(polls_until_processed=1)
    first, second = metrica.order(), metrica.order()
    assert metrica.ready(second)["status"] == "processed"
    assert metrica.state(first)["status"] == "processed"


def test_a_log_may_fail() -> None:
    metrica = Metrica(processing_failures=1)
    assert metrica.ready(metrica.order())["status"] == "processing_failed"
    assert metrica.ready(metrica.order())["status"] == "processed"


@pytest.mark.parametrize(
    "changed",
    [
        {"date2": "2026-11-20"},
        {"date1": "2025-11-01"},
        {"date1": "2026-11-19", "date2": "2026-11-18"},
        {"fields": "ym:s:visitID,ym:s:ipAddress"},
        {"fields": ",".join(FIELDS * 100)},
        {"source": "hits"},
        {"date1": ""},
    ],
)
def test_today_a_year_and_unknown_fields_are_refused(changed: dict[str, str]) -> None:
    metrica = Metrica()
    for method, path in (("GET", "/logrequests/evaluate"), ("POST", "/logrequests")):
        assert error(metrica.question(method, path, **changed)) == (400, "invalid_parameter")


def test_today_is_that_of_the_counters_zone() -> None:
    metrica = Metrica(time_zone="Asia/Kamchatka")
    metrica.server.clock.set(unix_seconds("2026-11-20T16:00:00+03:00"))
    assert body(metrica.question("GET", "/logrequests/evaluate", date2="2026-11-20"))


def test_logs_that_are_not_cleaned_fill_the_room() -> None:
    metrica = Metrica(
        *(visit(n, f"2026-11-{n:02d}T10:00:00") for n in range(1, 8)), others_bytes=(9_999_999_990,)
    )
    found = body(metrica.question("GET", "/logrequests/evaluate"))["log_request_evaluation"]
    assert found == {"possible": False, "max_possible_day_quantity": 0}
    assert error(metrica.question("POST", "/logrequests"))[1] == "quota_log_storage"
    assert body(metrica.ask("POST", "/logrequest/7350001/clean"))
    assert metrica.order() == 7_350_002


def test_a_log_is_cleaned_when_ready_and_canceled_before() -> None:
    metrica = Metrica(polls_until_processed=1)
    number = metrica.order()
    assert error(metrica.ask("POST", f"/logrequest/{number}/clean"))[0] == 400
    assert body(metrica.ask("POST", f"/logrequest/{number}/cancel"))
    number = metrica.order()
    metrica.ready(number)
    assert error(metrica.ask("POST", f"/logrequest/{number}/cancel"))[0] == 400
    log = body(metrica.ask("POST", f"/logrequest/{number}/clean"))["log_request"]
    assert log["status"] == "cleaned_by_user"
    assert error(metrica.ask("GET", f"/logrequest/{number}/part/0/download"))[0] == 400
    assert error(metrica.ask("POST", f"/logrequest/{number}/clean"))[0] == 400


def test_quotas_are_refused_by_second_and_by_five_minutes() -> None:
    quick = Metrica(requests_per_second=3)
    assert [quick.ask("GET", "").status for _ in range(4)] == [200, 200, 200, 429]
    slow = Metrica(requests_per_window=2, retry_after_seconds=9)
    replies = [slow.ask("GET", "") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert error(replies[2])[1] == "quota_requests_by_uid"
    assert replies[2].headers["Retry-After"] == "9"


def test_late_visits_show_when_they_are_known() -> None:
    metrica = Metrica(visit(1, "2026-11-18T10:00:00", known_from_at="2026-11-20T15:00:00+03:00"))
    assert metrica.read("ym:s:visitID") == []
    metrica.server.clock.set(unix_seconds("2026-11-20T15:00:00+03:00"))
    assert metrica.read("ym:s:visitID") == [["1"]]


def test_a_log_shows_what_was_known_when_it_was_ordered() -> None:
    metrica = Metrica(visit(1, "2026-11-18T10:00:00", known_from_at="2026-11-20T15:00:00+03:00"))
    number = metrica.order()
    metrica.server.clock.set(unix_seconds("2026-11-20T15:00:00+03:00"))
    metrica.ready(number)
    assert metrica.table(number)[1:] == []


def test_numbers_above_two_to_the_53_and_arrays_with_escaped_quotes() -> None:
    largest = 2**64 - 1
    metrica = Metrica(
        visit(
            largest, "2026-11-18T10:00:00", goals="[1,2]", page_views=2, start_url="https://a/'\t"
        )
    )
    fields = (
        "ym:s:visitID",
        "ym:s:goalsID",
        "ym:s:goalsDateTime",
        "ym:s:startURL",
        "ym:s:watchIDs",
    )
    ((number, goals, moments, url, pages),) = metrica.read(*fields)
    assert (number, goals) == (str(largest), "[1,2]")
    assert moments == r"[\'2026-11-18 10:00:00\',\'2026-11-18 10:00:00\']"
    assert url == r"https://a/\'\t"
    assert pages == f"[{largest},{largest + 1}]"


def test_a_number_comes_again_in_another_year() -> None:
    metrica = Metrica(visit(5, "2025-12-31T10:00:00"), visit(5, "2026-01-01T10:00:00"))
    found = metrica.read("ym:s:visitID", "ym:s:date", date1="2025-12-31", date2="2026-01-01")
    assert found == [["5", "2025-12-31"], ["5", "2026-01-01"]]


@pytest.mark.parametrize(
    ("hours", "told"), [(3, "2026-11-18 11:00:00"), (0, "2026-11-18 08:00:00")]
)
def test_the_utc_column_may_be_three_hours_ahead(hours: int, told: str) -> None:
    metrica = Metrica(
        visit(1, "2026-11-18T11:00:00"),
        time_zone="Asia/Yekaterinburg",
        utc_column_offset_hours=hours,
    )
    assert metrica.read("ym:s:dateTime", "ym:s:dateTimeUTC") == [["2026-11-18 13:00:00", told]]


def test_models_give_a_return_other_sources() -> None:
    metrica = Metrica(
        visit(1, "2026-11-15T10:00:00", traffic_source="organic"),
        visit(2, "2026-11-16T10:00:00", traffic_source="ad", utm_source="yandex"),
        visit(3, "2026-11-17T10:00:00", traffic_source="direct"),
        visit(4, "2026-11-18T10:00:00", traffic_source="direct", client_id="2"),
    )
    fields = [f"ym:s:{model}TrafficSource" for model in ("last", "lastsign", "first")]
    assert metrica.read("ym:s:visitID", *fields, "ym:s:lastUTMSource") == [
        ["1", "organic", "organic", "organic", ""],
        ["2", "ad", "ad", "organic", "yandex"],
        ["3", "direct", "ad", "organic", ""],
        ["4", "direct", "direct", "direct", ""],
    ]


def test_logs_of_one_state_are_equal_bytes_packed_or_not() -> None:
    metrica = Metrica(*(visit(n, f"2026-11-{n:02d}T10:00:00") for n in range(1, 8)))
    number = metrica.order()
    metrica.ready(number)
    path = f"/logrequest/{number}/part/0/download"
    plain = metrica.ask("GET", path).body
    metrica.headers["accept-encoding"] = "gzip"
    packed = [metrica.ask("GET", path).body for _ in range(2)]
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]) == plain


def test_strangers_and_other_counters_are_refused() -> None:
    metrica = Metrica()
    metrica.server.counter_id = "99"
    assert error(metrica.ask("GET", "/logrequest/1"))[0] == 404
    whole = "/management/v1/counter/100"
    call = Call("GET", whole, "", metrica.headers, b"", "")
    assert error(metrica.server.answer(call)) == (403, "access_denied")
    metrica.headers = {"authorization": "OAuth wrong"}
    assert error(metrica.ask("GET", "")) == (403, "invalid_token")
