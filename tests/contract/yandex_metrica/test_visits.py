"""What lands of visits: closed days, replaced by day, text as it was, without personal data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import AuthenticationError, ConfigurationError, SourceContractError
from ingest.privacy import Privacy
from tests.contract.yandex_metrica.conftest import (
    Query,
    Refresh,
    query_home,
    refresh_home,
    settings_of,
)
from tests.contract.yandex_metrica.metrica import Metrica, once, visit
from tests.contract.yandex_metrica.replies import REFUSED

CURRENT = """
    select record_id, page_views
    from raw_yandex_metrica.visits
    qualify row_number() over (
        partition by source_account_id, record_id order by pull_id desc
    ) = 1 and not is_deleted
    order by 1
"""
TABLE = "raw_yandex_metrica.visits"
ODD_URL = "https://shop.example/a\tb\nc\\d'e\"f?q=кот"
LARGEST = "18446744073709551615"


class Landed:
    """One home after one load of two counters with everything odd in them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        visits = [
            visit(10, "2025-12-31T10:00:00"),
            visit(10, "2026-01-01T10:00:00"),
            visit(11, "2026-11-19T23:59:59"),
            visit(12, "2026-11-20T00:00:01"),
            visit(LARGEST, "2026-11-01T10:00:00", client_id="18446744073709551614",
                  start_url=ODD_URL, goals="[1,22]", utm_content="\\N", is_bounce=True),
            visit(20, "2026-11-02T10:00:00", traffic_source="ad", adv_engine="ya_direct",
                  utm_source="yandex", utm_campaign="700", campaign_id=700),
            visit(21, "2026-11-03T10:00:00", traffic_source="direct"),
            visit(30, "2026-11-04T10:00:00",
                  start_url="https://shop.example/?yclid=1234567890123456789"
                  "&tel=%2B7%20(916)%20123-45-67",
                  end_url="https://shop.example/?mail=ivan.petrov%40mail.example"
                  "&utm_term=79161234567",
                  referer="https://crm.example/card/89161234567",
                  utm_content="ivan.petrov@mail.example"),
        ]  # fmt: skip
        with Metrica(visits, rows_per_part=3) as metrica:
            metrica.serve(
                [visit(11, "2026-11-18T23:30:00", goals="[5]")],
                counter_id=55,
                time_zone="Asia/Omsk",
                arrays_are_escaped=False,
            )
            refresh_home(metrica, home, start_date="2025-12-01", days_per_request="365")
            self.privacy = Privacy(settings_of(metrica, home))
            self.calls = metrica.calls
            self.ordered = metrica.ordered()
            self.statuses = {log["status"] for s in metrica.counters.values() for log in s.requests}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return query_home(self.home, sql)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    yield Landed(tmp_path_factory.mktemp("metrica"))


def test_closed_days_land_and_today_is_not_asked_for(landed: Landed) -> None:
    assert landed.ordered == [("2025-12-01", "2026-11-19")] * 2
    found = {row[0] for row in landed.rows(f"select record_id from {TABLE}")}
    assert "2026-11-19|11" in found
    assert "2026-11-20|12" not in found


def test_a_number_repeated_in_another_year_is_another_visit(landed: Landed) -> None:
    assert landed.rows(f"select record_id from {TABLE} where visit_id = '10' order by 1") == [
        ("2025-12-31|10",),
        ("2026-01-01|10",),
    ]


def test_large_numbers_and_signs_of_the_format_land_as_they_are(landed: Landed) -> None:
    assert landed.rows(
        "select client_id, start_url, goals_id, goals_date_time, last_utm_content, bounce, "
        f"is_new_user, date_time, date_time_utc from {TABLE} where visit_id = '{LARGEST}'"
    ) == [
        (
            "18446744073709551614",
            ODD_URL,
            "[1,22]",
            "['2026-11-01 10:00:00','2026-11-01 10:00:00']",
            "\\N",
            "1",
            "1",
            "2026-11-01 10:00:00",
            "2026-11-01 10:00:00",
        )
    ]


