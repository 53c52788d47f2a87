"""Ways to meet a run while it is under way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time

from ingest.config import load_settings
from orchestration.lib.demo import DemoParameters, settle_demo
from tests.product import Product

SMALL_COMPANY = ("--leads", "600", "--months", "4")


def kill_when(product: Product, pattern: str, *, delay: float = 0.0, timeout: float = 120) -> str:
    """Start a refresh, kill -9 the command when a line matches, and return what it had printed."""
    process = product.start("refresh")
    printed: list[str] = []
    deadline = time.monotonic() + timeout
    assert process.stdout is not None
    for line in process.stdout:
        printed.append(line)
        if re.search(pattern, line):
            break
        assert time.monotonic() < deadline, "".join(printed)
    else:
        raise AssertionError(f"no line matched {pattern!r}:\n{''.join(printed)}")
    time.sleep(delay)
    # Only the command itself, as the kernel's memory killer would: its children live on.
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    return "".join(printed)


def same_key(source: Product, target: Product) -> None:
    """Give one home the other's privacy key, so that hashed values can be compared."""
    target.home.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source.home / "keys", target.home / "keys", dirs_exist_ok=True)


def served_run(product: Product) -> str:
    """Return the run whose file is being served."""
    return str(json.loads((product.home / "serve" / "state.json").read_text())["current_run_id"])


def settle(product: Product) -> None:
    """Make the home the small demo company's, without running anything."""
    home = load_settings({"VORONKA_HOME": str(product.home)}).home
    options = dict(zip(SMALL_COMPANY[::2], SMALL_COMPANY[1::2], strict=True))
    settle_demo(
        home, DemoParameters(leads=int(options["--leads"]), months=int(options["--months"]))
    )
