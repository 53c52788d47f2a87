"""What looks like a fault and is none."""

from __future__ import annotations

import numpy as np

from ingest.demo.planted.baseline import (
    ADVANCE,
    CONTRACT,
    ESTIMATE,
    NOT_OURS,
    QUALIFIED,
    REGION,
)
from ingest.demo.planted.contacting import (
    earliest,
    first_answer,
    ordinary,
    ripe_leads,
    users_without_telephony,
)
from ingest.demo.planted.draft import day_begins, local_day, local_hour
from ingest.demo.planted.plan import FAR, Plan
from ingest.demo.planted.truth_tables import paired_ids
from ingest.demo.randomness import DAY
from ingest.demo.tables import WON_STAGE_ID

_SAME_DAY_SHARE = 0.015
_CORRECTED_SHARE = 0.01
_LEAST_DEALS = 5


def plant_look_alikes(plan: Plan) -> None:
    """Plant deals sold on the day they came and cards put right at once."""
    if not plan.truths.look_alikes:
        return
    _sell_on_the_same_day(plan)
    _correct_at_once(plan)


def mark_look_alikes(plan: Plan) -> None:
    """Take down robots that move cards on payment, holidays, and reps whose calls nobody sees."""
    if not plan.truths.look_alikes:
        return
    _mark_payments(plan)
    _mark_holidays(plan)
    _mark_reps(plan)


def _sell_on_the_same_day(plan: Plan) -> None:
    draft = plan.draft
    rng = plan.rng("honest_same_day_deal")
    created = draft.deals["created_at"]
    hour = local_hour(created)
    won = draft.is_won() & ordinary(draft)
    pool = won & plan.is_open_day(created) & (hour >= 9) & (hour < 14)
    ends = np.append(draft.moves["changed_at"], 0)[draft.last_moves()]
    answered = first_answer(draft)
    pool &= (ends - created > DAY) & (answered < created + 1800)
    deal = plan.choose("honest_same_day_deal", pool, max(3, _SAME_DAY_SHARE * won.sum()))
    evening = day_begins(local_day(created[deal])) + 16 * 3600 + rng.integers(0, 9000, len(deal))
    begin = created[deal] + 1800
    draft.stretch(
        *(draft.per_deal(deal, values) for values in (begin, ends[deal], begin, evening)),
    )
    plan.record.items(
        "late_recording",
        "deal",
        draft.deals["deal_id"][deal],
        look_alike="honest_same_day_deal",
        moment_at=created[deal],
    )


def _correct_at_once(plan: Plan) -> None:
    """Move cards one stage too far and back within minutes."""
    draft = plan.draft
    rng = plan.rng("correction_within_minutes")
    moves = draft.moves
    owner = draft.move_deal()
    count = len(draft.deals)
    into = draft.entry_rows(QUALIFIED)
    following = np.minimum(into + 1, len(moves) - 1)
    is_followed = owner[following] == np.arange(count)
    free_until = np.where(is_followed, moves["changed_at"][following], draft.now)
    at = np.append(moves["changed_at"], 0)[into]
    beyond = np.zeros(count, dtype=np.bool_)
    later = (ESTIMATE, CONTRACT, ADVANCE, WON_STAGE_ID)
    beyond[owner[np.isin(moves["to_stage_id"], later)]] = True
    # "Not our product" would look contradicted by the stage entered by mistake.
    beyond[owner[np.isin(moves["loss_reason_id"], (NOT_OURS, REGION))]] = True
    by_hand = np.append(moves["changed_by"], 0)[into] > 0
    pool = ordinary(draft) & (into >= 0) & by_hand & ~beyond & (free_until - at > 1800)
    deal = plan.choose("correction_within_minutes", pool, max(3, _CORRECTED_SHARE * pool.sum()))
    wrong_at = at[deal] + rng.integers(20, 90, len(deal))
    back_at = wrong_at + rng.integers(40, 420, len(deal))
    user = moves["changed_by"][into[deal]]
    pipeline = draft.deals["pipeline_id"][deal]
    rows = into[deal]
    last = len(moves)
    for moment, source, target in (
        (wrong_at, QUALIFIED, ESTIMATE),
        (back_at, ESTIMATE, QUALIFIED),
    ):
        moves.append(
            deal_id=draft.deals["deal_id"][deal],
            changed_at=moment,
            from_pipeline_id=pipeline,
            from_stage_id=np.full(len(deal), source),
            to_pipeline_id=pipeline,
            to_stage_id=np.full(len(deal), target),
            changed_by=user,
            published_at=moment,
        )
    place = np.concatenate([3 * np.arange(last), 3 * rows + 1, 3 * rows + 2])
    moves.take(np.argsort(place, kind="stable"))
    plan.record.items(
        "phantom_stage",
        "stage",
        paired_ids(draft.deals["deal_id"][deal], np.full(len(deal), ESTIMATE)),
        look_alike="correction_within_minutes",
        moment_at=wrong_at,
        value=(back_at - wrong_at).astype(np.float64),
    )


