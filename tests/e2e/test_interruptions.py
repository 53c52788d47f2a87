"""Kills, two refreshes at once, and readers while a refresh publishes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.runs import end_of, kill_when, same_key, served_run, settle
from tests.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

READER = """
import sys, time, duckdb
path, seconds = sys.argv[1], float(sys.argv[2])
until, queries, slowest = time.monotonic() + seconds, 0, 0.0
while time.monotonic() < until:
    started = time.monotonic()
    with duckdb.connect(path, read_only=True) as connection:
        count = connection.execute("select count(*), sum(deal_amount) from marts.dim_deals").fetchone()[0]
        assert count > 0
    slowest = max(slowest, time.monotonic() - started)
    queries += 1
print(queries, round(slowest, 3))
"""


@pytest.fixture(scope="module")
def undisturbed(demo: tuple[Product, str]) -> Product:
    """Return the demo company as a run that nothing disturbed built it."""
    return demo[0]


def test_a_refresh_killed_three_times_then_run_equals_an_undisturbed_one(
    undisturbed: Product, tmp_path: Path
) -> None:
    product = Product(tmp_path / "home")
    same_key(undisturbed, product)
    settle(product)
    for point, delay in (
        (r"\[load\] amocrm/", 0.0),
        (r"\[transform\] building", 3.0),
        (r"\[publish\]", 0.0),
    ):
        kill_when(product, point, delay=delay)
    product.run("refresh")
    assert product.fingerprints() == undisturbed.fingerprints()


def test_while_one_refresh_runs_readers_go_on_another_is_refused_and_no_value_changes(
    undisturbed: Product,
) -> None:
    before, values = served_run(undisturbed), undisturbed.fingerprints()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(undisturbed.published), "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = undisturbed.start("refresh")
        assert first.stdout is not None
        line = first.stdout.readline()
        assert "[start] run" in line
        started = time.monotonic()
        refused = undisturbed.run("refresh", code=5)
        assert time.monotonic() - started < 30
        assert str(first.pid) in refused
        assert line.split("run ")[1].split()[0] in refused
        code, output = end_of(first)
        assert code == 0, output
        time.sleep(1)
        assert reader.poll() is None, reader.communicate()[1]
    finally:
        reader.kill()
        reader.communicate()
    assert served_run(undisturbed) != before
    stored = dict(re.findall(r"(amocrm|yandex_direct): ([\d ]+) rows stored", output))
    assert stored == {"amocrm": "0", "yandex_direct": "0"}, output
    assert undisturbed.fingerprints() == values
