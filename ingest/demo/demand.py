"""When and through what people ask: channel, campaign, season, weekday and hour."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from ingest.demo import story
from ingest.demo.randomness import DAY, Floats, Ints, Streams, choose, weekday

CHANNEL_CODES = tuple(channel.code for channel in story.CHANNELS)
PRODUCT_CODES = tuple(product.code for product in story.PRODUCTS)
CAMPAIGNS_OF = {
    code: [n for n, campaign in enumerate(story.CAMPAIGNS) if campaign.channel == code]
    for code in CHANNEL_CODES
}
FORM, PHONE, TYPED = 0, 1, 2


def daily_weights(days: Ints, last_full_week: tuple[int, int]) -> Floats:
    """Return the relative number of requests by day and channel.

    Args:
        days: Days since 1970, consecutive.
        last_full_week: First and last day of the last full week, in which something happened.
    """
    dates = [dt.date(1970, 1, 1) + dt.timedelta(days=int(day)) for day in days]
    season = np.array([story.SEASON[date.month - 1] for date in dates])
    base = season * np.array(story.WEEKDAY)[weekday(days)]
    holiday = np.array(
        [date in story.HOLIDAYS or (date.month == 1 and date.day < 9) for date in dates]
    )
    base = np.where(holiday, base * story.HOLIDAY_DEMAND, base)
    grown = np.linspace(0.0, 1.0, len(days))
    is_weekend = weekday(days) >= 5
    is_last_week = (days >= last_full_week[0]) & (days <= last_full_week[1])
    weights = np.empty((len(days), len(story.CHANNELS)))
    for number, channel in enumerate(story.CHANNELS):
        rate = channel.share * base * (1 + channel.trend * (grown - 0.5))
        rate = np.where(is_weekend, rate * channel.weekend, rate)
        weights[:, number] = np.where(is_last_week, rate * channel.last_week, rate)
    return weights


def requests(streams: Streams, count: int, start_local: int, end_local: int) -> dict[str, Any]:
    """Return `count` requests of new people between two Moscow moments, in time order.

    Columns: created (Moscow seconds), channel, campaign (-1: none), product, way (form, phone,
        typed), has_utm.
    """
    rng = streams("demand")
    first_day, last_day = start_local // DAY, end_local // DAY
    days = np.arange(first_day, last_day + 1, dtype=np.int64)
    monday = last_day - int(weekday(np.array([last_day]))[0])
    weights = daily_weights(days, (monday - 7, monday - 1))
    # The last day has only begun: night and early morning.
    shares_of_hours = np.array(story.HOURS) / sum(story.HOURS)
    begun = float(shares_of_hours[: (end_local % DAY) // 3600].sum())
    weights[-1] *= begun
    cell = choose(rng, weights.ravel(), count)
    day, channel = days[cell // len(story.CHANNELS)], cell % len(story.CHANNELS)
    hour = choose(rng, shares_of_hours, count)
    is_last = day == last_day
    if is_last.any():
        morning = shares_of_hours[: max(1, (end_local % DAY) // 3600)]
        hour[is_last] = choose(rng, morning, int(is_last.sum()))
    created = day * DAY + hour * 3600 + rng.integers(0, 3600, count)
    created = np.clip(created, start_local, end_local - 60)
    order = np.argsort(created, kind="stable")
    created, channel = created[order], channel[order]

    campaign = np.full(count, -1, dtype=np.int64)
    product = choose(rng, [product.share for product in story.PRODUCTS], count)
    for number, code in enumerate(CHANNEL_CODES):
        choices = CAMPAIGNS_OF[code]
        if not choices:
            continue
        here = np.flatnonzero(channel == number)
        picked = choose(rng, [story.CAMPAIGNS[n].share for n in choices], len(here))
        campaign[here] = np.array(choices, dtype=np.int64)[picked]
    for number, one in enumerate(story.CAMPAIGNS):
        if one.product is not None:
            # Some of those who clicked on kitchens want a wardrobe after all.
            here = (campaign == number) & (rng.random(count) < 0.85)
            product[here] = PRODUCT_CODES.index(one.product)
    form_share = np.array([c.form_share for c in story.CHANNELS])[channel]
    phone_share = np.array([c.phone_share for c in story.CHANNELS])[channel]
    drawn = rng.random(count)
    way = np.where(
        drawn < form_share, FORM, np.where(drawn < form_share + phone_share, PHONE, TYPED)
    )
    loses = np.choose(way, [story.FORM_LOSES_UTM, story.PHONE_LOSES_UTM, 0.5])
    has_channel_utm = np.array([code in story.UTM for code in CHANNEL_CODES])[channel]
    return {
        "created": created,
        "channel": channel,
        "campaign": campaign,
        "product": product,
        "way": way.astype(np.int64),
        "has_utm": has_channel_utm & (rng.random(count) >= loses),
    }