def _mark_payments(plan: Plan) -> None:
    draft = plan.draft
    moves, payments = draft.moves, draft["payments"]
    owner = draft.move_deal()
    came = ~payments.flags("is_refund")
    paid = earliest(len(draft.deals), draft.deal_of("payments")[came], payments["paid_at"][came])
    lag = moves["changed_at"] - np.minimum(paid[owner], moves["changed_at"])
    rows = np.flatnonzero(
        (moves["to_stage_id"] == WON_STAGE_ID)
        & (moves["changed_by"] == 0)
        & (paid[owner] <= moves["changed_at"])
        & (lag < 600)
        & ~plan.taken[owner]
    )
    plan.record.items(
        "late_recording",
        "deal",
        moves["deal_id"][rows],
        look_alike="robot_move_on_payment",
        moment_at=moves["changed_at"][rows],
        value=lag[rows].astype(np.float64),
    )


def _mark_holidays(plan: Plan) -> None:
    draft = plan.draft
    created = draft.deals["created_at"]
    day = local_day(created)
    is_closed = ~plan.calendar.is_open_day(day)
    # Three closed days or more in a row, this one among them.
    around = np.zeros(len(day), dtype=np.bool_)
    for shift in (-2, -1, 0):
        run = np.ones(len(day), dtype=np.bool_)
        for step in range(3):
            run &= ~plan.calendar.is_open_day(day + shift + step)
        around |= run
    answered = first_answer(draft)
    waits = (answered < FAR) & (answered - created > DAY)
    opens = day_begins(plan.time.next_open_day(created))
    deal = np.flatnonzero(
        ripe_leads(draft) & is_closed & around & waits & (answered < opens + DAY) & ~plan.taken
    )
    plan.record.items(
        "slow_first_response",
        "deal",
        draft.deals["deal_id"][deal],
        look_alike="holiday_gap",
        moment_at=created[deal],
        value=(answered[deal] - created[deal]) / 3600,
    )


def _mark_reps(plan: Plan) -> None:
    draft = plan.draft
    silent = users_without_telephony(draft)
    owner = draft.deals["responsible_user_id"]
    won = draft.is_won()
    reps = [
        int(rep)
        for rep in silent
        if (owner == rep).sum() >= _LEAST_DEALS and (won & (owner == rep)).any()
    ]
    plan.record.items(
        "never_called",
        "sales_rep",
        [str(rep) for rep in reps],
        look_alike="rep_without_telephony",
        value=np.array([(owner == rep).sum() for rep in reps], dtype=np.float64),
    )
    leads = np.flatnonzero(ordinary(draft) & np.isin(owner, reps))
    plan.record.items(
        "never_called",
        "deal",
        draft.deals["deal_id"][leads],
        look_alike="rep_without_telephony",
        moment_at=draft.deals["created_at"][leads],
    )
