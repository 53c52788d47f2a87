"""Kills, two refreshes at once, and readers while a refresh publishes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.runs import SMALL_COMPANY, end_of, kill_when, same_key, served_run, settle
from tests.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("interruptions")]

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
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Product:
    product = Product(tmp_path_factory.mktemp("undisturbed") / "home")
    product.run("demo", *SMALL_COMPANY)
    return product


@pytest.mark.parametrize(
    ("point", "delay"),
    [(r"\[load\] amocrm/", 0.0), (r"\[transform\] building", 2.0), (r"\[publish\]", 0.0)],
    ids=["while loading", "while building", "while publishing"],
)
def test_a_killed_refresh_run_again_equals_an_undisturbed_one(
    undisturbed: Product, tmp_path: Path, point: str, delay: float
) -> None:
    product = Product(tmp_path / "home")
    same_key(undisturbed, product)
    settle(product)
    kill_when(product, point, delay=delay)
    product.run("refresh")
    assert product.fingerprints() == undisturbed.fingerprints()


def test_two_refreshes_at_once_the_second_says_who_holds_the_lock(undisturbed: Product) -> None:
    first = undisturbed.start("refresh")
    assert first.stdout is not None
    line = first.stdout.readline()
    assert "[start] run" in line
    started = time.monotonic()
    output = undisturbed.run("refresh", code=5)
    assert time.monotonic() - started < 20
    run_id = line.split("run ")[1].split()[0]
    assert str(first.pid) in output
    assert run_id in output
    assert end_of(first)[0] == 0


def test_readers_see_no_error_and_a_refresh_no_wait_while_it_publishes(
    undisturbed: Product,
) -> None:
    before = served_run(undisturbed)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(undisturbed.published), "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        undisturbed.run("refresh")
        time.sleep(1)
        assert reader.poll() is None, reader.communicate()[1]
    finally:
        reader.kill()
        reader.communicate()
    assert served_run(undisturbed) != before
