"""Deals that walk through the stages, and what follows from them: visits, sales, invoices.

The same walk fills every table, so that lists and sums of the fixture agree with each other.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Insert = Callable[[str, list[dict[str, Any]]], None]

SALES = "amocrm:900:1"
REPEAT = "amocrm:900:2"
WON, LOST = 6, 7
_DEALS = 420
_REPS = 4


@dataclass
class _Walk:
    """One deal: its moves as (stage, moment, direction), and who has it."""

    number: int
    created: dt.datetime
    moves: list[tuple[str, dt.datetime, str]] = field(default_factory=list)
    amount: int = 0
    customer: str = ""
    kind: str = "new"

    @property
    def key(self) -> str:
        return f"amocrm:900:{7000 + self.number}"

    @property
    def rep(self) -> str | None:
        return None if self.number % 41 == 0 else f"amocrm:900:rep{self.number % _REPS}"

    @property
    def outcome(self) -> str:
        last = self.moves[-1][0]
        return {f"{SALES}:{WON}": "won", f"{SALES}:{LOST}": "lost"}.get(last, "open")


def fill_facts(
    insert: Insert, fresh: dt.datetime, channels: tuple[str, ...], *, paid: bool
) -> None:
    """Write the facts of a company.

    Args:
        insert: Puts rows into a table of schema marts.
        fresh: The moment the data end.
        channels: The company's channels.
        paid: Whether invoices and payments are connected.
    """
    chance = random.Random(11)
    walks = list(_walks(chance, fresh))
    _dimensions(insert, fresh, walks)
    _deals(insert, walks, channels)
    _stages(insert, walks, fresh)
    if paid:
        _money(insert, chance, walks)


def _walks(chance: random.Random, fresh: dt.datetime) -> Iterator[_Walk]:
    for number in range(_DEALS):
        created = fresh - dt.timedelta(days=330 * number / _DEALS, hours=chance.random() * 9)
        walk = _Walk(number, created, [(f"{SALES}:0", created, "entry")])
        walk.customer = f"k{number - 1 if number % 9 == 1 else number}"
        walk.kind = "repeat" if number % 9 == 1 else "new"
        stage, at = 0, created
        while stage < WON:
            wait = chance.expovariate(1 / (1 + 4 * stage)) * 86400 * (0.3 if not stage else 1)
            at += dt.timedelta(seconds=round(wait) + 120)
            if at > fresh or chance.random() < 0.04:
                break
            to, direction = _next(chance, stage)
            walk.moves.append((to, at, direction))
            if direction in {"lost", "won", "pipeline_move"}:
                break
            stage = int(to.rsplit(":", 1)[1])
        if len(walk.moves) > 3:
            walk.amount = 1000 * chance.randint(40, 180)
        yield walk


def _next(chance: random.Random, stage: int) -> tuple[str, str]:
    draw = chance.random()
    if draw < 0.24:
        return f"{SALES}:{LOST}", "lost"
    if draw < 0.27 and stage == 0:
        return f"{REPEAT}:20", "pipeline_move"
    if draw < 0.3 and stage > 1:
        return f"{SALES}:{stage - 1}", "backward"
    if stage == WON - 1:
        return f"{SALES}:{WON}", "won"
    return f"{SALES}:{stage + 1}", "forward"


def _dimensions(insert: Insert, fresh: dt.datetime, walks: list[_Walk]) -> None:
    days = [fresh.date() - dt.timedelta(days=n) for n in range(420)]
    insert(
        "dim_dates",
        [
            {
                "date_day": day, "iso_week": f"{day:%G-W%V}", "month_date": day.replace(day=1),
                "is_business_day": day.weekday() < 5, "business_seconds": 32400,
            }
            for day in days
        ],
    )  # fmt: skip
    insert(
        "dim_sales_reps",
        [
            {
                "sales_rep_key": f"amocrm:900:rep{n}", "sales_rep_name": f"#81010{n}",
                "team_name": "Отдел продаж", "is_active": True,
            }
            for n in range(_REPS)
        ]
        + [{"sales_rep_key": "nobody", "sales_rep_name": "nobody", "is_active": False}],
    )  # fmt: skip
    orders: dict[str, int] = {}
    for walk in walks:
        orders[walk.customer] = orders.get(walk.customer, 0) + (walk.outcome == "won")
    insert(
        "dim_customers",
        [
            {
                "customer_key": key, "segment": ("retail", "business")[at % 2],
                "order_count": count, "identity_key_count": 1,
            }
            for at, (key, count) in enumerate(orders.items())
        ],
    )  # fmt: skip


def _deals(insert: Insert, walks: list[_Walk], channels: tuple[str, ...]) -> None:
    insert(
        "dim_deals",
        [
            {
                "deal_key": walk.key, "source_system": "amocrm", "source_account_id": "900",
                "deal_id": str(7000 + walk.number),
                "deal_url": f"https://demo.amocrm.ru/leads/detail/{7000 + walk.number}",
                "deal_name": f"Заявка с сайта {7000 + walk.number}",
                "customer_key": walk.customer, "sales_rep_key": walk.rep,
                "pipeline_id": walk.moves[-1][0].split(":")[2], "stage_key": walk.moves[-1][0],
                "stage_category": walk.outcome, "outcome": walk.outcome,
                "segment": ("retail", "business")[walk.number % 2],
                "created_at": walk.created,
                "closed_at": None if walk.outcome == "open" else walk.moves[-1][1],
                "deal_amount": walk.amount, "channel": channels[walk.number % len(channels)],
                "deal_kind": walk.kind,
                "target_status": {"won": "target", "lost": "non_target"}.get(
                    walk.outcome if walk.number % 3 else "", "undefined"),
                "is_deleted": False, "is_mid_funnel_start": False, "is_first_move_known": True,
            }
            for walk in walks
        ],
    )  # fmt: skip


def _stages(insert: Insert, walks: list[_Walk], fresh: dt.datetime) -> None:
    visits, moves = [], []
    for walk in walks:
        before: str | None = None
        since = walk.created
        for at, (stage, moment, direction) in enumerate(walk.moves):
            after = walk.moves[at + 1][1] if at + 1 < len(walk.moves) else None
            seconds = ((after or fresh) - moment).total_seconds()
            common = {
                "deal_key": walk.key, "is_inferred": False,
                "change_channel": "unknown" if at == 0 else
                ("automation" if walk.number % 17 == 0 else "human"),
            }  # fmt: skip
            visits.append(
                common | {
                    "visit_key": f"{walk.key}:{at + 1}", "visit_number": at + 1, "stage_key": stage,
                    "entered_at": moment, "exited_at": after, "dwell_seconds": seconds,
                    "dwell_business_seconds": seconds * 0.27, "is_censored": after is None,
                    "is_left_truncated": False, "is_dwell_measured": True,
                    "standing_seconds": seconds if after is None else None,
                }
            )  # fmt: skip
            moves.append(
                common | {
                    "transition_key": f"{walk.key}:{at + 1}", "transition_number": at + 1,
                    "from_stage_key": before, "to_stage_key": stage,
                    "from_pipeline_id": before.split(":")[2] if before else None,
                    "to_pipeline_id": stage.split(":")[2],
                    "transitioned_at": moment, "direction": direction,
                    "is_backward": direction == "backward",
                    "dwell_seconds": (moment - since).total_seconds() if before else None,
                    "is_dwell_measured": before is not None,
                    "sales_rep_key": walk.rep,
                }
            )  # fmt: skip
            before, since = stage, moment
    insert("fct_deal_stage_visits", visits)
    insert("fct_deal_stage_transitions", moves)


def _money(insert: Insert, chance: random.Random, walks: list[_Walk]) -> None:
    invoices, payments, credits = [], [], []
    for walk in walks:
        if walk.outcome != "won":
            continue
        closed = walk.moves[-1][1]
        credits.append(
            {
                "credit_key": f"{walk.key}:last", "deal_key": walk.key, "outcome": "won",
                "attribution_model": "last", "outcome_at": closed,
                "touch_count": chance.randint(0, 5), "credit_weight": 1,
                "credit_amount": walk.amount,
            }
        )  # fmt: skip
        for part in range(2):
            key = f"{walk.key}:i{part}"
            issued = closed - dt.timedelta(days=1 - part)
            amount = walk.amount * (6, 4)[part] / 10
            is_paid = chance.random() > 0.2
            invoices.append(
                {
                    "invoice_key": key, "deal_key": walk.key,
                    "invoice_number": f"Счёт {len(invoices) + 1}", "issued_at": issued,
                    "status": "paid" if is_paid else "created", "invoice_amount": amount,
                    "paid_amount": amount if is_paid else 0,
                    "balance_amount": 0 if is_paid else amount, "is_deleted": False,
                }
            )  # fmt: skip
            if is_paid:
                payments.append(
                    {
                        "payment_key": key, "invoice_key": key, "deal_key": walk.key,
                        "customer_key": walk.customer, "paid_at": issued,
                        "payment_amount": amount,
                    }
                )  # fmt: skip
    insert("fct_invoices", invoices)
    insert("fct_payments", payments)
    insert("fct_attribution_credits", credits)
