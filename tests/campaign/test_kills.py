"""Fifteen kills spread over a refresh; each time the next run must equal an undisturbed one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.runs import SMALL_COMPANY, same_key, settle
from tests.product import Product

pytestmark = pytest.mark.campaign
KILLS = 15


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Product, float]:
    product = Product(tmp_path_factory.mktemp("undisturbed") / "home")
    settle(product)
    started = time.monotonic()
    product.run("refresh")
    seconds = time.monotonic() - started
    assert SMALL_COMPANY
    return product, seconds


@pytest.mark.parametrize("kill", range(1, KILLS + 1))
def test_a_kill_at_any_moment_loses_and_doubles_nothing(
    undisturbed: tuple[Product, float], tmp_path: Path, kill: int
) -> None:
    reference, seconds = undisturbed
    product = Product(tmp_path / "home")
    same_key(reference, product)
    settle(product)
    process = product.start("refresh")
    time.sleep(seconds * kill / (KILLS + 1))
    os.kill(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    last = [line for line in output.splitlines() if line.startswith("[")][-1:]
    product.run("refresh")
    assert product.fingerprints() == reference.fingerprints()
    print(f"kill {kill} of {KILLS} after {seconds * kill / (KILLS + 1):.1f} s, at {last}: equal")
