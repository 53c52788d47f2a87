"""Days, ids and lists of VK Ads: what is asked, what lands, what is never lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from ingest.demo.http import Call, Reply
from ingest.errors import SourceContractError
from tests.contract.vk_ads.conftest import Query, Refresh
from tests.contract.vk_ads.server import Desk, error, spend

DAY_PATH = "/statistics/ad_plans/day.json"
CURRENT = """
    select report_date, ad_plan_id, spent, clicks, includes_vat, currency
    from raw_vk_ads.ad_plan_daily_statistics
    qualify row_number() over (
        partition by source_account_id, record_id order by pull_id desc
    ) = 1 and not is_deleted
    order by 1, 2
"""


def spans(desk: Desk) -> list[tuple[str, str]]:
    asked = {(item["date_from"], item["date_to"]) for item in desk.asked(DAY_PATH)}
    return sorted(asked)


def test_first_load_reads_all_days_once_and_keeps_vat_and_currency(
    desk: Desk, environment: dict[str, str], whole_refresh: Refresh, query: Query
) -> None:
    environment["VORONKA_VK_ADS_START_DATE"] = "2026-09-05"
    desk.show(spend(111, "2026-09-05", "123.45", clicks=7), spend(112, "2026-11-20", "0.10"))
    whole_refresh()
    assert query(CURRENT) == [
        ("2026-09-05", "111", "123.45", "7", "false", "RUB"),
        ("2026-11-20", "112", "0.10", "1", "false", "RUB"),
    ]
    assert spans(desk) == [
        ("2026-09-05", "2026-10-05"),
        ("2026-10-06", "2026-11-05"),
        ("2026-11-06", "2026-11-20"),
    ]
    assert query("select record_id, cursor_at::varchar from raw_vk_ads.ad_plans order by 1") == [
        ("111", "2026-11-01 07:00:00"),
        ("112", "2026-11-01 07:00:00"),
    ]
    asked = desk.asked(DAY_PATH)[0]
    assert (asked["metrics"], asked["attribution"]) == ("base", "conversion")
    assert query("select count(*) from raw_vk_ads.ad_groups") == [(4,)]
    assert query("select count(*) from raw_vk_ads.banners") == [(8,)]


def test_history_goes_back_366_days_and_no_request_is_longer(
    desk: Desk, environment: dict[str, str], refresh: Refresh
) -> None:
    environment["VORONKA_VK_ADS_START_DATE"] = "2020-01-01"
    refresh()
    assert spans(desk)[0][0] == "2025-11-20"
    assert spans(desk)[-1][1] == "2026-11-20"


def test_a_day_begins_at_midnight_in_moscow(desk: Desk, refresh: Refresh) -> None:
    desk.set_now("2026-11-20T22:30:00+00:00")
    refresh()
    assert spans(desk)[-1][1] == "2026-11-21"


def test_second_run_reads_only_unsettled_days_and_stores_nothing_new(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "5.00"))
    refresh()
    desk.calls.clear()
    desk.set_now("2026-11-20T14:00:00+03:00")
    summary = refresh()
    assert spans(desk) == [("2026-11-13", "2026-11-20")]
    assert summary.rows_stored == 0
    assert len(query("select 1 from raw_vk_ads.ad_plan_daily_statistics")) == 1


def test_run_after_a_pause_reads_the_days_that_were_unsettled_then(
    desk: Desk, refresh: Refresh
) -> None:
    refresh()
    desk.calls.clear()
    desk.set_now("2026-11-30T12:00:00+03:00")
    refresh()
    assert spans(desk) == [("2026-11-13", "2026-11-30")]


def test_restated_cost_replaces_the_old_one_and_the_old_one_stays_stored(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    later = "2026-11-20T13:00:00+03:00"
    desk.show(
        spend(111, "2026-11-14", "5.00", until=later),
        spend(111, "2026-11-14", "4.20", known_from=later),
    )
    refresh()
    assert [row[2] for row in query(CURRENT)] == ["5.00"]
    desk.set_now(later)
    refresh()
    assert [row[2] for row in query(CURRENT)] == ["4.20"]
    assert len(query("select 1 from raw_vk_ads.ad_plan_daily_statistics")) == 2


def test_a_day_that_vanished_becomes_a_tombstone_only_inside_the_days_read(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    later = "2026-11-20T13:00:00+03:00"
    desk.show(
        spend(111, "2026-10-26", "7.00", until=later), spend(111, "2026-11-19", "5.00", until=later)
    )
    refresh()
    desk.set_now(later)
    refresh()
    assert [row[0] for row in query(CURRENT)] == ["2026-10-26"]


def test_days_of_zeros_and_missing_days_are_both_read(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "5.00"), plans=1)
    desk.change(zero_filled_days=True)
    refresh()
    assert [row for row in query(CURRENT) if row[2] != "0"] == [
        ("2026-11-19", "111", "5.00", "1", "false", "RUB")
    ]
    assert len(query(CURRENT)) == 27
    desk.change(zero_filled_days=False)
    refresh()
    assert [row[0] for row in query(CURRENT) if row[0] >= "2026-11-13"] == ["2026-11-19"]


def test_the_setting_says_whether_vat_is_inside(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "100"))
    desk.change(includes_vat=True)
    environment["VORONKA_VK_ADS_INCLUDES_VAT"] = "true"
    refresh()
    assert [row[2:5:2] for row in query(CURRENT)] == [("122.00", "true")]


def test_a_flag_that_is_corrected_reaches_all_days_that_vk_still_tells(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-10-26", "100"), spend(111, "2026-11-19", "5"))
    refresh()
    for value in ("true", "false", "true"):
        environment["VORONKA_VK_ADS_INCLUDES_VAT"] = value
        refresh()
        assert [row[4] for row in query(CURRENT)] == [value, value]
    environment["VORONKA_VK_ADS_CURRENCY_CODE"] = "KZT"
    refresh()
    assert [row[4:] for row in query(CURRENT)] == [("true", "KZT")] * 2
    desk.calls.clear()
    assert refresh().rows_stored == 0
    assert spans(desk) == [("2026-11-13", "2026-11-20")]


def test_a_corrected_flag_reaches_a_refused_plan_when_it_is_known(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-10-26", "1.00"), spend(112, "2026-10-26", "2.00"))
    refresh()
    desk.change(poisoned_ids=(112,))
    environment["VORONKA_VK_ADS_INCLUDES_VAT"] = "true"
    assert "112" in refresh().warnings[0]
    assert [row[1:5:3] for row in query(CURRENT)] == [("111", "true"), ("112", "false")]
    desk.change(poisoned_ids=())
    assert refresh().warnings == ()
    assert [row[1:5:3] for row in query(CURRENT)] == [("111", "true"), ("112", "true")]


def test_an_advertiser_that_is_named_later_goes_on_under_its_first_name(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-10", "100"))
    refresh()
    environment["VORONKA_VK_ADS_ACCOUNT_NAME"] = "roga-kopyta"
    desk.show(spend(111, "2026-11-10", "100"), spend(112, "2026-11-19", "5"))
    (warning,) = refresh().warnings
    assert "stored as main and keeps that name" in warning
    assert [row[:3] for row in query(CURRENT)] == [
        ("2026-11-10", "111", "100.00"),
        ("2026-11-19", "112", "5.00"),
    ]
    assert query("select distinct source_account_id from raw_vk_ads._pulls") == [("main",)]


def test_at_most_200_ids_stand_in_a_request_and_lists_are_read_by_count(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(
        spend(1111, "2026-11-19", "1.00"),
        spend(1310, "2026-11-19", "2.00"),
        spend(1315, "2026-11-19", "3.00"),
        plans=range(1111, 1316),
    )
    refresh()
    assert {len(item["id"].split(",")) for item in desk.asked(DAY_PATH)} == {200, 5}
    assert [row[2] for row in query(CURRENT)] == ["1.00", "2.00", "3.00"]
    offsets = [item["offset"] for item in desk.asked("/ad_plans.json") if item["limit"] == "50"]
    assert offsets == [str(50 * page) for page in range(5)] * 2  # read until nothing new comes
    assert query("select count(*) from raw_vk_ads.banners") == [(820,)]


def test_a_limit_that_the_server_cuts_skips_no_row(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    environment["VORONKA_VK_ADS_PAGE_SIZE"] = "250"
    desk.show(plans=107)
    refresh()
    assert query("select count(*) from raw_vk_ads.ad_plans") == [(107,)]


def test_fields_and_deleted_ones_are_asked_for(desk: Desk, refresh: Refresh, query: Query) -> None:
    desk.change(deleted_after_days=20)
    desk.show(spend(111, "2026-10-26", "5.00"), spend(112, "2026-11-19", "1.00"))
    refresh()
    statuses = query(
        "select payload ->> '$.status', payload ->> '$.name' from raw_vk_ads.ad_plans order by 1"
    )
    assert statuses == [("active", "Кампания 112"), ("deleted", "Кампания 111")]
    # What a deleted plan cost stays.
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]


def test_groups_and_banners_are_read_by_change_and_plans_in_full(
    desk: Desk, refresh: Refresh
) -> None:
    refresh()
    assert not any("gte" in name for name in desk.asked("/ad_groups.json")[0])
    desk.calls.clear()
    desk.set_now("2026-11-21T12:00:00+03:00")
    refresh()
    # An hour before the last reading, in Moscow time.
    assert desk.asked("/ad_groups.json")[0]["_last_updated__gte"] == "2026-11-20 11:00:00"
    assert desk.asked("/banners.json")[0]["_updated__gte"] == "2026-11-20 11:00:00"
    assert not any("gte" in name for item in desk.asked("/ad_plans.json") for name in item)
    desk.calls.clear()
    desk.set_now("2026-11-28T12:00:00+03:00")
    refresh()
    assert not any("gte" in name for name in desk.asked("/ad_groups.json")[0])


def test_a_banner_that_is_gone_is_seen_at_the_next_full_reading(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(plans=2)
    refresh()
    desk.show(plans=1)
    desk.set_now("2026-11-29T12:00:00+03:00")
    refresh()
    assert query("select count(*) from raw_vk_ads.banners where is_deleted") == [(4,)]


def test_one_poisoned_id_hides_no_other(desk: Desk, refresh: Refresh, query: Query) -> None:
    desk.show(
        *(spend(number, "2026-11-19", "1.00") for number in range(111, 127)), plans=range(111, 127)
    )
    desk.change(poisoned_ids=(117,))
    summary = refresh()
    assert [row[1] for row in query(CURRENT)] == [str(n) for n in range(111, 127) if n != 117]
    assert "tells nothing of 1 ad plans (117)" in summary.warnings[0]


def test_days_of_a_plan_that_was_refused_come_when_it_is_known(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-10-26", "1.00"), spend(112, "2026-10-26", "2.00"))
    desk.change(poisoned_ids=(112,), wrong_ids_status=404)
    refresh()
    refresh()
    assert [row[1] for row in query(CURRENT)] == ["111"]
    desk.change(poisoned_ids=())
    assert refresh().warnings == ()
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]
    desk.calls.clear()
    refresh()
    assert spans(desk) == [("2026-11-13", "2026-11-20")]


def test_a_plan_refused_for_a_moment_is_read_in_the_same_run(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-10-26", "1.00"), spend(112, "2026-11-10", "2.00"))
    desk.change(poisoned_ids=(112,))

    def heal(call: Call, real: Reply) -> Reply:
        is_alone = call.query.startswith("id=112&date_from=2026-11-20")
        if is_alone and desk.options.poisoned_ids:
            desk.change(poisoned_ids=())
            return error(404, "ERR_WRONG_IDS")
        return real

    desk.disturb(DAY_PATH, heal, times=100)
    assert refresh().warnings == ()
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]


def test_a_refused_plan_keeps_the_days_that_are_stored(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "1.00"), spend(112, "2026-11-19", "2.00"))
    refresh()
    desk.change(poisoned_ids=(112,))
    refresh()
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]


def test_a_plan_that_left_the_list_is_still_asked_about(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    rows = [spend(111, "2026-11-19", "1.00"), spend(112, "2026-11-19", "2.00")]
    desk.show(*rows, plans=2)
    refresh()
    desk.show(*rows, plans=1)
    refresh()
    assert "112" in desk.asked(DAY_PATH)[-1]["id"]
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]
    assert query("select record_id from raw_vk_ads.ad_plans where is_deleted") == [("112",)]


def test_a_plan_that_an_earlier_list_lacked_brings_its_past(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    rows = [spend(111, "2026-10-26", "1.00"), spend(112, "2026-10-26", "2.00")]
    desk.show(*rows, plans=1)
    refresh()
    desk.show(*rows, plans=2)
    refresh()
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]
    desk.calls.clear()
    refresh()
    assert spans(desk) == [("2026-11-13", "2026-11-20")]


def test_too_much_asked_at_once_is_asked_in_halves(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(*(spend(number, "2026-11-19", "1.00") for number in range(111, 119)), plans=8)
    desk.change(ids_per_request=3)
    refresh()
    assert len(query(CURRENT)) == 8


def test_too_many_days_for_one_plan_are_asked_in_halves(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-01", "1.00"), spend(111, "2026-11-19", "1.00"), plans=1)

    def narrow(call: Call, real: Reply) -> Reply:
        rows = orjson.loads(real.body)["items"][0]["rows"]
        return error(400, "ERR_LIMIT_EXCEEDED") if len(rows) > 5 else real

    desk.change(zero_filled_days=True)
    desk.disturb(DAY_PATH, narrow, times=500)
    refresh()
    assert [row[0] for row in query(CURRENT) if row[2] != "0"] == ["2026-11-01", "2026-11-19"]


def test_numbers_as_text_and_text_as_numbers_are_the_same(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "5.25"), plans=1)
    refresh()

    def flip(call: Call, real: Reply) -> Reply:
        body = orjson.loads(real.body)
        for item in body["items"]:
            item["id"] = str(item["id"])
            for row in item["rows"]:
                row["base"] = {
                    "unknown": [],
                    **{
                        name: float(value) if name == "spent" else str(value)
                        for name, value in reversed(row["base"].items())
                    },
                }
        return replace(real, body=orjson.dumps(body))

    desk.disturb(DAY_PATH, flip, times=100)
    assert refresh().resources["ad_plan_daily_statistics"].rows_stored == 0


def lose_rows(call: Call, real: Reply) -> Reply:
    body = orjson.loads(real.body)
    body["items"] = body["items"][1:]
    return replace(real, body=orjson.dumps(body))


def test_a_plan_lost_from_one_answer_is_asked_again(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(spend(111, "2026-11-19", "1.00"), spend(112, "2026-11-19", "2.00"))
    refresh()
    desk.disturb(DAY_PATH, lose_rows)
    refresh()
    assert [row[1] for row in query(CURRENT)] == ["111", "112"]


def test_a_list_that_moved_while_it_was_read_is_read_again(
    desk: Desk, refresh: Refresh, query: Query
) -> None:
    desk.show(plans=30)

    def shift(call: Call, real: Reply) -> Reply:
        body = orjson.loads(real.body)
        return replace(real, body=orjson.dumps({**body, "items": body["items"][1:]}))

    desk.disturb("/ad_groups.json", shift)
    refresh()
    assert query("select count(*) from raw_vk_ads.ad_groups") == [(60,)]


def test_a_page_sent_twice_doubles_nothing(desk: Desk, refresh: Refresh, query: Query) -> None:
    desk.show(plans=30)
    pages: list[Reply] = []

    def again(call: Call, real: Reply) -> Reply:
        pages.append(real)
        return replace(pages[-2], headers=real.headers) if len(pages) == 2 else real

    desk.disturb("/banners.json", again, times=3)
    refresh()
    assert query("select count(*), count(distinct record_id) from raw_vk_ads.banners") == [
        (120, 120)
    ]


def test_a_list_that_never_stands_still_stops_the_load(desk: Desk, refresh: Refresh) -> None:
    count = iter(range(1000, 2000))

    def grow(call: Call, real: Reply) -> Reply:
        return replace(real, body=orjson.dumps({**orjson.loads(real.body), "count": next(count)}))

    desk.disturb("/ad_plans.json", grow, times=500)
    with pytest.raises(SourceContractError, match="changes while it is read"):
        refresh()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"items": [{"id": 999, "rows": []}]}, "other ad plans"),
        ({"items": [{"id": 111, "rows": []}, {"id": 111, "rows": []}]}, "twice"),
        ({"items": [{"id": 111, "rows": [{"date": "2020-01-01", "base": {}}]}]}, "outside"),
        ({"items": [{"id": 111, "rows": [{"date": "2026-11-19", "base": []}]}]}, "base metrics"),
        ({"items": {}}, "no items"),
    ],
)
def test_statistics_that_cannot_be_stop_the_load(
    desk: Desk,
    refresh: Refresh,
    query: Query,
    change: dict[str, Any],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.http._FIRST_PAUSE_SECONDS", 0.0)
    desk.disturb(DAY_PATH, lambda _, real: replace(real, body=orjson.dumps(change)), times=500)
    with pytest.raises(SourceContractError, match=told):
        refresh()
    assert query(CURRENT) == []


def test_a_first_load_that_was_broken_off_goes_on_where_it_stopped(
    desk: Desk, environment: dict[str, str], refresh: Refresh, query: Query
) -> None:
    environment["VORONKA_VK_ADS_START_DATE"] = "2026-09-05"
    desk.show(spend(111, "2026-09-10", "1.00"), spend(111, "2026-11-15", "2.00"))

    def broken(call: Call, real: Reply) -> Reply:
        oldest = "date_from=2026-09-05" in call.query
        return error(400, "ERR_WRONG_PARAMETER") if oldest else real

    desk.disturb(DAY_PATH, broken, times=100)
    with pytest.raises(SourceContractError):
        refresh()
    desk.faults.clear()
    desk.calls.clear()
    refresh()
    assert ("2026-09-05", "2026-10-05") in spans(desk)
    assert [row[2] for row in query(CURRENT)] == ["1.00", "2.00"]
