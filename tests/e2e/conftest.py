"""Companies that several modules look at; each run of one takes half a minute."""

from __future__ import annotations

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
    """Return a company published once, from a copy of the golden log's tables."""
    root = tmp_path_factory.mktemp("golden")
    shutil.copytree(Path(__file__).resolve().parents[1] / "golden" / "files", root / "tables")
    product = Product(
        root / "home", {"VORONKA_SOURCES": "files", "VORONKA_FILES": str(root / "tables")}
    )
    product.run("refresh")
    return product