def test_arrays_with_plain_quotes_are_read_alike(landed: Landed) -> None:
    assert landed.rows(f"select goals_date_time from {TABLE} where source_account_id = '55'") == [
        ("['2026-11-19 02:30:00']",)
    ]


def test_a_direct_return_keeps_its_own_source(landed: Landed) -> None:
    assert landed.rows(
        "select visit_id, last_traffic_source, last_utm_campaign, last_direct_click_order "
        f"from {TABLE} where visit_id in ('20', '21') order by 1"
    ) == [("20", "ad", "700", "700"), ("21", "direct", "", "0")]


def test_personal_data_leaves_addresses_of_pages_and_clicks_stay(landed: Landed) -> None:
    phone = landed.privacy.hash_phone("89161234567")
    email = landed.privacy.hash_email("ivan.petrov@mail.example")
    assert landed.rows(
        f"select start_url, end_url, referer, last_utm_content from {TABLE} where visit_id = '30'"
    ) == [
        (
            f"https://shop.example/?yclid=1234567890123456789&tel={phone}",
            # A bare number in a tag is an id: advertising systems put them there.
            f"https://shop.example/?mail={email}&utm_term=79161234567",
            f"https://crm.example/card/{phone}",
            email,
        )
    ]


def test_counters_land_without_their_owner(landed: Landed) -> None:
    assert landed.rows(
        "select record_id, payload->>'time_zone_name', payload->>'owner_login' "
        "from raw_yandex_metrica.counters order by 1"
    ) == [("44147844", "Europe/Moscow", None), ("55", "Asia/Omsk", None)]


def test_counters_of_one_token_are_accounts_with_days_of_their_own(landed: Landed) -> None:
    assert landed.rows(f"select record_id from {TABLE} where source_account_id = '55'") == [
        ("2026-11-19|11",)
    ]
    assert landed.rows(
        "select source_account_id, window_start_at::text, window_end_at::text, row_count "
        "from raw_yandex_metrica._pulls where resource = 'visits' order by 1"
    ) == [
        ("44147844", "2025-11-30 21:00:00", "2026-11-19 21:00:00", 7),
        ("55", "2025-11-30 18:00:00", "2026-11-19 18:00:00", 1),
    ]


def test_all_parts_are_read_and_all_logs_are_cleaned(landed: Landed) -> None:
    parts = [path for _, path, _ in landed.calls if path.endswith("/download")]
    assert len(parts) == 3 + 1
    assert landed.statuses == {"cleaned_by_user"}


def test_closed_days_are_read_again_and_bring_what_was_late(
    metrica: Metrica, refresh: Refresh, query: Query
) -> None:
    late = visit(2, "2026-11-19T20:00:00", known_from_at="2026-11-22T19:00:00+03:00")
    metrica.serve([visit(1, "2026-11-19T10:00:00"), late])
    refresh()
    assert metrica.ordered() == [("2026-11-01", "2026-11-19"), ("2026-10-01", "2026-10-31")]
    metrica.calls.clear()
    assert refresh().rows_stored == 0
    assert metrica.ordered() == [("2026-11-17", "2026-11-19")]
    metrica.calls.clear()
    metrica.go_on(days=3)
    assert refresh().rows_stored == 1
    assert metrica.ordered() == [("2026-11-17", "2026-11-22")]
    assert [row[0] for row in query(CURRENT)] == ["2026-11-19|1", "2026-11-19|2"]


def test_a_day_that_is_read_again_is_replaced_and_others_stay(
    metrica: Metrica, refresh: Refresh, query: Query
) -> None:
    old = visit(1, "2026-10-05T10:00:00")
    metrica.serve(
        [old, visit(2, "2026-11-18T10:00:00", page_views=1), visit(3, "2026-11-18T11:00:00")]
    )
    refresh()
    metrica.serve([visit(2, "2026-11-18T10:00:00", page_views=7)])
    refresh()
    assert query(CURRENT) == [("2026-10-05|1", "2"), ("2026-11-18|2", "7")]
    gone = "select record_id, date, visit_id, client_id from raw_yandex_metrica.visits"
    assert query(f"{gone} where is_deleted") == [("2026-11-18|3", "2026-11-18", "3", None)]


