"""Visits of the firm's site: several before a request, on two devices, and most without any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import Column, compute, filled
from ingest.demo.demand import (
    CAMPAIGNS_OF,
    CHANNEL_CODES,
    FORM,
    PHONE,
    PRODUCT_CODES,
    TYPED,
    daily_weights,
)
from ingest.demo.randomness import (
    DAY,
    Flags,
    Ints,
    Streams,
    after,
    choose,
    concatenated,
    nullable,
    take_text,
    to_utc,
    weekday,
)
from ingest.demo.sales import KINDS, NEW

_CHANNEL = {code: number for number, code in enumerate(CHANNEL_CODES)}
_ON_SITE = ("direct_search", "direct_network", "seo", "direct_visit", "vk", "referral")
_YANDEX_ADS = (_CHANNEL["direct_search"], _CHANNEL["direct_network"])
_ADS = (*_YANDEX_ADS, _CHANNEL["vk"])
_DEVICES = ("desktop", "mobile", "tablet")
_DEVICE_WEIGHTS = (0.41, 0.54, 0.05)
# By channel: where a visit comes from, as a counter names it.
_SOURCES = {
    "direct_search": ("ad", "ya_direct", "https://yandex.ru/"),
    "direct_network": ("ad", "ya_direct", "https://dzen.example/"),
    "seo": ("organic", None, "https://yandex.ru/"),
    "direct_visit": ("direct", None, None),
    "vk": ("ad", "vk", "https://vk.com/"),
    "marketplace": ("referral", None, "https://avito.example/"),
    "referral": ("referral", None, "https://forum-remont.example/"),
}
# Only advertisements put marks into the address.
_MARKED = {code: story.UTM[code] for code in ("direct_search", "direct_network", "vk")}
_PAGES = {
    "kitchen": "/kitchens",
    "wardrobe": "/wardrobes",
    "dressing_room": "/dressing-rooms",
    "hallway": "/hallways",
    "office": "/office",
}
_IDLE, _FILLED_IN, _CALLED = range(3)
# A showroom tablet that fewer people use could not be told from a family's computer.
_LEAST_TABLET_USERS = 12
_NOBODY = -1
# Who asks again does so from the other device this often, if there is one.
_SECOND_DEVICE_ASKS = {"repeat": 0.3, "continuation": 0.3, "duplicate": 0.5}
_TABLET_BROWSER = 0


def drawn_campaigns(
    rng: np.random.Generator, channel: Ints, *, only_assisting: bool = True
) -> Ints:
    """Return a campaign of each channel by its share, -1 where the channel has none.

    Args:
        rng: Draws.
        channel: Positions in CHANNELS.
        only_assisting: Leave out those whose visitors do not come back by other ways.
    """
    found = np.full(len(channel), -1, dtype=np.int64)
    for number, code in enumerate(CHANNEL_CODES):
        choices = CAMPAIGNS_OF[code]
        here = np.flatnonzero(channel == number)
        if choices:
            weights = [
                story.CAMPAIGNS[n].share * (story.CAMPAIGNS[n].assists or not only_assisting)
                for n in choices
            ]
            picked = choose(rng, weights, len(here))
            found[here] = np.array(choices, dtype=np.int64)[picked]
    return found


def visits(
    streams: Streams, deals: dict[str, Any], wanted: int, start_local: int, end_local: int
) -> pa.Table:
    """Return the visits, and write into `deals` the browser and the click each deal came with.

    Args:
        streams: Of the firm.
        deals: Its deals; gets `client` and `click` (-1: none).
        wanted: How many visits there are in all, people who never ask included.
        start_local: The beginning of the clock.
        end_local: Its end.
    """
    rng = streams("visits")
    persons = int(deals["person"].max(initial=0)) + 1
    has_two = rng.random(persons) < story.SECOND_DEVICE_SHARE
    converting = _converting(rng, deals, has_two, end_local)
    earlier = _earlier(rng, deals, converting, has_two)
    returning = _returning(rng, converting)
    asked = concatenated([converting, earlier, returning])
    idle = _idle(
        streams,
        max(0, wanted - len(asked["at"])),
        1 + 2 * persons,
        start_local,
        end_local,
    )
    found = concatenated([asked, idle])
    # Converting visits stand first: their positions lead back to the deals.
    found["position"] = np.arange(len(found["at"]))
    kept = np.flatnonzero((found["at"] >= start_local - 30 * DAY) & (found["at"] < end_local - 60))
    order = kept[np.argsort(found["at"][kept], kind="stable")]
    found = {name: column[order] for name, column in found.items()}
    table, client, click = _table(rng, found, persons, end_local)
    _write_back(deals, found, client, click)
    return table


def _browser(person: Ints, second: Flags) -> Ints:
    return 1 + 2 * person + second


def _frame(at: Ints, person: Ints, browser: Ints, channel: Ints, **others: Any) -> dict[str, Any]:
    count = len(at)

    def column(name: str, absent: int) -> Ints:
        return np.broadcast_to(
            np.asarray(others.get(name, absent), dtype=np.int64), (count,)
        ).copy()

    return {
        "at": at,
        "person": person,
        "browser": browser,
        "channel": channel,
        "campaign": column("campaign", -1),
        "product": column("product", 0),
        "result": column("result", _IDLE),
        "deal": column("deal", -1),
        "asked_at": column("asked_at", -1),
        "is_marked": column("is_marked", 1),
    }


def _converting(
    rng: np.random.Generator, deals: dict[str, Any], has_two: Flags, end_local: int
) -> dict[str, Any]:
    """Return the visits that brought requests, those into open deals last."""
    count = len(deals["created"])
    direct = _CHANNEL["direct_visit"]
    # A known customer types the address in.
    channel = np.where(deals["channel"] < len(CHANNEL_CODES), deals["channel"], direct)
    is_on_site = np.isin(channel, [_CHANNEL[code] for code in _ON_SITE])
    in_vk = (channel == _CHANNEL["vk"]) & (rng.random(count) < story.VK_LEAD_FORM_SHARE)
    by_form = (deals["way"] == FORM) & is_on_site & ~in_vk
    by_call = (
        (deals["way"] == PHONE)
        & is_on_site
        & deals["has_utm"]
        & (rng.random(count) < story.TRACKED_CALL_SHARE)
    )
    deal = np.flatnonzero((by_form | by_call) & (deals["person"] >= 0))
    total = len(deal)
    second_chance = np.array([_SECOND_DEVICE_ASKS.get(kind, 0.0) for kind in KINDS])[
        deals["kind"][deal]
    ]
    second = has_two[deals["person"][deal]] & (rng.random(total) < second_chance)
    browser = _browser(deals["person"][deal], second)
    on_tablet = by_form[deal] & (rng.random(total) < story.TABLET_SHARE)
    if on_tablet.sum() >= _LEAST_TABLET_USERS:
        browser = np.where(on_tablet, _TABLET_BROWSER, browser)
    first = _frame(
        deals["created"][deal] - rng.integers(60, 1200, total),
        deals["person"][deal],
        browser,
        channel[deal],
        campaign=deals["campaign"][deal],
        product=deals["product"][deal],
        result=np.where(by_form[deal], _FILLED_IN, _CALLED),
        deal=deal,
        asked_at=deals["created"][deal],
        is_marked=deals["has_utm"][deal] | ~np.isin(channel[deal], _ADS),
    )
    again = np.flatnonzero((deals["second_at"] >= 0) & (deals["second_at"] < end_local))
    other = has_two[deals["person"][again]] & (rng.random(len(again)) < 0.5)
    into_open = _frame(
        deals["second_at"][again] - rng.integers(60, 900, len(again)),
        deals["person"][again],
        _browser(deals["person"][again], other),
        deals["second_channel"][again],
        campaign=deals["second_campaign"][again],
        product=deals["product"][again],
        result=_FILLED_IN,
        deal=again,
        asked_at=deals["second_at"][again],
    )
    return concatenated([first, into_open])


def _earlier(
    rng: np.random.Generator, deals: dict[str, Any], converting: dict[str, Any], has_two: Flags
) -> dict[str, Any]:
    """Return the visits before the first request of each person, through other channels too."""
    is_first = deals["kind"] == NEW
    from_site = np.zeros(len(is_first), dtype=np.bool_)
    from_site[converting["deal"]] = True
    # Half of those who rang without a trace had looked at the site as well.
    looked = (deals["way"] != TYPED) & ~from_site & (rng.random(len(is_first)) < 0.5)
    deal = np.flatnonzero(is_first & (from_site | looked) & (deals["person"] >= 0))
    number = choose(rng, story.EARLIER_VISITS, len(deal))
    deal = np.repeat(deal, number)
    total = len(deal)
    gap = np.minimum(after(rng, story.EARLIER_DAYS * DAY, 1.1, total), 60 * DAY) + 1800
    own = deals["channel"][deal]
    same = (rng.random(total) < story.EARLIER_SAME_CHANNEL) & np.isin(
        own, [_CHANNEL[code] for code in _ON_SITE]
    )
    channel = np.where(same, own, choose(rng, story.EARLIER_CHANNELS, total))
    campaign = np.where(
        same & (deals["campaign"][deal] >= 0),
        deals["campaign"][deal],
        drawn_campaigns(rng, channel),
    )
    person = deals["person"][deal]
    second = has_two[person] & (rng.random(total) < story.SECOND_DEVICE_VISITS)
    return _frame(
        deals["created"][deal] - gap,
        person,
        _browser(person, second),
        channel,
        campaign=campaign,
        product=deals["product"][deal],
    )


def _returning(rng: np.random.Generator, converting: dict[str, Any]) -> dict[str, Any]:
    """Return later looks of people who asked."""
    total = len(converting["at"])
    who = np.flatnonzero(
        (rng.random(total) < story.COMES_BACK_SHARE) & (converting["browser"] != _TABLET_BROWSER)
    )
    mix = np.zeros(len(CHANNEL_CODES))
    mix[[_CHANNEL["direct_visit"], _CHANNEL["seo"], _CHANNEL["direct_network"]]] = (0.5, 0.2, 0.3)
    channel = choose(rng, mix, len(who))
    return _frame(
        converting["at"][who] + 3 * 3600 + after(rng, 5 * DAY, 1.0, len(who)),
        converting["person"][who],
        converting["browser"][who],
        channel,
        campaign=drawn_campaigns(rng, channel),
        product=converting["product"][who],
    )


def _idle(
    streams: Streams, wanted: int, first_browser: int, start_local: int, end_local: int
) -> dict[str, Any]:
    """Return visits of people who never ask."""
    rng = streams("idle_visits")
    days = np.arange(start_local // DAY, end_local // DAY + 1, dtype=np.int64)
    monday = int(days[-1]) - int(weekday(days[-1:])[0])
    shares = np.array([channel.share for channel in story.CHANNELS])
    weights = daily_weights(days, (monday - 7, monday - 1)) / shares * story.IDLE_CHANNELS
    once = wanted - wanted // 3
    cell = choose(rng, weights.ravel(), once)
    day, channel = days[cell // len(shares)], cell % len(shares)
    at = day * DAY + choose(rng, story.HOURS, once) * 3600 + rng.integers(0, 3600, once)
    browser = first_browser + np.arange(once)
    # A third comes a second time, by then often by name.
    again = rng.integers(0, max(1, once), wanted - once)
    by_name = rng.random(len(again)) < 0.4
    at = np.concatenate([at, at[again] + 3600 + after(rng, 4 * DAY, 1.1, len(again))])
    channel = np.concatenate([channel, np.where(by_name, _CHANNEL["direct_visit"], channel[again])])
    return _frame(
        at,
        np.full(len(at), _NOBODY),
        np.concatenate([browser, browser[again]]),
        channel,
        campaign=drawn_campaigns(rng, channel, only_assisting=False),
        product=choose(rng, [product.share for product in story.PRODUCTS], len(at)),
    )


def _table(
    rng: np.random.Generator, found: dict[str, Any], persons: int, end_local: int
) -> tuple[pa.Table, Ints, Ints]:
    at, browser, channel, campaign = (
        found[name] for name in ("at", "browser", "channel", "campaign")
    )
    count = len(at)
    utc = to_utc(at)
    converts = found["result"] != _IDLE
    bounces = ~converts & (rng.random(count) < 0.26)
    stay = np.where(
        converts,
        found["asked_at"] - at + rng.integers(5, 120, count),
        np.where(bounces, rng.integers(2, 15, count), 15 + after(rng, 75, 1.0, count)),
    )
    stay = np.minimum(stay, end_local - 1 - at)
    pages = np.where(bounces, 1, 2 + rng.poisson(np.where(converts, 4.0, 2.2)))
    first_seen = np.zeros(count, dtype=np.bool_)
    first_seen[np.unique(browser, return_index=True)[1]] = True

    # Visit ids are unique within a year only: the first ones of a year repeat those of another.
    visit = utc * 1_000_000_000 + np.arange(count)
    new_year = int(np.searchsorted(utc, _YEAR_2026))
    same = min(3, new_year, count - new_year)
    visit[new_year : new_year + same] = visit[:same]
    client = 1_700_000_000_000_000_000 + (browser + 7) * 7_919_000_003
    is_ad = np.isin(channel, _ADS)
    clicked = np.isin(channel, _YANDEX_ADS)
    click = np.where(clicked, 4_300_000_000_000_000_000 + utc * 1_000_003 + np.arange(count), -1)

    devices = _device_of(browser, persons)
    marked = is_ad & (found["is_marked"] > 0)
    sources = [_SOURCES[code] for code in CHANNEL_CODES]
    marks = [_MARKED.get(code, (None, None, None)) for code in CHANNEL_CODES]
    campaign_text = take_text(
        [str(c.campaign_id) for c in story.CAMPAIGNS], np.where(marked, campaign, -1)
    )
    ad = 1_810_000_000 + np.maximum(campaign, 0) * 1000 + rng.integers(0, 12, count)
    content = _digits(ad, marked & (campaign >= 0))
    words = np.where(
        marked & (channel == _CHANNEL["direct_search"]),
        rng.integers(0, len(story.WORDS), count),
        -1,
    )
    at_marked = np.where(marked, channel, -1)
    source, medium = (take_text([mark[n] for mark in marks], at_marked) for n in (0, 1))
    page = take_text([_PAGES[code] for code in PRODUCT_CODES], found["product"])
    address = compute.binary_join_element_wise(pa.scalar(story.SITE), page, "")
    query = compute.binary_join_element_wise(
        pa.scalar("?utm_source="),
        source,
        pa.scalar("&utm_medium="),
        medium,
        pa.scalar("&utm_campaign="),
        campaign_text,
        "",
    )
    yclid = _digits(click, clicked)
    start = compute.binary_join_element_wise(
        address,
        compute.coalesce(query, pa.scalar("")),
        compute.coalesce(
            compute.binary_join_element_wise(
                compute.if_else(pa.array(marked), pa.scalar("&yclid="), pa.scalar("?yclid=")),
                yclid,
                "",
            ),
            pa.scalar(""),
        ),
        "",
    )
    thanks = pa.scalar(f"{story.SITE}/thanks")
    calculates = ~converts & (rng.random(count) < 0.04)
    late = rng.random(count) < story.LATE_VISIT_SHARE
    known = at + stay + np.where(late, rng.integers(DAY, 3 * DAY, count), 300)
    absent = found["person"] < 0
    table = filled(
        "visits",
        {
            "visit_id": compute.cast(pa.array(visit), pa.string()),
            "client_id": compute.cast(pa.array(client), pa.string()),
            "person_id": nullable(found["person"] + 1, absent),
            "device": take_text(_DEVICES, devices),
            "visited_at": utc,
            "duration_seconds": stay,
            "page_views": pages,
            "is_new_user": first_seen,
            "is_bounce": bounces,
            "start_url": start,
            "end_url": compute.if_else(pa.array(found["result"] == _FILLED_IN), thanks, address),
            "referer": take_text([source[2] for source in sources], channel),
            "traffic_source": take_text([source[0] for source in sources], channel),
            "adv_engine": take_text([source[1] for source in sources], channel),
            "utm_source": source,
            "utm_medium": medium,
            "utm_campaign": campaign_text,
            "utm_content": content,
            "utm_term": take_text(story.WORDS, words),
            "click_id": yclid,
            "goals": take_text(
                (
                    "[]",
                    f"[{story.FORM_GOAL}]",
                    f"[{story.CALL_GOAL}]",
                    f"[{story.CALCULATOR_GOAL}]",
                ),
                np.where(calculates, 3, found["result"]),
            ),
            "channel": take_text(CHANNEL_CODES, channel),
            "campaign_id": nullable(
                np.array([c.campaign_id for c in story.CAMPAIGNS])[campaign], campaign < 0
            ),
            "known_from_at": to_utc(np.minimum(known, end_local)),
        },
    )
    return table, client, click


def _device_of(browser: Ints, persons: int) -> Ints:
    """Return the device behind each browser: the second one of a person is of another kind."""
    # A fixed scatter by browser, so that all visits of one browser agree.
    owner = np.where(browser <= 2 * persons, (browser - 1) // 2, browser)
    scattered = (owner * 2_654_435_761 % 4_294_967_296) / 4_294_967_296
    first = np.searchsorted(np.cumsum(_DEVICE_WEIGHTS), scattered, side="right").clip(0, 2)
    is_second = (browser > 0) & (browser <= 2 * persons) & (browser % 2 == 0)
    found = np.where(is_second, np.where(first == 0, 1, 0), first)
    return np.where(browser == _TABLET_BROWSER, 2, found)


def _digits(values: Ints, present: Any) -> Column:
    return compute.if_else(
        pa.array(present), compute.cast(pa.array(values), pa.string()), pa.scalar(None, pa.string())
    )


def _write_back(deals: dict[str, Any], found: dict[str, Any], client: Ints, click: Ints) -> None:
    """Write the browser and the click into the deals; the last inquiry wins."""
    count = len(deals["created"])
    deals["client"], deals["click"] = (np.full(count, -1, dtype=np.int64) for _ in range(2))
    rows = np.flatnonzero(found["deal"] >= 0)
    rows = rows[np.argsort(found["position"][rows], kind="stable")]
    of = found["deal"][rows]
    deals["client"][of] = client[rows]
    # A site that loses the marks loses the click as well.
    deals["click"][of] = np.where(found["is_marked"][rows] > 0, click[rows], -1)


_YEAR_2026 = 1_767_214_800
