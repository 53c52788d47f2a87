"""Counters, marks, pace and addresses of pages without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest.config import load_settings
from ingest.privacy import Privacy
from ingest.sources.yandex_metrica.client import VISIT_FIELDS, QuotaLimiter, marked_fields
from ingest.sources.yandex_metrica.settings import YandexMetricaSettings


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        ("123", ("123",)),
        (123, ("123",)),
        ("123, 456,123,", ("123", "456")),
        (["123", 456], ("123", "456")),
        ("", ()),
    ],
)
def test_counters_are_one_number_or_several(given: Any, listed: tuple[str, ...]) -> None:
    assert YandexMetricaSettings.model_validate({"counter_id": given}).counter_id == listed


@pytest.mark.parametrize("given", [{"counter_id": "12a"}, {"counter_id": "١٢"}, {"reread_days": 2}])
def test_what_is_no_counter_and_too_few_days_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        YandexMetricaSettings.model_validate(given)


def test_a_home_asks_for_all_fields_in_an_order_of_its_own() -> None:
    one, other = marked_fields(b"one"), marked_fields(b"other")
    assert one == marked_fields(b"one")
    assert one != other
    assert sorted(one) == sorted(other) == sorted(VISIT_FIELDS.values())


def test_the_question_is_shorter_than_the_vendor_allows() -> None:
    assert len(",".join(VISIT_FIELDS.values())) <= 3000


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)


def test_the_quota_of_five_minutes_is_used_up_and_never_exceeded() -> None:
    time = Time()
    limiter = QuotaLimiter(10.0, 200, clock=lambda: time.now, sleep=time.sleep)
    sent: list[float] = []
    for _ in range(1000):
        limiter.wait_for_turn()
        sent.append(time.now)
    assert all(later - first > 300.0 for first, later in zip(sent, sent[200:], strict=False))
    assert all(later - first >= 1.0 for first, later in zip(sent, sent[10:], strict=False))
    # Five windows of 200: four of them are waited for, the fifth begins at once.
    assert sent[-1] < 4 * 301 + 25
    assert sent[7] < 1.0


@pytest.fixture
def privacy(tmp_path: Path) -> Privacy:
    return Privacy(load_settings({"VORONKA_HOME": str(tmp_path)}))


@pytest.fixture
def mask(privacy: Privacy) -> Callable[[str], str]:
    return privacy.mask_url


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/?tel={}",
        "https://shop.example/path/{}/more",
        "https://shop.example/?a=1&back=https://other.example/card?tel={}&b=2",
        "https://shop.example/#contact={}",
        "https://shop.example/?{}",
        "https://shop.example/?a=1;tel={}",
    ],
)
@pytest.mark.parametrize(
    "phone",
    [
        "79161234567",
        "+79161234567",
        "%2B79161234567",
        "%252B79161234567",
        "8%20(916)%20123-45-67",
        "8+916+123-45-67",
        "8%28916%29123%2D45%2D67",
        "8-916-123-45-67",
    ],
)
def test_phones_leave_addresses(
    mask: Callable[[str], str], privacy: Privacy, url: str, phone: str
) -> None:
    masked = mask(url.format(phone))
    assert privacy.hash_phone("89161234567") in masked
    assert "4567" not in masked
    assert "45-67" not in masked
    assert masked.startswith("https://")


@pytest.mark.parametrize(
    "mail",
    [
        "ivan.petrov@mail.example",
        "ivan.petrov%40mail.example",
        "ivan.petrov%2540mail.example",
        "https%3A%2F%2Fx.example%2F%3Fm%3Divan.petrov%40mail.example",
    ],
)
@pytest.mark.parametrize(
    "url", ["https://shop.example/?mail={}&x=1", "https://shop.example/u/{}", "mailto:{}",
            "https://shop.example/?utm_content={}"]
)  # fmt: skip
def test_mail_addresses_leave_addresses(
    mask: Callable[[str], str], privacy: Privacy, url: str, mail: str
) -> None:
    masked = mask(url.format(mail))
    assert "ivan" not in masked
    assert privacy.hash_email("ivan.petrov@mail.example") in masked


@pytest.mark.parametrize(
    "tag", ["8 (916) 123-45-67", "ivan.petrov%40mail.example", "%2B7%28916%29123-45-67"]
)
def test_phones_and_mails_leave_tags(
    mask: Callable[[str], str], privacy: Privacy, tag: str
) -> None:
    known = {privacy.hash_phone("89161234567"), privacy.hash_email("ivan.petrov@mail.example")}
    assert privacy.mask_tag(tag) in known
    masked = mask(f"https://shop.example/?utm_term={tag}".replace(" ", "+"))
    assert masked.removeprefix("https://shop.example/?utm_term=") in known


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://shop.example/",
        "https://shop.example/?yclid=79161234567&gclid=89161234567",
        "https://shop.example/?yclid=1234567890123456789",
        "https://shop.example/?utm_campaign=79161234567&utm_term=12345678901",
        "https://shop.example/item/123456789?size=10-12-14&date=2026-11-20",
        "https://shop.example/?q=%D0%BA%D1%83%D1%85%D0%BD%D1%8F+%D0%B4%D1%83%D0%B1&page=2",
        "https://yandex.ru/maps/?ll=37.618423%2C55.751244&z=12",
        "https://shop.example/?from=2026-11-01&to=2026-11-20#top",
    ],
)
def test_other_addresses_come_back_sign_by_sign(mask: Callable[[str], str], url: str) -> None:
    assert mask(url) == url
