"""Names and options of Yandex Direct without a server."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingest.sources.yandex_direct.client import report_name
from ingest.sources.yandex_direct.settings import YandexDirectSettings


def test_report_name_does_not_show_the_token_and_depends_on_it() -> None:
    first = report_name({"a": 1}, "token-one", None, "")
    assert "token" not in first
    assert first != report_name({"a": 1}, "token-two", None, "")
    assert first == report_name({"a": 1}, "token-one", None, "")


def test_vat_is_off_and_explicit() -> None:
    assert YandexDirectSettings().include_vat == "NO"
    with pytest.raises(ValidationError):
        YandexDirectSettings.model_validate({"include_vat": "maybe"})
