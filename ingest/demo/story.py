"""The firm, as a business would describe it: what it sells, through what, to whom, and how well.

«Дубрава» makes kitchens and wardrobes to measure in Moscow. Search advertising pays, the
advertising network eats more than it sells, referrals and old customers sell best and cost nothing.
In its last full week the Direct account ran out of money on Tuesday: far fewer people came, while
deals won from earlier requests still make the week look well.

People look at the site several times, on a phone and on a computer, before they ask; most never
ask. Reps are equally good. They qualify by region, product and budget, send an offer, a contract
and an act, bill an advance and the rest, and are paid in full, in parts, late or never; now and
then money goes back. Customers come again after months, or sleep. The CRM was lived in: a stage was
renamed, one was given up, cards were merged, deleted, made anew and moved to another pipeline.
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
VK_LOGIN = "dubrava-vk"
SITE = "https://dubrava.example"


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
    """An advertising campaign of the Direct account, or an ad plan of the VK account.

    `share` is that of its channel's requests, `cost_per_click` is in rubles without VAT;
    `lead_ratio` is the share of clicks that become requests; `assists` says whether people who
    clicked it and left ask later through something else.
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
    platform: str = "yandex_direct"
    assists: bool = True


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
        assists=False,
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
    Campaign(
        9146201,
        "VK | Похожие на клиентов: кухни",
        "vk",
        "AD_PLAN",
        0.46,
        "kitchen",
        23.0,
        0.0145,
        0.0086,
        0.66,
        "vk_ads",
    ),
    Campaign(
        9146202,
        "VK | Новосёлы ЖК: шкафы и прихожие",
        "vk",
        "AD_PLAN",
        0.33,
        "wardrobe",
        17.0,
        0.0120,
        0.0071,
        0.56,
        "vk_ads",
    ),
    Campaign(
        9146203,
        "VK | Ролики: дизайн-проект",
        "vk",
        "AD_PLAN",
        0.21,
        None,
        11.0,
        0.0066,
        0.0124,
        0.34,
        "vk_ads",
    ),
)
AD_LOGINS = {"yandex_direct": DIRECT_LOGIN, "vk_ads": VK_LOGIN}


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
    Channel("direct_search", 0.27, 1.00, 0.20, 0.72, 0.58, 0.37, 0.22),
    Channel("direct_network", 0.17, 1.00, 0.55, 0.95, 0.83, 0.12, 0.26),
    Channel("seo", 0.15, 1.12, 0.25, 0.70, 0.55, 0.40, 0.97),
    Channel("direct_visit", 0.08, 1.10, 0.05, 0.65, 0.40, 0.55, 1.00),
    Channel("vk", 0.12, 0.55, 0.35, 1.05, 0.62, 0.08, 0.90),
    Channel("marketplace", 0.12, 0.72, 0.10, 1.00, 0.20, 0.70, 0.95),
    Channel("referral", 0.09, 1.38, 0.10, 0.60, 0.08, 0.62, 1.00),
)

# Utm sets by channel; None: the id of the campaign or ad plan, where there is one.
UTM = {
    "direct_search": ("yandex", "cpc", None),
    "direct_network": ("yandex", "cpm_network", None),
    "seo": ("yandex", "organic", None),
    "vk": ("vk", "social_cpc", None),
    "marketplace": ("avito", "listing", "kuhni_moskva"),
}
WORDS = ("кухня на заказ", "кухни москва", "шкаф купе по размерам", "мебель на заказ цена")
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

# The site: how many visits there are to a request, those of people who never ask included.
VISITS_PER_LEAD = 4.0
# Visits before the first request by number, and the channels of those that did not bring it.
EARLIER_VISITS = (0.36, 0.26, 0.17, 0.11, 0.06, 0.04)
EARLIER_SAME_CHANNEL = 0.42
EARLIER_CHANNELS = (0.22, 0.17, 0.25, 0.22, 0.12, 0.0, 0.02)
EARLIER_DAYS = 4.0
SECOND_DEVICE_SHARE = 0.19
SECOND_DEVICE_VISITS = 0.4
COMES_BACK_SHARE = 0.22
# Channels of visits that lead to nothing.
IDLE_CHANNELS = (0.24, 0.30, 0.20, 0.10, 0.13, 0.0, 0.03)
# Requests by phone that call tracking ties to a visit; forms filled in VK itself have no visit.
TRACKED_CALL_SHARE = 0.5
VK_LEAD_FORM_SHARE = 0.4
# A tablet in the showroom on which customers of the shop fill in the site's form.
TABLET_SHARE = 0.009
LATE_VISIT_SHARE = 0.01
FORM_GOAL, CALL_GOAL, CALCULATOR_GOAL = 301001, 301002, 301003

# Qualification: a request is no target when it asks from too far, for another product, for too
# little money, or is no request at all. The rep's field says which.
CRITERION_OF_REASON = {9007: "region", 9006: "product", 9001: "budget", 9005: "spam"}
# How often a loss for that reason in the first two stages means that the request was no target.
CRITERION_SHARE = {"region": 1.0, "product": 1.0, "budget": 0.8, "spam": 0.55}
UNSAID_CRITERION_SHARE = 0.12

