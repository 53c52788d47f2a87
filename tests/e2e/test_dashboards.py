"""The dashboards over a company that went all the way: what dbt knows of them, what they answer."""

from __future__ import annotations

import json

import pytest

from orchestration.lib.cards import open_serve_file, read_dashboards
from orchestration.lib.cards.contracts import exposed_tables
from orchestration.lib.environment import DASHBOARDS_DIR
from orchestration.lib.metabase.published import published_company, published_values
from orchestration.lib.metabase.rendering import desired_state
from tests.product import Product
from tests.unit.metabase.running import sent

pytestmark = pytest.mark.e2e


def test_dbt_knows_every_dashboard_by_the_marts_it_reads(demo: tuple[Product, str]) -> None:
    manifests = list((demo[0].home / "dbt").rglob("manifest.json"))
    exposures = json.loads(manifests[0].read_text("utf-8"))["exposures"]
    found = {
        one["name"]: sorted(node.rsplit(".", 1)[1] for node in one["depends_on"]["nodes"])
        for one in exposures.values()
    }
    assert found == {
        file.dashboard.exposure: exposed_tables(file) for file in read_dashboards(DASHBOARDS_DIR)
    }


def test_every_rendered_card_answers_over_the_published_file(demo: tuple[Product, str]) -> None:
    product, _ = demo
    manifest = json.loads(next((product.home / "dbt").rglob("manifest.json")).read_text("utf-8"))
    files = read_dashboards(DASHBOARDS_DIR)
    state = desired_state(
        files,
        manifest,
        "ru",
        company=published_company(product.published, "ru"),
        values=published_values(product.published, files),
    )
    assert {one.foreign_key for one in state.fields} > {None}
    connection = open_serve_file(product.published)
    rows = 0
    for card in state.cards:
        cursor = connection.execute(sent(card))
        assert tuple(one[0] for one in cursor.description or []) == card.columns, card.key
        found = cursor.fetchall()
        assert found or card.may_be_empty, card.key
        rows += len(found)
    assert rows > 50
    connection.close()
