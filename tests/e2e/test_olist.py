"""Eight thousand real leads through `files`, against a plain recount of the same tables."""

from __future__ import annotations

import csv
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.product import Product

pytestmark = pytest.mark.e2e
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
    where source_account_id = '{account}'
    group by channel
"""


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Product:
    """Return a company of two accounts: the leads with empty and unknown origins merged, and apart."""
    root = tmp_path_factory.mktemp("olist")
    tables = ("olist_marketing_qualified_leads_dataset.csv", "olist_closed_deals_dataset.csv")
    for account in ("merged", "apart"):
        folder = root / account
        folder.mkdir()
        for name in tables:
            shutil.copyfile(shared_data / "olist_funnel" / name, folder / name)
        mapping = (MAPPINGS / f"{account}.yaml").read_text(encoding="utf-8")
        named = mapping.replace("source_account_id: olist", f"source_account_id: {account}")
        (folder / "mapping.yaml").write_text(named, encoding="utf-8")
    folders = f"{root / 'merged'}:{root / 'apart'}"
    product = Product(root / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": folders})
    product.run("refresh")
    return product


def by_origin(olist: Product, account: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in olist.query(BY_ORIGIN.format(account=account))}


def test_conversion_won_and_days_by_origin_equal_the_plain_recount(
    olist: Product, shared_data: Path
) -> None:
    rows = by_origin(olist, "merged")
    with (shared_data / "olist_funnel" / "reference_peer_zorang99.csv").open() as reference:
        expected = list(csv.DictReader(reference))
    assert len(expected) == len(rows) == 10
    for row in expected:
        leads, won, days = rows[row["origin"]]
        assert leads == int(row["our_leads"]), row["origin"]
        assert won == int(row["our_closed"]), row["origin"]
        ratio = Decimal(won * 100) / Decimal(leads)
        assert round(ratio, 2) == Decimal(row["our_conversion_rate_pct"]), row["origin"]
        # The reference prints one place, half to even (15.25 as 15.2).
        assert round(Decimal(str(days)), 1) == Decimal(row["our_avg_whole_days"]), row["origin"]
    assert sum(won for _, won, _ in rows.values()) == 842


def test_without_the_value_mapping_null_and_unknown_stay_apart(olist: Product) -> None:
    rows = by_origin(olist, "apart")
    assert rows["unattributed"][0] == 60
    assert rows["unknown"][0] == 1099
    assert sum(count for count, _, _ in rows.values()) == 8000


def test_the_deal_won_before_its_lead_is_flagged_and_kept(olist: Product) -> None:
    flagged = olist.query("""
        select outcome from marts.dim_deals
        where is_closed_before_created and source_account_id = 'merged'
    """)
    assert flagged == [("won",)]
