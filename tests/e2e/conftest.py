"""Companies that several modules look at; each run of one takes half a minute."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.runs import SMALL_COMPANY
from tests.product import Product


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Product, str]:
    """Return the demo company's product and what the command printed."""
    product = Product(tmp_path_factory.mktemp("demo") / "home")
    return product, product.run("demo", *SMALL_COMPANY)


@pytest.fixture(scope="session")
def golden_files(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """Return a company published once, from a copy of the golden log's tables.

    Two workers ask for it: the first builds it, each takes a copy to itself.
    """
    base = tmp_path_factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "golden-files"
    with built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (built / "home" / "serve" / "voronka.duckdb").exists():
            shutil.rmtree(built, ignore_errors=True)
            golden = Path(__file__).resolve().parents[1] / "golden" / "files"
            shutil.copytree(golden, built / "tables")
            golden_company(built).run("refresh")
    own = tmp_path_factory.mktemp("golden") / "company"
    shutil.copytree(built, own)
    return golden_company(own)


def golden_company(root: Path) -> Product:
    """Return the company whose tables and home stand in one folder."""
    return Product(
        root / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": str(root / "tables")}
    )
