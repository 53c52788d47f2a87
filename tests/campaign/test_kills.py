"""Fifteen kills spread over a refresh; each time the next run must equal an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.runs import settle
from tests.product import Product

pytestmark = pytest.mark.campaign
KILLS = 15
# The key, so that hashes can be compared, and dbt's parsed project, which no refresh of an existing
# home makes anew: without it a third of the kills would hit nothing but the parser.
KEPT = ("keys", "dbt")


def empty(product: Product) -> None:
    """Make the home the small demo company's before its first refresh."""
    for path in product.home.iterdir() if product.home.exists() else ():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    settle(product)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Product, dict[str, tuple[int, int]], float]:
    product = Product(tmp_path_factory.mktemp("kills") / "home")
    seconds = 0.0
    for _ in ("with parsing", "without"):
        empty(product)
        started = time.monotonic()
        product.run("refresh")
        seconds = time.monotonic() - started
    return product, product.fingerprints(), seconds


@pytest.mark.parametrize("kill", range(1, KILLS + 1))
def test_a_kill_at_any_moment_loses_and_doubles_nothing(
    undisturbed: tuple[Product, dict[str, tuple[int, int]], float], tmp_path: Path, kill: int
) -> None:
    product, expected, seconds = undisturbed
    empty(product)
    moment = seconds * kill / (KILLS + 1)
    with (tmp_path / "output").open("w+") as output:
        process = product.start("refresh", output=output)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        output.seek(0)
        last = [line.strip() for line in output if line.startswith("[")][-1:]
    product.run("refresh")
    assert product.fingerprints() == expected
    print(f"\nkill {kill} of {KILLS} after {moment:.1f} s, at {last}: equal", flush=True)
