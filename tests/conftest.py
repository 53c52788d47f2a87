"""What every test may use: the agreed data beside the checkout, and a company of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.product import Product

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real payloads and data sets, which is never part of the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(
            "../shared/data is not beside this checkout: the real data sets are not shipped"
        )
    return folder


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses between attempts short; their length is tested elsewhere."""
    monkeypatch.setattr("ingest.http._FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("ingest.sources.vk_ads._SECOND_CHANCE_PAUSES", (0.01, 0.01))
    for name in ("_QUOTA_PAUSE_SECONDS", "_ORDER_PAUSE_SECONDS"):
        monkeypatch.setattr(f"ingest.sources.yandex_metrica.client.{name}", 0.01)


@pytest.fixture
def product(tmp_path: Path) -> Callable[..., Product]:
    """Return a maker of products, each with an empty home folder of its own."""

    def make(name: str = "home", **environment: str) -> Product:
        return Product(tmp_path / name, environment)

    return make
