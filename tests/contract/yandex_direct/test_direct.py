"""The source against a Direct with its rules: queue, names, corrections, errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from ingest.chunks import LoadSummary
from ingest.config import Settings, SourceRef
from ingest.errors import (
    AuthenticationError,
    ConfigurationError,
    IngestError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import RetryPolicy
from ingest.loading import load_source
from ingest.sources.yandex_direct.client import DirectClient
from ingest.sources.yandex_direct.settings import YandexDirectSettings
from tests.contract.yandex_direct.conftest import Query
from tests.contract.yandex_direct.direct_server import Answer, DirectServer, error_body

Refresh = Callable[[], LoadSummary]

CURRENT = """
    select report_date, campaign_id, cost, clicks, include_vat, currency
    from raw_yandex_direct.campaign_daily_report
    qualify row_number() over (
        partition by source_account_id, record_id order by pull_id desc
    ) = 1 and not is_deleted
    order by 1, 2
"""


def client_of(server: DirectServer, **changes: Any) -> DirectClient:
    options = {
        "url": server.url,
        "client_login": "roga-kopyta",
        "requests_per_second": 500.0,
        **changes,
    }
    return DirectClient(
        YandexDirectSettings.model_validate(options),
        token=server.token,
        account="yandex_direct",
        policy=RetryPolicy(attempts=3, first_pause_seconds=0.01, longest_wait_seconds=20.0),
        sleep=lambda _: None,
    )


def test_first_load_reads_all_days_once_and_keeps_vat_and_currency(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {
        ("2026-09-05", 111): ("100", "7", "123.45"),
        ("2026-11-20", 222): ("50", "--", "0.10"),
    }
    refresh()
    assert query(CURRENT) == [
        ("2026-09-05", "111", "123.45", "7", "NO", "RUB"),
        ("2026-11-20", "222", "0.10", None, "NO", "RUB"),
    ]
    days = [
        (item["SelectionCriteria"]["DateFrom"], item["SelectionCriteria"]["DateTo"])
        for item in server.report_requests()
    ]
    assert sorted(days) == [
        ("2026-09-05", "2026-10-05"),
        ("2026-10-06", "2026-11-05"),
        ("2026-11-06", "2026-11-20"),
    ]
    assert query("select record_id from raw_yandex_direct.campaigns order by 1") == [
        ("111",),
        ("222",),
    ]


def accounts_of(settings: Settings, **logins: str | None) -> Settings:
    """Return the settings of some accounts, each with its login or none."""
    common = {**settings.source_options["yandex_direct.main"]}
    common.pop("client_login")
    refs = tuple(SourceRef("yandex_direct", label) for label in logins)
    named = {
        SourceRef("yandex_direct", label): {**common, **({"client_login": login} if login else {})}
        for label, login in logins.items()
    }
    bare = settings.model_copy(update={"source_options": {}})
    return bare.with_source_options(refs, named, origin="test")


def live_money(query: Query) -> list[tuple[Any, ...]]:
    return query(
        """
        select source_account_id, sum(cost::decimal(18, 2))::varchar from (
            from raw_yandex_direct.campaign_daily_report
            qualify row_number() over (
                partition by source_account_id, record_id order by pull_id desc
            ) = 1 and not is_deleted
        ) group by 1 order by 1
        """
    )


@pytest.mark.parametrize(("before", "after"), [(None, "roga-kopyta"), ("roga-kopyta", None)])
def test_advertiser_whose_login_is_set_later_goes_on_under_its_first_name(
    server: DirectServer,
    settings: Settings,
    query: Query,
    before: str | None,
    after: str | None,
) -> None:
    server.spend = {("2026-11-10", 111): ("10", "1", "100.00")}
    ref = SourceRef("yandex_direct")
    load_source(ref, accounts_of(settings, main=before))
    server.spend[("2026-11-19", 222)] = ("10", "1", "5.00")
    load_source(ref, accounts_of(settings, main=after))
    assert live_money(query) == [(before or "main", "105.00")]
    accounts = "select distinct source_account_id from raw_yandex_direct._pulls"
    assert query(accounts) == [(before or "main",)]


def test_account_under_another_label_goes_on_under_its_first_name(
    server: DirectServer, settings: Settings, query: Query
) -> None:
    server.spend = {("2026-11-10", 111): ("10", "1", "100.00")}
    load_source(SourceRef("yandex_direct"), accounts_of(settings, main=None))
    moved = accounts_of(settings, shop=None)
    load_source(moved.sources[0], moved)
    assert live_money(query) == [("main", "100.00")]


def test_clients_of_an_agency_are_stored_apart(
    server: DirectServer, settings: Settings, query: Query
) -> None:
    server.spend = {("2026-11-10", 111): ("10", "1", "100.00")}
    both = accounts_of(settings, main="roga", second="kopyta")
    load_source(both.sources[0], both)
    server.campaigns = [{**server.campaigns[0], "Id": 333, "Name": "Копыта"}]
    server.spend = {("2026-11-10", 333): ("10", "1", "40.00")}
    load_source(both.sources[1], both)
    assert live_money(query) == [("kopyta", "40.00"), ("roga", "100.00")]
    # The label is given to the other client: what the first one cost stays.
    moved = accounts_of(settings, main="kopyta")
    load_source(moved.sources[0], moved)
    assert live_money(query) == [("kopyta", "40.00"), ("roga", "100.00")]


def test_two_accounts_that_read_one_advertiser_are_refused(
    server: DirectServer, settings: Settings, query: Query
) -> None:
    server.spend = {("2026-11-10", 111): ("10", "1", "100.00")}
    # The second account has no token of its own, so the first one's is used.
    both = accounts_of(settings, main=None, second=None)
    load_source(both.sources[0], both)
    with pytest.raises(ConfigurationError, match="same advertiser as yandex_direct: its money"):
        load_source(both.sources[1], both)
    assert live_money(query) == [("main", "100.00")]


def test_advertiser_that_is_stored_twice_is_refused(
    server: DirectServer, settings: Settings, query: Query
) -> None:
    server.spend = {("2026-11-10", 111): ("10", "1", "100.00")}
    one = accounts_of(settings, main=None)
    load_source(one.sources[0], one)
    query(
        "insert into raw_yandex_direct.campaigns"
        " select * replace ('roga-kopyta' as source_account_id) from raw_yandex_direct.campaigns"
    )
    with pytest.raises(ConfigurationError, match=r"several names \(main, roga-kopyta\)"):
        load_source(one.sources[0], one)


def test_requests_name_advertiser_and_ask_for_plain_money(
    server: DirectServer, refresh: Refresh
) -> None:
    refresh()
    headers = next(sent for service, _, sent in server.requests if service == "reports")
    assert headers["client-login"] == "roga-kopyta"
    assert headers["returnmoneyinmicros"] == "false"
    assert headers["skipreportheader"] == "true"
    assert headers["skipreportsummary"] == "false"
    assert "gzip" in headers["accept-encoding"]
    assert all(item["IncludeVAT"] == "NO" for item in server.report_requests())


def test_second_run_reads_only_unsettled_days_and_stores_nothing_new(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {("2026-11-19", 111): ("10", "1", "5.00")}
    refresh()
    server.requests.clear()
    server.now += dt.timedelta(hours=2)
    summary = refresh()
    (asked,) = server.report_requests()
    assert asked["SelectionCriteria"] == {"DateFrom": "2026-11-17", "DateTo": "2026-11-20"}
    assert summary.rows_stored == 0
    assert len(query("select 1 from raw_yandex_direct.campaign_daily_report")) == 1


def test_run_after_a_pause_reads_the_days_that_were_unsettled_then(
    server: DirectServer, refresh: Refresh
) -> None:
    refresh()
    server.requests.clear()
    server.now += dt.timedelta(days=10)
    refresh()
    (asked,) = server.report_requests()
    assert asked["SelectionCriteria"] == {"DateFrom": "2026-11-17", "DateTo": "2026-11-30"}


def test_restated_number_replaces_the_old_one_despite_the_stored_report(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {("2026-11-19", 111): ("10", "1", "5.00")}
    refresh()
    refresh()
    server.spend = {("2026-11-19", 111): ("10", "1", "4.20")}
    refresh()
    assert [row[2] for row in query(CURRENT)] == ["4.20"]


def test_vanished_row_becomes_a_tombstone_only_inside_the_window_read(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {
        ("2026-10-01", 111): ("10", "1", "7.00"),
        ("2026-11-19", 111): ("10", "1", "5.00"),
    }
    refresh()
    server.spend = {}
    refresh()
    assert [row[0] for row in query(CURRENT)] == ["2026-10-01"]


def test_border_date_brings_back_corrected_old_days(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {("2026-10-01", 111): ("10", "1", "7.00")}
    refresh()
    server.spend = {("2026-10-01", 111): ("9", "1", "6.50")}
    server.borders = [{"CampaignId": 111, "BorderDate": "2026-10-01"}]
    server.requests.clear()
    refresh()
    asked = min(item["SelectionCriteria"]["DateFrom"] for item in server.report_requests())
    assert asked == "2026-10-01"
    assert [row[2] for row in query(CURRENT)] == ["6.50"]


def test_check_uses_the_stored_timestamp(server: DirectServer, refresh: Refresh) -> None:
    refresh()
    assert not [body for _, body, _ in server.requests if body.get("method") == "check"]
    server.now += dt.timedelta(hours=3)
    refresh()
    server.now += dt.timedelta(hours=3)
    refresh()
    stamps = [
        body["params"]["Timestamp"]
        for service, body, _ in server.requests
        if service == "changes" and body["method"] == "check"
    ]
    assert stamps == ["2026-11-20T09:00:00Z", "2026-11-20T12:00:00Z"]


def test_timestamp_is_not_moved_when_reports_fail(server: DirectServer, refresh: Refresh) -> None:
    refresh()
    server.faults["reports"] = [Answer(400, error_body(8000, "Bad request"))]
    server.now += dt.timedelta(hours=3)
    with pytest.raises(SourceContractError):
        refresh()
    server.now += dt.timedelta(hours=3)
    refresh()
    stamps = [
        body["params"]["Timestamp"]
        for service, body, _ in server.requests
        if service == "changes" and body["method"] == "check"
    ]
    assert stamps == ["2026-11-20T09:00:00Z"] * 2


def test_deleted_campaign_becomes_a_tombstone(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    refresh()
    server.campaigns.pop()
    refresh()
    assert query(
        "select record_id, payload is null from raw_yandex_direct.campaigns where is_deleted"
    ) == [("222", True)]


def test_campaigns_are_paged_by_limited_by(server: DirectServer) -> None:
    server.page_limit = 1
    with client_of(server) as client:
        assert [[item["Id"] for item in page] for page in client.campaign_pages()] == [
            [111],
            [222],
        ]


def test_queued_report_is_polled_with_the_same_request(server: DirectServer) -> None:
    server.polls_before_ready = 3
    server.spend = {("2026-11-01", 111): ("1", "1", "1.00")}
    with client_of(server) as client:
        rows = client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))
    assert rows == [("2026-11-01", "111", "Search", "1", "1", "1.00")]
    asked = server.report_requests()
    assert len(asked) == 4
    assert all(item == asked[0] for item in asked)


def test_at_most_five_reports_stand_in_the_queue(server: DirectServer, refresh: Refresh) -> None:
    server.polls_before_ready = 2
    refresh()
    assert 1 <= server.largest_queue <= 5


def test_full_queue_is_waited_for(server: DirectServer) -> None:
    server.faults["reports"] = [Answer(400, error_body("9000", "Queue limit"))] * 2
    with client_of(server) as client:
        assert client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2)) == []


def test_queue_that_stays_full_ends_with_a_clear_error(server: DirectServer) -> None:
    server.faults["reports"] = [Answer(400, error_body(9000, "Queue limit"))] * 9
    with client_of(server) as client, pytest.raises(RateLimitError, match="queue"):
        client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))


@pytest.mark.parametrize("code", [152, "506", 56, "52", 1001])
def test_passing_errors_are_waited_out_in_services(server: DirectServer, code: int | str) -> None:
    server.faults["campaigns"] = [Answer(200, error_body(code, "Later"))]
    client = DirectClient(
        YandexDirectSettings(url=server.url, requests_per_second=500.0),
        token=server.token,
        account="yandex_direct",
        policy=RetryPolicy(attempts=3, first_pause_seconds=0.0, longest_wait_seconds=600.0),
        sleep=lambda _: None,
    )
    with client:
        assert len(client.campaigns()) == 2


@pytest.mark.parametrize(
    ("code", "action"),
    [(53, "OAuth token"), ("54", "client_login"), (58, "application"), ("8800", "client_login")],
)
@pytest.mark.parametrize("status", [200, 400])
def test_refused_credentials_say_what_to_do(
    server: DirectServer, code: int | str, action: str, status: int
) -> None:
    server.faults["campaigns"] = [Answer(status, error_body(code, "No"))]
    with client_of(server) as client, pytest.raises(AuthenticationError, match=action) as caught:
        client.campaigns()
    assert server.token not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502])
def test_report_that_takes_too_long_is_cut_into_shorter_periods(
    server: DirectServer, status: int
) -> None:
    server.longest_days = 3
    if status == 500:
        server.longest_days = 10_000
        server.faults["reports"] = [Answer(500, error_body(52, "Could not build"))]
    server.spend = {(f"2026-11-{day:02d}", 111): ("1", "1", f"{day}.00") for day in range(1, 11)}
    with client_of(server) as client:
        rows = client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 10))
    assert [row[5] for row in rows] == [f"{day}.00" for day in range(1, 11)]


def test_single_day_that_never_comes_is_an_error(server: DirectServer) -> None:
    server.longest_days = 0
    with client_of(server) as client, pytest.raises(UnreachableError, match="single day"):
        client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 1))


def test_name_clash_is_answered_with_another_name(server: DirectServer) -> None:
    server.faults["reports"] = [
        Answer(400, error_body("4000", "A report with this name already exists"))
    ]
    with client_of(server) as client:
        assert client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2)) == []
    first, second = server.report_requests()
    assert first["ReportName"] != second["ReportName"]


def test_equal_reports_have_one_name_and_others_another(server: DirectServer) -> None:
    day = dt.date(2026, 11, 1)
    with client_of(server) as client:
        client.daily_report(day, day)
        client.daily_report(day, day)
        client.daily_report(day, day, "later")
    with client_of(server, include_vat="YES") as client:
        client.daily_report(day, day)
    with client_of(server, client_login="another") as client:
        client.daily_report(day, day)
    names = [item["ReportName"] for item in server.report_requests()]
    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_gzip_answers_are_read(server: DirectServer) -> None:
    server.uses_gzip = True
    server.spend = {("2026-11-01", 111): ("1", "1", "1.00")}
    with client_of(server) as client:
        assert len(client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 1))) == 1


def test_a_report_without_its_last_line_is_asked_for_again(server: DirectServer) -> None:
    server.spend = {("2026-11-01", 111): ("1", "1", "1.00"), ("2026-11-02", 111): ("1", "1", "2")}
    names = "Date\tCampaignId\tCampaignName\tImpressions\tClicks\tCost\n"
    torn = f"{names}2026-11-01\t111\tSearch\t1\t1\t1.00\n"
    twice = f"{torn}2026-11-01\t111\tSearch\t1\t1\t1.00\nTotal rows: 2\n"
    too_few = f"{torn}Total rows: 2\n"
    kind = "text/tab-separated-values"
    server.faults["reports"] = [Answer(200, body.encode(), kind) for body in (torn, too_few)]
    with client_of(server) as client:
        assert len(client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))) == 2
    server.faults["reports"] = [Answer(200, twice.encode(), kind)] * 3
    with client_of(server) as client, pytest.raises(SourceContractError, match="two rows"):
        client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))


def test_columns_are_found_by_name(server: DirectServer) -> None:
    text = (
        "Cost\tDate\tCampaignId\tClicks\tImpressions\tCampaignName\n"
        "1.00\t2026-11-01\t111\t2\t3\tSearch\nTotal rows: 1\n"
    )
    server.faults["reports"] = [Answer(200, text.encode(), "text/tab-separated-values")]
    with client_of(server) as client:
        rows = client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))
    assert rows == [("2026-11-01", "111", "Search", "3", "2", "1.00")]


def test_rows_outside_the_window_are_refused(server: DirectServer) -> None:
    server.ignores_window = True
    server.spend = {("2026-10-01", 111): ("1", "1", "1.00")}
    with client_of(server) as client, pytest.raises(SourceContractError, match="outside"):
        client.daily_report(dt.date(2026, 11, 1), dt.date(2026, 11, 2))


@pytest.mark.parametrize("status", [200, 403, 503])
def test_html_answers_are_one_clear_error(server: DirectServer, status: int) -> None:
    page = Answer(status, b"<html><body>proxy</body></html>", "text/html")
    server.faults["campaigns"] = [page] * 5
    with client_of(server) as client, pytest.raises(IngestError) as caught:
        client.campaigns()
    assert "\n" not in str(caught.value)


def test_wrong_token_loads_nothing(
    server: DirectServer, refresh: Refresh, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__YANDEX_DIRECT__TOKEN", "stolen")
    with pytest.raises(AuthenticationError) as caught:
        refresh()
    assert "stolen" not in str(caught.value)
    assert query("select 1 from raw_yandex_direct.campaigns") == []


def test_interrupted_first_load_goes_on_where_it_stopped(
    server: DirectServer, refresh: Refresh, query: Query
) -> None:
    server.spend = {
        ("2026-09-10", 111): ("1", "1", "1.00"),
        ("2026-11-15", 111): ("1", "1", "2.00"),
    }
    server.faults["reports"] = []
    original = server._report

    def broken(params: dict[str, Any], headers: dict[str, str]) -> Answer:
        if params["SelectionCriteria"]["DateFrom"] == "2026-09-05":
            return Answer(400, error_body(8000, "Bad request"))
        return original(params, headers)

    server._report = broken  # type: ignore[method-assign]
    with pytest.raises(SourceContractError):
        refresh()
    server._report = original  # type: ignore[method-assign]
    refresh()
    assert [row[2] for row in query(CURRENT)] == ["1.00", "2.00"]


def test_currency_of_mixed_campaigns_must_be_named(server: DirectServer, refresh: Refresh) -> None:
    server.campaigns[0]["Currency"] = "USD"
    with pytest.raises(SourceContractError, match="currency_code"):
        refresh()
