"""Invoices and payments of deals, and what the advertisements cost."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import compute, filled
from ingest.demo.demand import CHANNEL_CODES, daily_weights
from ingest.demo.randomness import (
    DAY,
    Ints,
    Streams,
    WorkingTime,
    after,
    nullable,
    take_text,
    to_utc,
    weekday,
)
from ingest.demo.tables import SCHEMAS

ADVANCE_SHARE = 0.6
# The rest is billed when the furniture is ready.
PRODUCTION_DAYS = 34
PLATFORMS = tuple(story.AD_LOGINS)
VAT_CHANGES = dt.date(2026, 1, 1)
VAT_BEFORE, VAT_AFTER = 20, 22


def invoices(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> tuple[pa.Table, pa.Table]:
    """Return invoices and their payments.

    A won deal has an advance paid when it was won and a second invoice later; some of the latter
    are paid in two parts, late or never. A deal lost while it waited for the advance leaves an
    unpaid invoice. A few customers cancel and get the advance back, others a part for a defect.
    """
    rng = streams("invoices")
    won, billed = deals["won"], deals["billed"]
    amount = deals["final_amount"]
    advances = np.flatnonzero(((won >= 0) | (billed >= 0)) & (amount > 0))
    issued_advance = np.where(
        billed[advances] >= 0,
        billed[advances] + 300,
        won[advances] - 1800,
    )
    is_paid = won[advances] >= 0
    share = np.where(rng.random(len(advances)) < 0.12, 1.0, ADVANCE_SHARE)
    sum_advance = np.rint(amount[advances] * share).astype(np.int64)

    cancels = is_paid & (rng.random(len(advances)) < story.REFUND_SHARE)
    finals = np.flatnonzero(is_paid & (share < 1.0) & ~cancels)
    ready = won[advances[finals]] + PRODUCTION_DAYS * DAY + after(rng, 5 * DAY, 0.7, len(finals))
    issued_final = calendar.snap(ready, rng)
    inside = issued_final < end_local
    finals, issued_final = finals[inside], issued_final[inside]
    sum_final = amount[advances[finals]] - sum_advance[finals]
    fate = rng.random(len(finals))
    pays_after = after(rng, 3.5 * DAY, 1.0, len(finals))

    deal = np.concatenate([advances, advances[finals]])
    issued = np.concatenate([issued_advance, issued_final])
    total_sum = np.concatenate([sum_advance, sum_final])
    is_final = np.arange(len(deal)) >= len(advances)
    # 0 never, 1 in full, 2 in two parts, 3 a first part only, 4 cancelled and replaced elsewhere
    plan = np.concatenate(
        [
            np.where(
                is_paid,
                np.where((rng.random(len(advances)) < story.SPLIT_ADVANCE_SHARE) & ~cancels, 2, 1),
                np.where(rng.random(len(advances)) < 0.5, 4, 0),
            ),
            np.select([fate < 0.80, fate < 0.90, fate < 0.94, fate < 0.96], [1, 2, 3, 4], 0),
        ]
    )
    first_paid = np.concatenate([won[advances] - 60, issued_final + pays_after])
    # What goes back: all of an advance, or a tenth of a bill for a defect.
    defect = (plan == 1) & (rng.random(len(plan)) < story.DISCOUNT_SHARE) & is_final
    back = np.where(defect, total_sum // 10, 0)
    back[: len(advances)][cancels] = sum_advance[cancels]
    order = np.argsort(issued, kind="stable")
    deal, issued, total_sum, plan, first_paid, back = (
        column[order] for column in (deal, issued, total_sum, plan, first_paid, back)
    )
    is_final = is_final[order]
    count = len(order)
    invoice_id = 1_160_001 + 4 * np.arange(count)
    cancelled = issued + 6 * DAY
    is_cancelled = (plan == 4) & (cancelled < end_local)
    contact = deals["contact_id"][deal]
    invoice_table = filled(
        "invoices",
        {
            "invoice_id": pa.array(invoice_id),
            "number": compute.binary_join_element_wise(
                pa.scalar("Счёт "), compute.cast(pa.array(1001 + np.arange(count)), pa.string()), ""
            ),
            "deal_id": deals["deal_id"][deal],
            "contact_id": nullable(contact, contact < 0),
            "payer_name": deals["payer_name"].take(pa.array(deal)),
            "amount": total_sum,
            "description": take_text([p.title for p in story.PRODUCTS], deals["product"][deal]),
            "is_advance": ~is_final,
            "created_by": deals["user_at"](deals["slot"][deal], to_utc(issued)),
            "issued_at": to_utc(issued),
            "deleted_at": nullable(to_utc(cancelled), ~is_cancelled),
        },
    )
    half = np.rint(total_sum * 0.5).astype(np.int64)
    once = np.flatnonzero(plan == 1)
    begun = np.flatnonzero((plan == 2) | (plan == 3))
    ended = np.flatnonzero(plan == 2)
    refunded = np.flatnonzero(back > 0)
    sent_back = calendar.snap(
        first_paid[refunded] + 4 * DAY + after(rng, 9 * DAY, 0.6, len(refunded)), rng
    )
    invoice = np.concatenate([once, begun, ended, refunded])
    paid = np.concatenate(
        [first_paid[once], first_paid[begun], first_paid[ended] + 16 * DAY, sent_back]
    )
    part = np.concatenate([total_sum[once], half[begun], (total_sum - half)[ended], back[refunded]])
    is_refund = np.arange(len(part)) >= len(part) - len(refunded)
    kept = np.flatnonzero((paid < end_local) & (part > 0))
    kept = kept[np.argsort(paid[kept], kind="stable")]
    payment_table = filled(
        "payments",
        {
            "payment_id": pa.array(1 + np.arange(len(kept))),
            "invoice_id": invoice_id[invoice[kept]],
            "paid_at": to_utc(paid[kept]),
            "amount": part[kept],
            "is_refund": is_refund[kept],
        },
    )
    return invoice_table, payment_table


def campaigns(start_local: int) -> pa.Table:
    """Return the campaigns of the Direct account and the ad plans of the VK account."""
    started = dt.date(1970, 1, 1) + dt.timedelta(days=start_local // DAY - 90)
    rows = [
        {
            "platform": campaign.platform,
            "account_login": story.AD_LOGINS[campaign.platform],
            "campaign_id": campaign.campaign_id,
            "name": campaign.name,
            "campaign_type": campaign.campaign_type,
            "channel": campaign.channel,
            "currency_code": "RUB",
            "started_on": started,
        }
        for campaign in story.CAMPAIGNS
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["ad_campaigns"])


def ad_spend(streams: Streams, request_count: int, start_local: int, end_local: int) -> pa.Table:
    """Return the ledger of campaign days: each day is told four times before it settles.

    Money goes to advertisements as demand allows, whether requests come or not: the noise of the
    two is drawn apart.
    """
    rng = streams("ad_spend")
    days = np.arange(start_local // DAY, end_local // DAY + 1, dtype=np.int64)
    today = int(days[-1])
    monday = today - int(weekday(np.array([today]))[0])
    weights = daily_weights(days, (monday - 7, monday - 1))
    expected = weights / weights[:-1].sum() * request_count
    parts: list[dict[str, Any]] = []
    for campaign in story.CAMPAIGNS:
        leads = expected[:, CHANNEL_CODES.index(campaign.channel)] * campaign.share
        clicks = rng.poisson(leads / campaign.lead_ratio * np.exp(rng.normal(0, 0.16, len(days))))
        impressions = np.maximum(clicks, rng.poisson(clicks / campaign.click_ratio))
        # Clicks grow dearer by a tenth over a year and a half.
        price = (
            campaign.cost_per_click
            * np.linspace(0.95, 1.05, len(days))
            * np.exp(rng.normal(0, 0.09, len(days)))
        )
        cost = np.rint(clicks * price * 100).astype(np.int64) * 10_000
        parts.append(
            {
                "campaign": np.full(len(days), campaign.campaign_id, dtype=np.int64),
                "day": days,
                "impressions": impressions.astype(np.int64),
                "clicks": clicks.astype(np.int64),
                "cost": cost,
            }
        )
    final = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(final["day"])
    is_seen = final["impressions"] > 0
    # Days whose clicks all proved invalid: told first, gone when the figures settle.
    vanishes = (final["clicks"] > 0) & (final["clicks"] <= 2) & (rng.random(count) < 0.25)
    # Rare later corrections, eleven days back: one campaign day in two hundred.
    corrected = rng.random(count) < 0.005
    # (share of the final figure, known from, known to) in Moscow seconds after the day began.
    jitter = rng.normal(0, 0.012, (2, count))
    versions: list[tuple[Any, int, int | None]] = [
        (0.22, 8 * 3600, 13 * 3600),
        (0.55, 13 * 3600, 19 * 3600),
        (0.86, 19 * 3600, DAY + 3 * 3600),
        (1.03 + jitter[0], DAY + 3 * 3600, 2 * DAY + 3 * 3600),
        (1.01 + jitter[1], 2 * DAY + 3 * 3600, 3 * DAY + 3 * 3600),
        (np.where(corrected, 1.09, 1.0), 3 * DAY + 3 * 3600, None),
    ]
    out: list[dict[str, Any]] = []

    def tell(rows: Ints, share: Any, begins: Ints, ends: Ints) -> None:
        of = np.broadcast_to(np.asarray(share, dtype=np.float64), (count,))[rows]
        out.append(
            {
                "row": rows,
                "impressions": np.maximum(1, np.rint(final["impressions"][rows] * of)).astype(
                    np.int64
                ),
                "clicks": np.rint(final["clicks"][rows] * of).astype(np.int64),
                "cost": np.rint(final["cost"][rows] / 10_000 * of).astype(np.int64) * 10_000,
                "begins": begins,
                "ends": ends,
            }
        )

    never = np.iinfo(np.int64).max
    day_start = final["day"] * DAY
    for share, begins, ends in versions:
        is_last = ends is None
        rows = np.flatnonzero(is_seen & ~(vanishes & is_last))
        until = np.full(len(rows), never) if ends is None else day_start[rows] + ends
        if is_last:
            until = np.where(corrected[rows], day_start[rows] + 11 * DAY, until)
        tell(rows, share, day_start[rows] + begins, until)
    rows = np.flatnonzero(is_seen & corrected & ~vanishes)
    tell(rows, 1.0, day_start[rows] + 11 * DAY, np.full(len(rows), never))

    told = {name: np.concatenate([part[name] for part in out]) for name in out[0]}
    # Nobody has seen tomorrow's version of today yet.
    known = told["begins"] < end_local
    order = np.flatnonzero(known)
    order = order[np.lexsort((told["begins"][order], told["row"][order]))]
    told = {name: column[order] for name, column in told.items()}
    row = told["row"]
    open_ended = (told["ends"] == never) | (told["ends"] >= end_local)
    dates = pa.array(final["day"][row].astype("datetime64[D]"))
    vat_day = (VAT_CHANGES - dt.date(1970, 1, 1)).days
    return filled(
        "ad_spend",
        {
            "platform": take_text(
                PLATFORMS,
                np.array([PLATFORMS.index(one.platform) for one in story.CAMPAIGNS])[
                    row // len(days)
                ],
            ),
            "campaign_id": final["campaign"][row],
            "spend_date": dates,
            "impressions": told["impressions"],
            "clicks": told["clicks"],
            "cost_micros": told["cost"],
            "vat_rate_percent": np.where(final["day"][row] >= vat_day, VAT_AFTER, VAT_BEFORE),
            "known_from_at": to_utc(told["begins"]),
            "known_to_at": nullable(to_utc(np.where(open_ended, 0, told["ends"])), open_ended),
        },
    )
