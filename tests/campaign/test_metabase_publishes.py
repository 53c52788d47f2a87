"""200 publishes to Metabase under eight readers: no read fails, none is stale after the switch."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.metabase.homes import EMAIL, PASSWORD
from tests.metabase.test_readers import publishes_under_readers

pytestmark = pytest.mark.campaign
PUBLISHES = 200


def test_200_publishes_under_eight_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METABASE__EMAIL", EMAIL)
    monkeypatch.setenv("METABASE__PASSWORD", PASSWORD)
    began = time.monotonic()
    sights = publishes_under_readers(tmp_path, PUBLISHES)
    print(
        f"\nMetabase with DuckDB: {PUBLISHES} publishes in {time.monotonic() - began:.0f} s,"
        f" {sights.reads:,} reads, {len(sights.failures)} failed, {len(sights.stale)} stale"
    )
    assert (sights.failures, sights.stale) == ([], [])
    assert sights.reads > 10 * PUBLISHES
