"""Cards against the contracts of the marts, before anything is built; exposures against cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.lib.cards import read_dashboards
from orchestration.lib.cards.contracts import (
    check_contracts,
    contract_types,
    contract_types_in,
    exposed_tables,
)
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.exposures import EXPOSURES, exposure_findings, exposures_text
from tests.unit.metabase.files import DEALS, MODELS, both, card, column, file_of, manifest

CONTRACTS = contract_types_in(MODELS)
ALIASED = DEALS.replace("marts.dim_deals", "marts.dim_deals as deals")
COLUMNS = {"deal_name": column("Deal", link="deal_url"), "channel": column("Channel")}


def deals(sql: str = DEALS, binding: str = "dim_deals.channel", **more: Any) -> Any:
    return card("list", "table", sql, more.pop("columns", COLUMNS), filters={"channel": binding})


def findings(one: Any, kind: str = "category") -> list[str]:
    filters = {"channel": {"label": both("Channel"), "kind": kind}}
    return check_contracts([file_of([one], filters=filters)], CONTRACTS)


def test_shipped_dashboards_hold_against_the_contracts_alone() -> None:
    assert check_contracts(read_dashboards(DASHBOARDS_DIR), CONTRACTS) == []


def test_manifest_and_files_say_the_same_of_the_marts() -> None:
    assert contract_types(manifest()) == CONTRACTS


@pytest.mark.parametrize(
    ("one", "kind", "said"),
    [
        (deals(DEALS.replace("deal_name,", "deal_title as deal_name,")), "category", "deal_title"),
        (deals(DEALS.replace("dim_deals", "dim_deal")), "category", "dim_deal"),
        (deals(DEALS.replace("deal_url, ", "")), "category", 'gives no column "deal_url"'),
        (deals(columns={"channel": column("Channel", "money")}), "category",
         'column "channel" has format money and type VARCHAR'),
        (deals(binding="dim_deals.chanel"), "category", "no column marts.dim_deals.chanel"),
        (deals(binding="dim_deals.channel"), "date", "a filter of kind date needs a date"),
        (deals(binding="dim_deals.created_at"), "category", "of kind category needs a text"),
        (deals(ALIASED), "category", "dim_deals"),
    ],
)  # fmt: skip
def test_what_the_contracts_do_not_promise_is_named(one: Any, kind: str, said: str) -> None:
    found = findings(one, kind)
    assert any(said in text for text in found), found


def test_exposures_equal_the_dashboards() -> None:
    wrong = exposure_findings(read_dashboards(DASHBOARDS_DIR))
    assert wrong == [], "\n\n".join(wrong)


def test_exposure_that_differs_is_shown_with_the_lines_to_write(tmp_path: Path) -> None:
    file = file_of([deals()], filters={"channel": {"label": both("Channel")}})
    path = tmp_path / "exposures.yml"
    path.write_text(exposures_text([file]), "utf-8")
    assert exposure_findings([file], path) == []
    content = yaml.safe_load(path.read_text("utf-8"))
    assert content["exposures"][0]["depends_on"] == ["ref('dim_deals')"]
    path.write_text(path.read_text("utf-8").replace("dim_deals", "dim_channels"), "utf-8")
    (said,) = exposure_findings([file], path)
    assert "small_dashboard: write for small.yaml:\n  - name: small_dashboard" in said
    assert "    - ref('dim_deals')\n" in said
    stranger = path.read_text("utf-8").replace("small_dashboard", "old_dashboard")
    path.write_text(stranger, "utf-8")
    assert any("old_dashboard: no dashboard has" in one for one in exposure_findings([file], path))


def test_exposure_names_tables_of_subqueries_and_withs() -> None:
    sql = (
        "with losses as (select * from marts.fct_deal_rejections) "
        "select deal_key as deal_name, (select max(channel) from marts.dim_channels) as channel "
        "from losses where deal_key in (select deal_key from marts.dim_deals)"
    )
    one = card("list", "table", sql, {"deal_name": column("Deal")})
    assert exposed_tables(file_of([one])) == ["dim_channels", "dim_deals", "fct_deal_rejections"]


def test_every_exposed_model_is_a_mart() -> None:
    for one in yaml.safe_load(EXPOSURES.read_text("utf-8"))["exposures"]:
        assert {text[5:-2] for text in one["depends_on"]} <= set(CONTRACTS), one["name"]
