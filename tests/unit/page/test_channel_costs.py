"""What a lead and a sale of a channel cost, where its accounts do not tell of every month."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.unit.page.marts import first_stage_alone
from tests.unit.page.test_speed import rows


def test_a_month_without_told_cost_makes_no_sale_cheaper(tmp_path: Path) -> None:
    path = tmp_path / "costs_serve.duckdb"
    with first_stage_alone(path) as connection:
        # In September nobody told what the same advertising cost.
        for month, spend in (("2026-09-01", None), ("2026-10-01", 8_000)):
            connection.execute(
                "insert into marts.rpt_channel_economics_monthly (month_date, attribution_model, "
                "channel, spend_amount, lead_count, won_weight, won_amount, won_net_amount) "
                "values (?, 'last_non_direct', 'vk_ads', ?, 10, 2, 20000, 20000)",
                [month, spend],
            )
    (told,) = rows(path, "table", "channels")
    assert (told["lead_count"], told["won_weight"], told["won_amount"]) == (20, 4, 40_000)
    assert told["cost_per_lead_amount"] == Decimal(800)
    assert told["cost_per_won_amount"] == Decimal(4_000)
    assert told["return_ratio"] == Decimal("2.5")
