"""The firm, as a business would describe it: what it sells, through what, to whom, and how well.

«Дубрава» makes kitchens and wardrobes to measure in Moscow. Search advertising pays, the
advertising network eats more than it sells, referrals and old customers sell best and cost nothing.
In its last full week the search budget ran out for two days: fewer people came, while deals won
from earlier requests still make the week look well.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

END_OF_CLOCK = dt.datetime(2026, 11, 16, 6, 0, tzinfo=dt.UTC)  # Monday, 09:00 in Moscow
MOSCOW_OFFSET_SECONDS = 3 * 3600  # Moscow has had one offset since 2014

ACCOUNT_ID = 29518443
SUBDOMAIN = "dubrava"
CURRENT_USER_ID = 8101001
INVOICES_CATALOG_ID = 12091
DIRECT_LOGIN = "dubrava-direct"


@dataclass(frozen=True)
class Product:
    """What is sold: its share in requests that no campaign of its own brought, and its price."""

    code: str
    title: str
    share: float
    median_price: int
    spread: float


PRODUCTS = (
    Product("kitchen", "Кухня на заказ", 0.52, 178_000, 0.48),
    Product("wardrobe", "Шкаф-купе", 0.24, 74_000, 0.42),
    Product("dressing_room", "Гардеробная", 0.12, 112_000, 0.45),
    Product("hallway", "Прихожая", 0.08, 58_000, 0.40),
    Product("office", "Мебель для офиса", 0.04, 240_000, 0.70),
)


@dataclass(frozen=True)
class Campaign:
    """An advertising campaign of the Direct account.

    `cost_per_click` is in rubles without VAT; `lead_ratio` is the share of clicks that become
    requests.
    """

    campaign_id: int
    name: str
    channel: str
    campaign_type: str
    share: float
    product: str | None
    cost_per_click: float
    lead_ratio: float
    click_ratio: float
    quality: float


CAMPAIGNS = (
    Campaign(
        70110021,
        "Поиск | Кухни на заказ | Москва",
        "direct_search",
        "TEXT_CAMPAIGN",
        0.42,
        "kitchen",
        118.0,
        0.036,
        0.082,
        1.00,
    ),
    Campaign(
        70110022,
        "Поиск | Кухни по размерам",
        "direct_search",
        "TEXT_CAMPAIGN",
        0.20,
        "kitchen",
        96.0,
        0.031,
        0.074,
        0.92,
    ),
    Campaign(
        70110023,
        "Поиск | Шкафы и гардеробные",
        "direct_search",
        "TEXT_CAMPAIGN",
        0.24,
        "wardrobe",
        61.0,
        0.034,
        0.079,
        1.05,
    ),
    Campaign(
        70110024,
        "Поиск | Бренд",
        "direct_search",
        "TEXT_CAMPAIGN",
        0.10,
        None,
        21.0,
        0.110,
        0.210,
        1.55,
    ),
    Campaign(
        70110025,
        "Поиск | Конкуренты",
        "direct_search",
        "TEXT_CAMPAIGN",
        0.04,
        "kitchen",
        132.0,
        0.014,
        0.031,
        0.55,
    ),
    Campaign(
        70120031,
        "РСЯ | Новосёлы и ремонт",
        "direct_network",
        "TEXT_CAMPAIGN",
        0.44,
        "kitchen",
        24.0,
        0.0088,
        0.0062,
        0.17,
    ),
    Campaign(
        70120032,
        "РСЯ | Ретаргетинг",
        "direct_network",
        "TEXT_CAMPAIGN",
        0.20,
        None,
        29.0,
        0.0150,
        0.0090,
        0.40,
    ),
    Campaign(
        70120033,
        "РСЯ | Интересы: дизайн интерьера",
        "direct_network",
        "TEXT_CAMPAIGN",
        0.36,
        "wardrobe",
        19.0,
        0.0062,
        0.0048,
        0.10,
    ),
)


@dataclass(frozen=True)
class Channel:
    """Where requests come from.

    `quality` multiplies the chance to pass qualification, `trend` is growth over the whole period,
    `form_share` and `phone_share` say how people get in touch (the rest is typed in by a sales
    rep), `last_week` is what happened to it in the last full week.
    """

    code: str
    share: float
    quality: float
    trend: float
    weekend: float
    form_share: float
    phone_share: float
    last_week: float


CHANNELS = (
    Channel("direct_search", 0.27, 1.00, 0.20, 0.72, 0.58, 0.37, 0.36),
    Channel("direct_network", 0.17, 1.00, 0.55, 0.95, 0.83, 0.12, 1.18),
    Channel("seo", 0.15, 1.12, 0.25, 0.70, 0.55, 0.40, 0.97),
    Channel("direct_visit", 0.08, 1.10, 0.05, 0.65, 0.40, 0.55, 1.00),
    Channel("vk", 0.12, 0.55, 0.35, 1.05, 0.62, 0.08, 0.90),
    Channel("marketplace", 0.12, 0.72, 0.10, 1.00, 0.20, 0.70, 0.95),
    Channel("referral", 0.09, 1.38, 0.10, 0.60, 0.08, 0.62, 1.00),
)

# Utm sets by channel; None: the request carries none. Direct puts the campaign id in.
UTM = {
    "direct_search": ("yandex", "cpc", None),
    "direct_network": ("yandex", "cpm_network", None),
    "seo": ("yandex", "organic", None),
    "vk": ("vk", "social_cpc", "kuhni_lookalike"),
    "marketplace": ("avito", "listing", "kuhni_moskva"),
}
# Requests by phone lose their advertisement this often: no call tracking number was shown.
PHONE_LOSES_UTM = 0.22
FORM_LOSES_UTM = 0.04

# January to December: kitchens are ordered before New Year and after the summer.
SEASON = (0.78, 0.98, 1.07, 1.05, 0.90, 0.92, 0.84, 0.93, 1.12, 1.18, 1.15, 1.00)
WEEKDAY = (1.16, 1.12, 1.08, 1.05, 0.98, 0.80, 0.81)
# Share of requests by hour of the Moscow day.
HOURS = (
    0.6, 0.4, 0.3, 0.2, 0.2, 0.4, 0.9, 1.9, 3.6, 5.9, 7.4, 7.9,
    7.6, 7.0, 6.7, 6.5, 6.2, 5.9, 5.6, 5.4, 5.2, 4.6, 3.2, 1.5,
)  # fmt: skip

# Public holidays and transferred days off of 2025 and 2026; reps do not work, few people ask.
HOLIDAYS = tuple(
    dt.date.fromisoformat(day)
    for day in (
        "2025-05-01", "2025-05-02", "2025-05-08", "2025-05-09", "2025-06-12",
        "2025-06-13", "2025-11-03",
        "2025-11-04", "2025-12-31", "2026-01-01", "2026-01-02", "2026-01-05",
        "2026-01-06", "2026-01-07",
        "2026-01-08", "2026-01-09", "2026-02-23", "2026-03-09", "2026-05-01",
        "2026-05-11", "2026-06-12",
        "2026-11-04",
    )
)  # fmt: skip
HOLIDAY_DEMAND = 0.55


@dataclass(frozen=True)
class Stage:
    """A stage: where its deals go next and how long they stay.

    `forward` is the chance to go on for a deal of quality 1, `quality_power` how strongly quality
    matters here; `stall` deals are forgotten and never move again; the rest is lost. `dwell_hours`
    is a median.
    """

    stage_id: int
    name: str
    forward: float
    quality_power: float
    skip: float
    back: float
    stall: float
    dwell_hours: float
    dwell_spread: float
    loss_weights: tuple[float, ...]


# price, competitor, postponed, no answer, wrong number, not our product, region, duplicate, no need
LOSS_REASONS = (
    (9001, "Дорого"),
    (9002, "Выбрали конкурента"),
    (9003, "Отложили ремонт"),
    (9004, "Не отвечает"),
    (9005, "Неверный номер"),
    (9006, "Не наш продукт"),
    (9007, "Другой регион"),
    (9008, "Дубль"),
    (9009, "Пропала потребность"),
)
LOSS_REASON_CATEGORY = {
    "Дорого": "price",
    "Выбрали конкурента": "competitor",
    "Отложили ремонт": "timing",
    "Не отвечает": "no_answer",
    "Неверный номер": "wrong_number",
    "Не наш продукт": "not_target",
    "Другой регион": "not_target",
    "Дубль": "technical",
    "Пропала потребность": "no_need",
}
DUPLICATE_REASON_ID = 9008
# A loss is left without a reason this often by people; robots never give one.
EMPTY_REASON_SHARE = 0.13

SALES_PIPELINE_ID = 7301014
REPEAT_PIPELINE_ID = 7301482
UNSORTED_STAGE_ID = 61301000
REPEAT_UNSORTED_STAGE_ID = 61305000

SALES_STAGES = (
    Stage(
        61301001,
        "Новая заявка",
        0.80,
        0.25,
        0.05,
        0.00,
        0.035,
        5.0,
        1.2,
        (1, 0, 3, 34, 22, 14, 10, 0, 8),
    ),
    Stage(
        61301002,
        "Квалификация",
        0.47,
        1.00,
        0.06,
        0.01,
        0.050,
        26.0,
        1.1,
        (12, 5, 20, 24, 2, 12, 7, 0, 16),
    ),
    Stage(
        61301003,
        "Замер назначен",
        0.80,
        0.30,
        0.04,
        0.03,
        0.020,
        62.0,
        0.7,
        (10, 12, 26, 18, 0, 3, 1, 0, 22),
    ),
    Stage(
        61301004,
        "Проект и расчёт",
        0.58,
        0.45,
        0.08,
        0.05,
        0.045,
        118.0,
        0.8,
        (44, 26, 14, 8, 0, 1, 0, 0, 7),
    ),
    Stage(
        61301005,
        "Согласование договора",
        0.84,
        0.15,
        0.06,
        0.07,
        0.015,
        74.0,
        0.8,
        (38, 34, 16, 6, 0, 0, 0, 0, 6),
    ),
    Stage(
        61301006,
        "Ожидает предоплату",
        0.93,
        0.05,
        0.00,
        0.03,
        0.008,
        40.0,
        0.9,
        (22, 30, 34, 8, 0, 0, 0, 0, 6),
    ),
)
REPEAT_STAGES = (
    Stage(
        61305001,
        "Обращение клиента",
        0.80,
        0.20,
        0.06,
        0.00,
        0.020,
        8.0,
        1.1,
        (6, 4, 40, 20, 0, 10, 0, 0, 20),
    ),
    Stage(
        61305002,
        "Подбор и замер",
        0.72,
        0.20,
        0.05,
        0.04,
        0.030,
        66.0,
        0.8,
        (34, 18, 26, 10, 0, 4, 0, 0, 8),
    ),
    Stage(
        61305003,
        "Счёт выставлен",
        0.90,
        0.10,
        0.00,
        0.03,
        0.015,
        50.0,
        0.9,
        (30, 20, 40, 5, 0, 0, 0, 0, 5),
    ),
)
# (won, lost) names differ by pipeline, as they may in life.
SALES_CLOSED_NAMES = ("Предоплата получена", "Закрыто и не реализовано")
REPEAT_CLOSED_NAMES = ("Повторный заказ оплачен", "Не актуально")

# The stage from which the sum of a deal is known, in each pipeline.
SALES_PRICED_FROM = 3
REPEAT_PRICED_FROM = 1

REOPEN_SHARE = 0.02
DOUBLE_MOVE_SHARE = 0.03
AUTO_CLOSE_SHARE = 0.45
AUTO_CLOSE_DAYS = 60

REPEAT_SHARE = 0.06
DUPLICATE_SHARE = 0.03
CONTINUATION_SHARE = 0.025
TEST_SHARE = 0.002
DELETED_SHARE = 0.008
DECLINED_SHARE = 0.02
BUSINESS_CUSTOMER_SHARE = 0.05
LATE_EVENT_SHARE = 0.003
MEASURE_EMPTY_SHARE = 0.3

TEAMS = ((501001, "Отдел продаж: Север"), (501002, "Отдел продаж: Юг"))
MANAGEMENT_TEAM = (501009, "Руководство")
REPS_PER_TEAM = 6
# One rep left in the tenth month and a newcomer took the place; one works from a private phone.
LEAVER_SLOT = 4
LEAVER_MONTHS_BEFORE_END = 8
NO_TELEPHONY_SLOT = 9
