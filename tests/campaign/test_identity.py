"""A merge that the company takes back, and takes back that."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.config import SourceRef, load_settings
from ingest.demo.scale import write_raw
from ingest.loading import load_source
from tests.e2e.test_identity import (
    CALL_DEAL,
    CARD,
    COMPANY,
    DESKTOP,
    FORM_DEAL,
    HER,
    MOBILE,
    MODELS,
    SECOND_CARD,
    Built,
)
from tests.product import Product

pytestmark = pytest.mark.campaign


def rebuilt(built: Built) -> dict[str, list[tuple[object, ...]]]:
    """Read the company's tables, build, and return what the marts say of her and of all."""
    settings = load_settings({"VORONKA_HOME": str(built.product.home)})
    load_source(SourceRef("company"), settings)
    built.build(*MODELS)
    return {
        "customers": built.query(
            "select deal_id, customer_key from serve.marts.dim_deals "
            f"where deal_id in ('{FORM_DEAL}', '{CALL_DEAL}') order by 1"
        ),
        "identities": built.query(
            "select identity_id from serve.marts.dim_identities "
            f"where customer_key = ({HER}) order by 1"
        ),
        "undone": built.query(
            "select identifier_kind, joined_customer_key "
            "from warehouse.intermediate.int_identity_merges_logged where is_undone"
        ),
        **{
            table: built.query(
                f"select count(*), sum(hash(rows)::hugeint) from serve.marts.{table} as rows"
            )
            for table in ("dim_identities", "dim_customers", "fct_touches", "dim_deals")
        },
    }


def test_a_merge_is_undone_by_a_row_and_holds_again_without_it(tmp_path: Path) -> None:
    write_raw(COMPANY, tmp_path / "home")
    built = Built(Product(tmp_path / "home"))
    merged = rebuilt(built)
    assert len({customer for _, customer in merged["customers"]}) == 1
    assert merged["undone"] == []

    exceptions = built.product.home / "company" / "identity_exceptions.csv"
    exceptions.write_text(
        f"source_system,source_account_id,person_id,identifier_kind\namocrm,,{SECOND_CARD},phone\n",
        encoding="utf-8",
    )
    apart = rebuilt(built)
    assert len({customer for _, customer in apart["customers"]}) == 2
    assert apart["identities"] == [(DESKTOP,), (MOBILE,), (str(CARD),)]
    ((kind, joined),) = apart["undone"]
    assert (kind, str(joined).rsplit(":", 1)[-1]) == ("phone", str(SECOND_CARD))
    # A customer more, and not a touch or deal less.
    for table, more in (("dim_customers", 1), ("fct_touches", 0), ("dim_deals", 0)):
        assert apart[table][0][0] == int(str(merged[table][0][0])) + more

    exceptions.unlink()
    assert rebuilt(built) == merged
