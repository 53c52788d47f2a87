"""A company of a few rows whose scores are counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from pyarrow import parquet

from ingest.demo.planted.truth_tables import ITEMS, SIZES
from ingest.demo.tables import CompanyTables
from orchestration.lib.benchmark.world import attach_truth, save_world


def tiny_tables() -> CompanyTables:
    """Return a firm of five deals: two clients, one of them twice, one lost, one test."""
    return CompanyTables.build(
        now="2026-06-01T12:00:00+03:00",
        contacts=[
            {"contact_id": 11, "person_id": 1, "created_at": "2026-01-10T10:00:00+03:00"},
            {"contact_id": 12, "person_id": 2, "created_at": "2026-01-11T10:00:00+03:00"},
            # A second card of the first person.
            {"contact_id": 13, "person_id": 1, "created_at": "2026-03-01T10:00:00+03:00"},
        ],
        deals=[
            {
                "deal_id": 101,
                "contact_id": 11,
                "created_at": "2026-01-10T10:00:00+03:00",
                "amount": 100,
                "channel": "seo",
            },
            {
                "deal_id": 102,
                "contact_id": 12,
                "created_at": "2026-01-11T10:00:00+03:00",
                "amount": 50,
                "channel": "vk",
            },
            {
                "deal_id": 103,
                "contact_id": 13,
                "created_at": "2026-03-01T10:00:00+03:00",
                "amount": 30,
                "channel": "seo",
                "kind": "repeat",
            },
            {
                "deal_id": 104,
                "created_at": "2026-03-02T10:00:00+03:00",
                "kind": "test",
            },
            {
                "deal_id": 105,
                "contact_id": 12,
                "created_at": "2026-04-01T10:00:00+03:00",
                "deleted_at": "2026-04-02T10:00:00+03:00",
                "is_purged": True,
            },
        ],
        stage_changes=[
            {"deal_id": 101, "changed_at": "2026-01-10T12:00:00+03:00", "to_stage_id": 2},
            {"deal_id": 101, "changed_at": "2026-01-10T15:00:00+03:00", "to_stage_id": 3},
            {"deal_id": 101, "changed_at": "2026-02-01T00:30:00+03:00", "to_stage_id": 142},
            {
                "deal_id": 102,
                "changed_at": "2026-01-12T10:00:00+03:00",
                "to_stage_id": 143,
                "loss_reason_id": 9001,
            },
            {"deal_id": 103, "changed_at": "2026-03-05T10:00:00+03:00", "to_stage_id": 142},
        ],
        amount_changes=[
            {
                "deal_id": 101,
                "changed_at": "2026-01-10T15:00:00+03:00",
                "from_amount": 100,
                "to_amount": 120,
            }
        ],
        loss_reasons=[{"loss_reason_id": 9001, "name": "Дорого"}],
        invoices=[
            {"invoice_id": 1, "deal_id": 101, "amount": 120, "issued_at": 1_770_000_000},
            {"invoice_id": 2, "deal_id": 103, "amount": 30, "issued_at": 1_773_000_000},
        ],
        payments=[
            {"payment_id": 1, "invoice_id": 1, "paid_at": 1_770_100_000, "amount": 120},
            {"payment_id": 2, "invoice_id": 2, "paid_at": 1_773_100_000, "amount": 10},
        ],
    )


def save_unplanted(folder: Path, tables: CompanyTables) -> Path:
    """Write the truth of a firm in which nothing is planted."""
    save_world(folder, tables)
    parquet.write_table(ITEMS.empty_table(), folder / "truth_items.parquet")
    parquet.write_table(SIZES.empty_table(), folder / "truth_sizes.parquet")
    return folder


@pytest.fixture(scope="session")
def truth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the truth of the tiny firm, nothing planted in it."""
    return save_unplanted(tmp_path_factory.mktemp("truth"), tiny_tables())


@pytest.fixture
def connection(truth_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a connection that shows the tiny firm's truth and no marts yet."""
    with duckdb.connect() as opened:
        opened.execute("set timezone = 'UTC'")
        attach_truth(opened, truth_folder)
        yield opened
