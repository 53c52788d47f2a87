"""Times and options of VK Ads without a server."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from ingest.sources.vk_ads import RAW_TABLES, _by_number, _Plan
from ingest.sources.vk_ads.client import from_moscow_text, moscow_text
from ingest.sources.vk_ads.settings import LIST_FIELDS, VkAdsSettings
from ingest.windows import Window


def test_times_are_of_moscow() -> None:
    assert moscow_text(dt.datetime.fromisoformat("2026-11-20T21:30:00")) == "2026-11-21 00:30:00"
    assert from_moscow_text("2026-11-21 00:30:00") == 1795210200.0
    assert from_moscow_text("2026-11-21T00:30:00+00:00") == 1795210200.0 + 3 * 3600
    assert from_moscow_text(None) is from_moscow_text("soon") is None


def test_vat_is_off_and_explicit() -> None:
    assert VkAdsSettings().includes_vat is False
    for wrong in ({"includes_vat": "maybe"}, {"currency_code": "rubles"}, {"url": "ads.vk.com"}):
        with pytest.raises(ValidationError):
            VkAdsSettings.model_validate(wrong)


def test_the_address_may_name_the_api_and_the_advertiser_a_number() -> None:
    options = VkAdsSettings.model_validate(
        {"url": "https://ads.vk.ru/api/v2/", "agency_client_id": 17}
    )
    assert options.url == "https://ads.vk.ru"
    assert options.agency_client_id == "17"


def test_fields_that_vk_refuses_are_not_asked_for() -> None:
    assert "ad_groups" not in LIST_FIELDS["ad_plans"].split(",")
    assert "banners" not in LIST_FIELDS["ad_groups"].split(",")


def test_raw_tables_are_the_lists_and_the_days() -> None:
    assert list(RAW_TABLES) == ["ad_plans", "ad_groups", "banners", "ad_plan_daily_statistics"]


def test_what_is_owed_is_noted_until_all_days_are_read() -> None:
    window = Window(dt.datetime(2026, 11, 16, 21), dt.datetime(2026, 11, 20, 21))  # noqa: DTZ001
    plan = _Plan(
        windows=[window],
        ids=["7", "10", "9"],
        refused={"10"},
        refused_before=frozenset(),
        owed={"9"},
        noted="",
    )
    assert plan.asked({"8"}) == ["7", "8", "9"]
    assert plan.passed_over == "9 10"
    plan.note_done(window, {"7"})
    assert plan.left == []
    plan.is_finished = True
    assert plan.passed_over == "7 10"
    assert sorted(["10", "9"], key=_by_number) == ["9", "10"]
