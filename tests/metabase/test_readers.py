"""People who read while builds are published meet no error and no old row."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestration.lib.metabase.setup import _stored_key
from tests.metabase.desired_states import MARTS_SQL, STATE
from tests.metabase.fake import FakeMetabase, running
from tests.metabase.homes import EMAIL, PASSWORD, Company
from tests.metabase.readers import Sights, marts_of_build, readers


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METABASE__EMAIL", EMAIL)
    monkeypatch.setenv("METABASE__PASSWORD", PASSWORD)


def publishes_under_readers(folder: Path, count: int) -> Sights:
    """Publish so many builds under eight readers and return what these saw."""
    sights = Sights()
    with running(FakeMetabase(sync_seconds=0, is_validated=False)) as fake:
        company = Company(folder, fake)
        company.publish_file("run-0", marts_of_build(0, MARTS_SQL))
        company.showing(STATE).publish()
        key = _stored_key(company.settings.home, fake.url)
        assert key is not None
        (database_id,) = fake.state.databases
        with readers(fake, key, database_id, sights):
            for number in range(1, count + 1):
                company.publish_file(f"run-{number}", marts_of_build(number, MARTS_SQL))
                company.showing(STATE).publish()
                sights.shown = number
        details = fake.state.databases[database_id]["details"]
        assert details["database_file"].endswith(f"run-{count}.duckdb")
        assert fake.databases.open_file_count == 1
    return sights


def test_readers_meet_no_error_and_no_old_row(tmp_path: Path) -> None:
    sights = publishes_under_readers(tmp_path, 4)
    assert (sights.failures, sights.stale) == ([], [])
    assert sights.reads >= 20


def test_a_file_replaced_under_its_path_would_show_old_rows(tmp_path: Path) -> None:
    """The readers can tell: with the published path replaced in place they see old rows."""
    sights = Sights()
    with running(FakeMetabase(sync_seconds=0, is_validated=False)) as fake:
        company = Company(tmp_path, fake)
        company.publish_file("run-0", marts_of_build(0, MARTS_SQL))
        company.showing(STATE).publish()
        key = _stored_key(company.settings.home, fake.url)
        (database_id,) = fake.state.databases
        served = Path(fake.state.databases[database_id]["details"]["database_file"])
        with readers(fake, str(key), database_id, sights):
            company.publish_file("run-1", marts_of_build(1, MARTS_SQL))
            newest = company.serve.path_of(company.serve.state().published[0])
            newest.replace(served)
            sights.shown = 1
            before = sights.reads
            while sights.reads < before + 20:
                time.sleep(0.01)
    assert sights.stale
    assert sights.failures == []
