"""What Metabase is told of tables and columns, from the contracts and tests of the marts."""

from __future__ import annotations

from typing import Any

from orchestration.lib.metabase.desired import DesiredField
from orchestration.lib.metabase.metadata import field_metadata, table_metadata


def fields(manifest: dict[str, Any], *chosen: DesiredField) -> dict[tuple[str, str], Any]:
    return {(one.table, one.column): one for one in field_metadata(manifest, "ru", chosen)}


def test_every_column_of_the_marts_has_a_label(marts_manifest: dict[str, Any]) -> None:
    found = fields(marts_manifest)
    marts = [one for one in marts_manifest["nodes"].values() if one["resource_type"] == "model"]
    assert len(found) == sum(len(one["columns"]) for one in marts)
    assert all(one.label for one in found.values())
    assert found[("dim_deals", "deal_url")].description.startswith("Where the deal opens")


def test_kind_of_a_column_follows_its_name_and_tests(marts_manifest: dict[str, Any]) -> None:
    found = fields(marts_manifest)
    kinds = {
        name: found[("dim_deals", name)].semantic_type
        for name in ("deal_key", "customer_key", "outcome", "is_deleted", "deal_amount",
                     "deal_url", "created_at", "deal_name", "closed_at", "deal_id")
    }  # fmt: skip
    assert kinds == {
        "deal_key": "type/PK",
        "customer_key": "type/FK",
        "outcome": "type/Category",
        "is_deleted": "type/Category",
        "deal_amount": "type/Currency",
        "deal_url": "type/URL",
        "created_at": "type/CreationTimestamp",
        "deal_name": "type/Name",
        "closed_at": None,
        "deal_id": None,
    }


def test_key_leads_to_the_table_it_names(marts_manifest: dict[str, Any]) -> None:
    found = fields(marts_manifest)
    target = found[("fct_deal_stage_visits", "deal_key")].foreign_key
    assert target == DesiredField("dim_deals", "deal_key")
    assert found[("dim_deals", "deal_key")].foreign_key is None


def test_column_a_filter_chooses_from_is_a_category_even_if_it_is_a_key(
    marts_manifest: dict[str, Any],
) -> None:
    assert fields(marts_manifest)[("dim_deals", "channel")].semantic_type is None
    chosen = fields(marts_manifest, DesiredField("dim_deals", "channel"))
    assert chosen[("dim_deals", "channel")].semantic_type == "type/Category"
    # No list is offered for a key.
    assert chosen[("dim_deals", "channel")].foreign_key is None


def test_labels_come_in_the_language_where_the_models_give_them(
    marts_manifest: dict[str, Any],
) -> None:
    node = {
        **marts_manifest["nodes"]["model.voronka.dim_deals"],
        "config": {"enabled": True, "meta": {"label": {"en": "Deals", "ru": "Сделки"}}},
    }
    manifest = {"nodes": {"model.voronka.dim_deals": node}}
    assert table_metadata(manifest, "ru")[0].label == "Сделки"
    assert table_metadata(marts_manifest, "ru")[-1].label[0].isupper()
