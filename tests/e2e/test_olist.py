"""Eight thousand real leads through `files`, against a plain recount of the same tables."""

from __future__ import annotations

import csv
import shutil
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("olist")]
MAPPINGS = Path(__file__).resolve().parents[1] / "payloads" / "olist"

# Whole days as a person counts them: the clock of the account's zone, cut off, not rounded.
BY_ORIGIN = """
    select
        channel,
        count(*) as lead_count,
        count(*) filter (where outcome = 'won') as won_count,
        avg(floor(
            epoch(
                (closed_at at time zone 'UTC' at time zone 'America/Sao_Paulo')
                - (created_at at time zone 'UTC' at time zone 'America/Sao_Paulo')
            ) / 86400
        )) filter (where outcome = 'won') as mean_whole_days
    from marts.dim_deals
    group by channel
"""


def one_place(value: float | Decimal, places: str) -> Decimal:
    return Decimal(str(value)).quantize(Decimal(places), rounding=ROUND_HALF_UP)


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> dict[str, Product]:
    """Return the company loaded with and without the mapping that merges empty and unknown origins."""
    products = {}
    for mapping in ("merged", "apart"):
        root = tmp_path_factory.mktemp(mapping)
        folder = root / "tables"
        folder.mkdir()
        for name in (
            "olist_marketing_qualified_leads_dataset.csv",
            "olist_closed_deals_dataset.csv",
        ):
            shutil.copyfile(shared_data / "olist_funnel" / name, folder / name)
        shutil.copyfile(MAPPINGS / f"{mapping}.yaml", folder / "mapping.yaml")
        products[mapping] = Product(
            root / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": str(folder)}
        )
        products[mapping].run("refresh")
    return products


def test_conversion_won_and_days_by_origin_equal_the_plain_recount(
    olist: dict[str, Product], shared_data: Path
) -> None:
    rows: dict[str, tuple[Any, ...]] = {row[0]: row[1:] for row in olist["merged"].query(BY_ORIGIN)}
    with (shared_data / "olist_funnel" / "reference_peer_zorang99.csv").open() as reference:
        expected = list(csv.DictReader(reference))
    assert len(expected) == len(rows) == 10
    for row in expected:
        leads, won, days = rows[row["origin"]]
        assert leads == int(row["our_leads"]), row["origin"]
        assert won == int(row["our_closed"]), row["origin"]
        assert one_place(Decimal(won * 100) / Decimal(leads), "0.01") == Decimal(
            row["our_conversion_rate_pct"]
        )
        assert one_place(days, "0.1") == Decimal(row["our_avg_whole_days"])
    assert sum(won for _, won, _ in rows.values()) == 842


def test_without_the_value_mapping_null_and_unknown_stay_apart(olist: dict[str, Product]) -> None:
    rows = {row[0]: row[1] for row in olist["apart"].query(BY_ORIGIN)}
    assert rows["unattributed"] == 60
    assert rows["unknown"] == 1099
    assert sum(rows.values()) == 8000


def test_the_deal_won_before_its_lead_is_flagged_and_kept(olist: dict[str, Product]) -> None:
    flagged = olist["merged"].query(
        "select outcome from marts.dim_deals where is_closed_before_created"
    )
    assert flagged == [("won",)]
