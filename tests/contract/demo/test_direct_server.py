"""The fake Direct keeps the vendor's habits."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable
from typing import Any

import orjson

from ingest.demo import CompanyTables
from ingest.demo.direct_server import DirectOptions, DirectServer
from ingest.demo.http import Reply
from tests.contract.demo.conftest import Direct

DAY = 86_400
BARE = {
    "skipreportheader": "true",
    "skipcolumnheader": "true",
    "skipreportsummary": "true",
    "returnmoneyinmicros": "false",
}


def lines(reply: Reply) -> list[list[str]]:
    assert reply.status == 200, reply
    return [line.split("\t") for line in reply.body.decode().splitlines()]


def error(reply: Reply) -> tuple[int, int]:
    return reply.status, int(orjson.loads(reply.body)["error"]["error_code"])


def test_header_columns_and_summary_may_be_left_out(direct: Callable[..., Direct]) -> None:
    whole = direct().report().body.decode().splitlines()
    assert whole[0] == '"one (2026-11-01 - 2026-11-16)"'
    assert whole[1] == "Date\tCampaignId\tClicks\tCost"
    assert whole[-1] == f"Total rows: {len(whole) - 3}"
    bare = direct().report(headers={k: v for k, v in BARE.items() if k.startswith("skip")})
    assert bare.body.decode().splitlines() == whole[2:-1]


def test_money_comes_in_micros_or_decimals(direct: Callable[..., Direct]) -> None:
    micros = [
        row[3] for row in lines(direct().report(headers=BARE | {"returnmoneyinmicros": "true"}))
    ]
    decimals = [row[3] for row in lines(direct().report(headers=BARE))]
    assert [f"{int(cost) / 1e6:.2f}" for cost in micros] == decimals


def test_unknown_figures_are_two_dashes(direct: Callable[..., Direct]) -> None:
    reply = direct().report(
        headers=BARE, FieldNames=["Date", "CampaignId", "Cost", "Conversions"], Goals=["1", "2"]
    )
    assert {tuple(row[3:]) for row in lines(reply)} == {("--", "--")}


def test_offline_report_goes_201_202_200(direct: Callable[..., Direct]) -> None:
    client = direct(polls_until_ready=3, retry_in_seconds=7)
    replies = [client.report(headers={"processingmode": "offline"}) for _ in range(4)]
    assert [reply.status for reply in replies] == [201, 202, 202, 200]
    assert replies[0].headers["retryIn"] == "7"
    assert replies[0].headers["reportsInQueue"] == "1"
    assert replies[0].body == b""


def test_auto_mode_takes_long_periods_offline(direct: Callable[..., Direct]) -> None:
    client = direct(offline_above_days=10)
    assert client.report("2026-11-10", ReportName="short").status == 200
    assert client.report("2026-11-01", ReportName="long").status == 201


def test_sixth_report_in_the_queue_is_error_9000(direct: Callable[..., Direct]) -> None:
    client = direct(polls_until_ready=9)
    replies = [
        client.report(headers={"processingmode": "offline"}, ReportName=f"r{n}") for n in range(6)
    ]
    assert [reply.status for reply in replies[:5]] == [201] * 5
    assert error(replies[5]) == (400, 9000)


def test_a_name_belongs_to_one_definition(direct: Callable[..., Direct]) -> None:
    client = direct()
    offline = {"processingmode": "offline"}
    assert client.report(headers=offline).status == 201
    assert error(client.report("2026-11-02", headers=offline)) == (400, 4000)


def test_report_is_gzip_where_asked(direct: Callable[..., Direct]) -> None:
    plain = direct().report()
    packed = direct().report(headers={"accept-encoding": "gzip, deflate"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_rate_limit_is_error_506_or_56(firm: CompanyTables) -> None:
    for code in (506, 56):
        client = Direct(DirectServer(firm, DirectOptions(rate_error_code=code)))
        replies = [client.report() for _ in range(21)]
        assert all(reply.status == 200 for reply in replies[:20])
        assert error(replies[20]) == (400, code)


def test_500_and_502(direct: Callable[..., Direct]) -> None:
    client = direct(failures=1, too_long_above_days=10)
    assert client.report("2026-11-10").status == 500
    assert client.report("2026-11-10").status == 200
    assert client.report("2026-11-01").status == 502


def test_error_codes_come_as_text_or_numbers(direct: Callable[..., Direct]) -> None:
    for as_text, kind in ((True, str), (False, int)):
        body = orjson.loads(direct(error_code_as_text=as_text).report(Format="CSV").body)["error"]
        assert isinstance(body["error_code"], kind)
        assert isinstance(body["request_id"], kind)


def test_wrong_token(direct: Callable[..., Direct]) -> None:
    client = direct()
    client.headers["authorization"] = "Bearer wrong"
    assert error(client.report()) == (400, 53)
    # Get services tell errors with 200.
    assert error(client.post("campaigns", {"method": "get", "params": {"FieldNames": ["Id"]}})) == (
        200,
        53,
    )


def test_agency_token_needs_the_advertiser(direct: Callable[..., Direct]) -> None:
    client = direct(is_agency_token=True)
    assert error(client.report()) == (400, 8000)
    assert client.report(headers={"client-login": client.server.login}).status == 200
    assert error(client.report(headers={"client-login": "somebody"})) == (400, 54)


def campaigns(client: Direct, **page: int) -> dict[str, Any]:
    params: dict[str, Any] = {"SelectionCriteria": {}, "FieldNames": ["Id", "Name", "Currency"]}
    if page:
        params["Page"] = page
    result: dict[str, Any] = orjson.loads(
        client.post("campaigns", {"method": "get", "params": params}).body
    )["result"]
    return result


def test_campaigns_are_paged_by_limited_by(
    firm: CompanyTables, direct: Callable[..., Direct]
) -> None:
    client = direct()
    first = campaigns(client, Limit=5, Offset=0)
    assert (len(first["Campaigns"]), first["LimitedBy"]) == (5, 5)
    second = campaigns(client, Limit=5, Offset=first["LimitedBy"])
    assert "LimitedBy" not in second
    platforms = firm.ad_campaigns.column("platform").to_pylist()
    expected = platforms.count("yandex_direct")
    assert len(first["Campaigns"]) + len(second["Campaigns"]) == expected < len(platforms)


def test_units_are_told_and_run_out(direct: Callable[..., Direct]) -> None:
    client = direct(units_per_day=30)
    params = {"method": "get", "params": {"FieldNames": ["Id"]}}
    assert client.post("campaigns", params).headers["Units"].endswith("/30")
    client.post("campaigns", params)
    assert error(client.post("campaigns", params)) == (200, 152)


def test_vat_depends_on_the_day(firm: CompanyTables, direct: Callable[..., Direct]) -> None:
    tables = CompanyTables.build(
        now=firm.now,
        ad_campaigns=[{"campaign_id": 5, "name": "C"}],
        ad_spend=[
            {
                "campaign_id": 5,
                "spend_date": dt.date(2025, 12, 31),
                "clicks": 1,
                "cost_micros": 100_000_000,
                "vat_rate_percent": 20,
            },
            {
                "campaign_id": 5,
                "spend_date": dt.date(2026, 1, 1),
                "clicks": 1,
                "cost_micros": 100_000_000,
                "vat_rate_percent": 22,
            },
        ],
    )
    got = lines(direct(tables).report("2025-12-31", "2026-01-01", headers=BARE, IncludeVAT="YES"))
    assert [row[3] for row in got] == ["120.00", "122.00"]


def test_recent_days_are_restated_and_settled_days_are_not(
    firm: CompanyTables, direct: Callable[..., Direct]
) -> None:
    client = direct(now=firm.now - DAY)
    before = {tuple(row[:2]): row[3] for row in lines(client.report(headers=BARE, ReportName="a"))}
    client.server.clock.set(firm.now)
    after = {tuple(row[:2]): row[3] for row in lines(client.report(headers=BARE, ReportName="b"))}
    changed = {
        day for (day, campaign), cost in after.items() if before.get((day, campaign)) != cost
    }
    assert {"2026-11-14", "2026-11-15", "2026-11-16"} <= changed
    assert len(changed) < 10


def test_border_date_names_the_first_day_that_changed(
    firm: CompanyTables, direct: Callable[..., Direct]
) -> None:
    ids = [
        row["campaign_id"]
        for row in firm.ad_campaigns.to_pylist()
        if row["platform"] == "yandex_direct"
    ]
    client = direct()
    since = dt.datetime.fromtimestamp(firm.now - DAY, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "method": "check",
        "params": {"CampaignIds": ids, "Timestamp": since, "FieldNames": ["CampaignsStat"]},
    }
    result = orjson.loads(client.post("changes", body).body)["result"]
    assert result["Timestamp"] == "2026-11-16T06:00:00Z"
    borders = {row["CampaignId"]: row["BorderDate"] for row in result["Modified"]["CampaignsStat"]}
    assert set(borders) == set(ids)
    # The busiest campaign has figures on every day; a small one may have had no views lately.
    assert borders[70120031] <= "2026-11-13"


def test_rows_may_vanish(direct: Callable[..., Direct]) -> None:
    day = dt.date(2026, 11, 1)
    told = 1_793_500_000
    tables = CompanyTables.build(
        now=told + 10 * DAY,
        ad_campaigns=[{"campaign_id": 5, "name": "C"}],
        ad_spend=[
            {
                "campaign_id": 5,
                "spend_date": day,
                "clicks": 2,
                "cost_micros": 1,
                "known_from_at": told,
                "known_to_at": told + 3 * DAY,
            }
        ],
    )
    client = direct(tables, now=told + DAY)
    assert len(lines(client.report(headers=BARE, ReportName="a"))) == 1
    client.server.clock.set(told + 4 * DAY)
    assert lines(client.report(headers=BARE, ReportName="b")) == []


def test_dates_before_three_years_are_refused(direct: Callable[..., Direct]) -> None:
    assert error(direct().report("2023-10-31"))[0] == 400
    assert direct().report("2023-11-01").status == 200
