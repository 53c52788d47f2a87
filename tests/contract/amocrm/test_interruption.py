"""A load that is killed at any moment, then run again, ends where an undisturbed one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.contract.amocrm.conftest import Company
from tests.contract.amocrm.server import NOW, TOKEN, Account, event, lead

_LOAD = """
from ingest.config import SourceRef, load_settings
from ingest.chunks import ChunkBudget
from ingest.loading import load_source
ChunkBudget.__init__.__kwdefaults__["max_rows"] = 300
print("begin", flush=True)
load_source(SourceRef("amocrm"), load_settings(), lambda *what: print(*what, flush=True))
print("end", flush=True)
"""


def start(company: Company) -> subprocess.Popen[str]:
    environment = {**os.environ, **company.environment, "SOURCES__AMOCRM__TOKEN": TOKEN}
    return subprocess.Popen(
        [sys.executable, "-c", _LOAD], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seconds", [0.02, 0.8, 1.7])
def test_killed_then_run_again_no_row_is_lost_or_doubled(
    company: Company, account: Account, seconds: float
) -> None:
    account.rows["leads"] = [lead(n, NOW - n * 9_000) for n in range(1, 801)]
    account.rows["contacts"] = [lead(n, NOW - n * 9_000) for n in range(1, 801)]
    account.rows["events"] = [event(n, NOW - n * 9_000) for n in range(1, 801)]
    account.rows["unsorted"] = [{"uid": "a", "created_at": NOW - 5}]

    process = start(company)
    assert process.stdout is not None
    while (line := process.stdout.readline()) and "leads" not in line:
        pass
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    company.load()

    for table in ("leads", "contacts", "events"):
        assert len(company.live(table)) == 800
        stored = company.ask(
            f"""
            select count(*), count(distinct record_id) from raw_amocrm.{table}
            where _dlt_load_id in (select load_id from raw_amocrm._dlt_loads where status = 0)
                and pull_id in (select pull_id from raw_amocrm._pulls where is_complete)
            """
        )
        assert stored == [(800, 800)]
    assert list(company.live("unsorted")) == ["a"]
    assert company.load().rows_stored == 0