def test_history_begins_no_earlier_than_the_counter_and_ends_with_its_yesterday(
    metrica: Metrica, refresh: Refresh
) -> None:
    # 13:00 UTC of the 20th is one o'clock in the night of the 21st in Kamchatka.
    metrica.serve(
        [],
        now="2026-11-20T13:00:00+00:00",
        time_zone="Asia/Kamchatka",
        created_at="2026-11-07T10:00:00+03:00",
    )
    refresh(start_date="2020-01-01")
    assert metrica.ordered() == [("2026-11-07", "2026-11-20")]


def test_a_load_that_was_broken_off_is_cleaned_and_goes_on_where_it_stopped(
    metrica: Metrica, refresh: Refresh, query: Query
) -> None:
    metrica.serve([visit(1, "2026-10-10T10:00:00"), visit(2, "2026-11-10T10:00:00")])
    metrica.faults.append(once("/logrequest/7350002/part/0/download", REFUSED))
    with pytest.raises(SourceContractError, match="Something is wrong"):
        refresh()
    assert [row[0] for row in query(CURRENT)] == ["2026-11-10|2"]
    assert metrica.statuses() == ["cleaned_by_user"] * 2
    metrica.calls.clear()
    refresh()
    assert metrica.ordered() == [("2026-11-17", "2026-11-19"), ("2026-10-01", "2026-10-31")]
    assert [row[0] for row in query(CURRENT)] == ["2026-10-10|1", "2026-11-10|2"]


def test_personal_data_stays_where_the_owner_says_so(
    metrica: Metrica, refresh: Refresh, query: Query, tmp_path: Path
) -> None:
    (tmp_path / "voronka.toml").write_text('personal_data = "keep"\n', encoding="utf-8")
    url = "https://shop.example/?tel=89161234567"
    metrica.serve([visit(1, "2026-11-18T10:00:00", start_url=url)])
    refresh(start_date="2026-11-10")
    assert query("select start_url from raw_yandex_metrica.visits") == [(url,)]


def test_personal_data_that_was_kept_leaves_all_days_once_it_must_not_be(
    metrica: Metrica, refresh: Refresh, query: Query, tmp_path: Path
) -> None:
    phone = "89161234567"
    days = ("2026-10-05", "2026-11-19")
    metrica.serve(
        [
            visit(number, f"{day}T10:00:00", start_url=f"https://shop.example/?tel={phone}")
            for number, day in enumerate(days, start=1)
        ]
    )
    settings = tmp_path / "voronka.toml"
    for value, shown in (("keep", 2), ("hash", 0), ("keep", 2), ("hash", 0)):
        settings.write_text(f'personal_data = "{value}"\n', encoding="utf-8")
        refresh()
        urls = [url for (url,) in query(CURRENT.replace("record_id, page_views", "start_url"))]
        assert len(urls) == 2
        assert sum(phone in url for url in urls) == shown
    metrica.calls.clear()
    assert refresh().rows_stored == 0
    assert metrica.ordered() == [("2026-11-17", "2026-11-19")]


def test_refused_credentials_say_what_to_do_and_load_nothing(
    metrica: Metrica, refresh: Refresh, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = metrica.token
    metrica.server.token = "another"
    monkeypatch.setattr(Metrica, "token", property(lambda _: given))
    with pytest.raises(AuthenticationError, match="metrika:read") as caught:
        refresh()
    assert given not in str(caught.value)
    assert query("select 1 from raw_yandex_metrica.counters") == []


def test_a_counter_must_be_named_and_be_ones_own(refresh: Refresh) -> None:
    with pytest.raises(ConfigurationError, match="counter_id"):
        refresh(counter_id="")
    with pytest.raises(AuthenticationError, match="counter 99 may not be read"):
        refresh(counter_id="99")
