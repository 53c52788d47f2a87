"""Companies that several modules look at; each run of one takes half a minute."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.exports import ACCOUNTS, write_exports
from tests.e2e.runs import SMALL_COMPANY
from tests.golden.log import serve_golden_log
from tests.product import Product


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Product, str]:
    """Return the demo company's product and what the command printed."""
    product = Product(tmp_path_factory.mktemp("demo") / "home")
    return product, product.run("demo", *SMALL_COMPANY)


@pytest.fixture(scope="session")
def small_firms(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """Return a home that read small firms once: the golden log by both its roads, three exports.

    They share the home and nothing else. Two workers ask for it: the first builds it, each takes a
    copy to itself, which goes on with the golden log's tables alone.
    """
    base = tmp_path_factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-firms"
    with built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (built / "home" / "serve" / "voronka.duckdb").exists():
            shutil.rmtree(built, ignore_errors=True)
            golden = Path(__file__).resolve().parents[1] / "golden" / "files"
            shutil.copytree(golden, built / "golden")
            write_exports(built)
            folders = [built / name for name in ("golden", *ACCOUNTS)]
            with serve_golden_log() as settings:
                every_source = settings | {
                    "VORONKA_SOURCES": "amocrm,files",
                    "VORONKA_FILES": ":".join(map(str, folders)),
                }
                Product(built / "home", every_source).run("refresh")
    own = tmp_path_factory.mktemp("small") / "firms"
    shutil.copytree(built, own)
    return Product(own / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": str(own / "golden")})
