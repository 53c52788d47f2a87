"""One small demo company that several modules look at; each run of it takes half a minute."""

from __future__ import annotations

import pytest

from tests.e2e.runs import SMALL_COMPANY
from tests.product import Product


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Product, str]:
    """Return the demo company's product and what the command printed."""
    product = Product(tmp_path_factory.mktemp("demo") / "home")
    return product, product.run("demo", *SMALL_COMPANY)