# Public holidays and transferred days off; reps do not work, few people ask. On the working days
# before some of them the office closes an hour earlier.
SHORT_DAYS = tuple(
    dt.date.fromisoformat(day)
    for day in (
        "2023-11-03", "2024-02-22", "2024-03-07", "2024-05-08", "2024-06-11", "2024-11-02",
        "2025-03-07", "2025-04-30", "2025-06-11", "2025-11-01", "2026-04-30", "2026-05-08",
        "2026-06-11", "2026-11-03",
    )
)  # fmt: skip
HOLIDAYS = tuple(
    dt.date.fromisoformat(day)
    for day in (
        "2023-11-04", "2023-11-06", "2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04",
        "2024-01-05", "2024-01-06", "2024-01-08", "2024-02-23", "2024-03-08", "2024-04-29",
        "2024-04-30", "2024-05-01", "2024-05-09", "2024-05-10", "2024-06-12", "2024-11-04",
        "2024-12-30", "2024-12-31", "2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04",
        "2025-01-06", "2025-01-07", "2025-01-08", "2025-02-22", "2025-03-08",
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
SERVICE_PIPELINE_ID = 7302950
UNSORTED_STAGE_ID = 61301000
REPEAT_UNSORTED_STAGE_ID = 61305000
SERVICE_UNSORTED_STAGE_ID = 61309000

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
# Complaints after the furniture is in: whoever closes one has not sold anything.
SERVICE_STAGES = (
    Stage(
        61309001,
        "Рекламация принята",
        0.93,
        0.0,
        0.08,
        0.00,
        0.020,
        20.0,
        1.0,
        (0, 0, 0, 20, 0, 40, 0, 0, 40),
    ),
    Stage(
        61309002,
        "Мастер назначен",
        0.96,
        0.0,
        0.00,
        0.02,
        0.020,
        90.0,
        0.7,
        (0, 0, 0, 20, 0, 40, 0, 0, 40),
    ),
)
# (won, lost) names differ by pipeline, as they may in life.
SALES_CLOSED_NAMES = ("Предоплата получена", "Закрыто и не реализовано")
REPEAT_CLOSED_NAMES = ("Повторный заказ оплачен", "Не актуально")
SERVICE_CLOSED_NAMES = ("Решена", "Отклонена")

# A stage had another name once, and one was given up: deals of that time went through it.
RENAMED_STAGE_ID, FORMER_STAGE_NAME = 61301004, "Дизайн-проект"
STAGE_RENAMED_AT = dt.datetime(2026, 2, 2, 7, 0, tzinfo=dt.UTC)
REMOVED_STAGE_ID, REMOVED_STAGE_NAME, REMOVED_STAGE_POSITION = 61301008, "Клиент думает", 55
STAGE_REMOVED_AT = dt.datetime(2025, 10, 6, 7, 0, tzinfo=dt.UTC)
REMOVED_STAGE_SHARE = 0.5
# Repeat orders that a rep puts into the wrong pipeline and moves within the hour.
MOVED_PIPELINE_SHARE = 0.16

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
SERVICE_SHARE = 0.012
# Duplicates whose cards, or whose contacts, a rep merges; the others are closed or lie about.
MERGED_DEAL_SHARE = 0.28
MERGED_CONTACT_SHARE = 0.45
# Of merged duplicates: the second card had another number of the same person.
SECOND_PHONE_SHARE = 0.35
# An old customer who is entered once more, with a new number and the same mail box.
NEW_CARD_SHARE = 0.05
DELETED_CONTACT_SHARE = 0.002
# Inquiries that duplicate control writes into the open deal: the advertisement of the last wins.
REWRITTEN_SHARE = 0.02
PLACEHOLDER_MAILBOX, PLACEHOLDER_SHARE = "no@mail.example", 0.006
SHARED_MAILBOX_SHARE = 0.3
DELETED_SHARE = 0.008
DECLINED_SHARE = 0.02
BUSINESS_CUSTOMER_SHARE = 0.05
LATE_EVENT_SHARE = 0.003
# How many times a rep moves the deadline of a task; three or more are a push, not a plan.
PUSHES = (0.90, 0.05, 0.025, 0.014, 0.008, 0.003)
# What is sent on the way: an offer before the contract is talked of, a contract before the bill.
OFFER_SHARE, REFUSED_OFFER_SHARE, CONTRACT_SHARE, ACT_SHARE = 0.95, 0.6, 0.96, 0.82
# Advances paid in two parts, sales undone with the money back, and a part back for a defect.
SPLIT_ADVANCE_SHARE, REFUND_SHARE, DISCOUNT_SHARE = 0.06, 0.015, 0.01
MEASURE_EMPTY_SHARE = 0.3

TEAMS = ((501001, "Отдел продаж: Север"), (501002, "Отдел продаж: Юг"))
MANAGEMENT_TEAM = (501009, "Руководство")
REPS_PER_TEAM = 6
# One rep left in the tenth month and a newcomer took the place; one works from a private phone.
LEAVER_SLOT = 4
LEAVER_MONTHS_BEFORE_END = 8
NO_TELEPHONY_SLOT = 9
