"""Who is said to spend and sell nothing: what the model says, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.unit.page.marts import first_stage_alone
from tests.unit.page.test_speed import rows, said

# Who spends (a campaign's name, or None for the channel itself), how much, what is known of sales.
Spender = tuple[str | None, int, str, int]
Company = Callable[[Sequence[Spender]], Path]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Return a maker of a published file with one channel."""

    def make(spenders: Sequence[Spender]) -> Path:
        path = tmp_path / "silent_serve.duckdb"
        with first_stage_alone(path) as connection:
            for campaign, spend, has_sales, unplaced in spenders:
                connection.execute(
                    "insert into marts.rpt_spend_without_sales (spender_key, spender, channel, "
                    "campaign_key, has_sales, since_date, spend_amount, click_count, lead_count, "
                    "unplaced_won_count) "
                    "values (?, ?, 'vk_ads', ?, ?, '2026-11-17', ?, 10, 4, ?)",
                    [
                        campaign or "channel",
                        "campaign" if campaign else "channel",
                        campaign, has_sales, spend, unplaced,
                    ],
                )  # fmt: skip
                if campaign:
                    connection.execute(
                        "insert into marts.dim_campaigns (campaign_key, campaign_name, channel) "
                        "values (?, ?, 'vk_ads')",
                        [campaign, campaign],
                    )
        return path

    return make


def silent(path: Path) -> list[str]:
    """Return the campaigns called silent, after checking that the sum of leaks is theirs."""
    campaigns = rows(path, "silent_campaigns", "channels")
    leaks = [row for row in rows(path, "standing", "leaks") if row["leak"] == "silent"]
    assert sum(row["amount"] for row in leaks) == sum(row["spend_amount"] for row in campaigns)
    return [str(row["campaign_name"]) for row in campaigns]


def test_only_who_is_known_to_sell_nothing_is_named(company: Company) -> None:
    path = company(
        [
            (None, 600, "yes", 0),
            ("Autumn", 300, "not_measurable", 0),
            ("Spring", 200, "yes", 0),
            ("Winter", 70_000, "no", 7),
            ("Summer", 30, "no", 7),
        ]
    )
    assert silent(path) == ["Winter", "Summer"]
    text = said(path)
    assert "« Winter »: с 17 ноября потрачено 70 000 , 4 заявки и ни одной продажи." in text
    assert "Ещё у 7 продаж источник неизвестен." in text


def test_a_channel_is_told_before_its_campaigns(company: Company) -> None:
    path = company([(None, 300, "no", 0), ("Autumn", 300, "no", 0)])
    (told,) = rows(path, "leak_channel", "owner")
    assert (told["campaign_name"], told["spend_amount"]) == (None, 300)
    assert "источник неизвестен" not in said(path)


def test_where_nothing_is_known_nobody_is_accused(company: Company) -> None:
    path = company([(None, 300, "not_measurable", 4), ("Autumn", 300, "not_measurable", 4)])
    assert silent(path) == []
    assert rows(path, "leak_channel", "owner") == []
    assert "Ни про один канал и ни про одну кампанию не известно" in said(path)
