"""Truths that decide what becomes of a request: who is answered late, never, once, or in vain."""

from __future__ import annotations

import numpy as np

from ingest.demo.planted.baseline import ADVANCE, CONTRACT, ENTRY, ESTIMATE, MEASURING
from ingest.demo.planted.contacting import (
    attempts,
    entered_at,
    first_answer,
    first_talk,
    human_words,
    ordinary,
    ripe_leads,
)
from ingest.demo.planted.draft import NULL, Draft, day_begins, local_hour
from ingest.demo.planted.plan import FAR, Plan
from ingest.demo.randomness import DAY, Flags, Ints
from ingest.demo.sales import pick_some
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

WASTED_CAMPAIGN_ID = 70110025
SLOW_FROM_HOUR, SLOW_TO_HOUR = 15, 18
SLOW_SHARE = 0.85
WORKED_CHANNEL, FAILED_CHANNEL = "seo", "marketplace"
MEASURED_WITHIN_DAYS = 30
# So long a visit counts as what a request came from.
_REMEMBERED = 90 * DAY
_DIRECT_VISIT = "direct_visit"
_APART = 1 << 33
_SALES = ("new", "repeat", "continuation")
# What was left alone this long ago stays alone.
_LONG_AGO = 21 * DAY
_KNOWN_YIELDS = 3


def waste_campaign(plan: Plan) -> None:
    """Let a campaign spend and sell nothing: not even later to those who came through it."""
    factor = plan.truths.wasted_campaign
    if not factor:
        return
    draft = plan.draft
    spend = draft["ad_spend"]
    rows = spend["campaign_id"] == WASTED_CAMPAIGN_ID
    for column in ("impressions", "clicks", "cost_micros"):
        unit = 10_000 if column == "cost_micros" else 1
        spend[column] = np.where(
            rows, np.rint(spend[column] / unit * factor).astype(np.int64) * unit, spend[column]
        )
    brought = draft.deals.equals("utm_campaign", str(WASTED_CAMPAIGN_ID))
    plan.taken |= brought
    plan.lose_somewhere("wasted_campaign", np.flatnonzero(brought & draft.is_won()))
    # A deal made anew and an order of a client bear no trace of the campaign, their people do.
    also = _of_people_through(draft, WASTED_CAMPAIGN_ID, brought) & sales(draft)
    plan.taken |= also
    plan.lose_somewhere("wasted_campaign_later", np.flatnonzero(also))
    final = rows & (spend["known_to_at"] == NULL)
    spent = int(spend["cost_micros"][final].sum()) // 1_000_000
    plan.record.items(
        "wasted_campaign",
        "campaign",
        [str(WASTED_CAMPAIGN_ID)],
        amount=np.array([spent]),
        value=[float(brought.sum())],
    )
    plan.record.size("wasted_campaign", "spend", spent, "rubles without VAT")
    plan.record.size("wasted_campaign", "requests", brought.sum(), "deals")


def _of_people_through(draft: Draft, campaign_id: int, brought: Flags) -> Flags:
    """Return all deals of the people whom a campaign brought to the site or to a request."""
    person, visits = draft.person(), draft["visits"]
    people = np.concatenate(
        [visits["person_id"][visits["campaign_id"] == campaign_id], person[brought]]
    )
    return np.isin(person, people[people != NULL])


def sales(draft: Draft) -> Flags:
    """Return the deals that are won and sell something: no claims, no trial entries."""
    is_order = np.zeros(len(draft.deals), dtype=np.bool_)
    for kind in _SALES:
        is_order |= draft.deals.equals("kind", kind)
    return draft.is_won() & is_order


def sales_after(draft: Draft, campaign_id: int) -> int:
    """Return how many sales a campaign was the last step to: the last visit but direct ones."""
    visits = draft["visits"]
    rows = np.flatnonzero((visits["person_id"] != NULL) & ~visits.equals("channel", _DIRECT_VISIT))
    rows = rows[np.lexsort((visits["visited_at"][rows], visits["person_id"][rows]))]
    sold = np.flatnonzero(sales(draft))
    person, asked_at = draft.person()[sold], draft.deals["created_at"][sold]
    # Persons stand apart by more than any moment, so one number orders both.
    place = np.searchsorted(
        visits["person_id"][rows] * _APART + visits["visited_at"][rows],
        np.where(person == NULL, 0, person) * _APART + asked_at,
        side="right",
    )
    before = np.append(rows, -1)[place - 1]
    is_known = (
        (place > 0)
        & (visits["person_id"][before] == person)
        & (visits["visited_at"][before] > asked_at - _REMEMBERED)
    )
    return int((is_known & (visits["campaign_id"][before] == campaign_id)).sum())


def record_waste(plan: Plan) -> None:
    """Take down what the campaign sold after all."""
    if not plan.truths.wasted_campaign:
        return
    won = sales_after(plan.draft, WASTED_CAMPAIGN_ID)
    plan.record.size("wasted_campaign", "won", won, "deals")


def hypothesis_start(plan: Plan, later_days: int = 0) -> int:
    """Return the Monday on which a change was made, a third of the clock before its end."""
    begins, ends = plan.span()
    return plan.monday_before_end((ends - begins) // DAY * 9 // 25 - later_days)


def work_hypothesis(plan: Plan) -> None:
    """Take a share of the appointments away before a change that brings them."""
    share = plan.truths.hypothesis_worked
    if not share:
        return
    draft = plan.draft
    rng = plan.rng("hypothesis_worked")
    reached = measured_rows(plan)
    before = (
        ordinary(draft)
        & draft.deals.equals("channel", WORKED_CHANNEL)
        & (draft.deals["created_at"] < hypothesis_start(plan))
        & (reached >= 0)
    )
    pool = np.flatnonzero(before)
    deal = pick_some(rng, pool, round(share * len(pool)))
    rows = np.sort(reached[deal])
    deal = draft.move_deal()[rows]
    reasons = plan.plausible_reasons(deal, draft.moves["changed_at"][rows], rng)
    draft.lose(rows, reasons, repoint=plan.rng("hypothesis_worked.repoint"))
    plan.taken[deal] = True


def measured_rows(plan: Plan) -> Ints:
    """Return the change by which each deal first reached the measuring or more, -1 for never."""
    draft = plan.draft
    beyond = (MEASURING, ESTIMATE, CONTRACT, ADVANCE, WON_STAGE_ID)
    rows = np.flatnonzero(np.isin(draft.moves["to_stage_id"], beyond))[::-1]
    found = np.full(len(draft.deals), -1, dtype=np.int64)
    found[draft.move_deal()[rows]] = rows
    return found


def answer_slowly(plan: Plan) -> None:
    """Answer the requests of the late afternoon the next day, and lose some for it."""
    effect = plan.truths.slow_first_response
    if not effect:
        return
    draft = plan.draft
    rng = plan.rng("slow_first_response")
    created = draft.deals["created_at"]
    hour = local_hour(created)
    answered = first_answer(draft)
    pool = (
        ripe_leads(draft)
        & plan.is_open_day(created)
        & (hour >= SLOW_FROM_HOUR)
        & (hour < SLOW_TO_HOUR)
        & (answered > created + 60)
        & (answered < created + 3 * 3600)
    )
    slow = plan.choose("slow_first_response", pool, SLOW_SHARE * (pool & ~plan.taken).sum())
    begin = answered[slow]
    new_begin = (
        day_begins(plan.time.next_open_day(created[slow]))
        + 10 * 3600
        + rng.integers(1800, 3 * 3600, len(slow))
    )
    end = new_begin + 3 * 3600
    draft.stretch(
        *(draft.per_deal(slow, values) for values in (begin, end, new_begin, end)),
    )
    # What was sent before the first word was sent after it, too.
    documents = draft["documents"]
    spoken = np.append(draft.per_deal(slow, new_begin), NULL)[draft.deal_of("documents")]
    documents["sent_at"] = np.maximum(documents["sent_at"], spoken)
    amount = plan.would_be_amount()
    won = slow[draft.is_won()[slow]]
    lost = plan.lose_somewhere("slow_first_response", pick_some(rng, won, round(effect * len(won))))
    is_lost = np.isin(slow, lost)
    deals = draft.deals
    plan.record.items(
        "slow_first_response",
        "deal",
        deals["deal_id"][slow],
        moment_at=created[slow],
        amount=np.where(is_lost, amount[slow], NULL),
        value=plan.time.between(created[slow], new_begin) / 3600,
        label=np.where(is_lost, "lost_by_delay", "answered_late").tolist(),
    )
    sizes = (
        ("from_hour", SLOW_FROM_HOUR, "hour in Moscow"),
        ("to_hour", SLOW_TO_HOUR, "hour in Moscow"),
        ("share_of_hours", SLOW_SHARE, "share of requests"),
        ("slow_deals", len(slow), "deals"),
        ("won_lost", len(lost), "deals"),
        ("effect", len(lost) / max(1, len(won)), "share of wins lost"),
        ("amount_lost", amount[lost].sum(), "rubles"),
    )
    for parameter, value, unit in sizes:
        plan.record.size("slow_first_response", parameter, value, unit)


def _spoke_in(plan: Plan) -> Flags:
    """Return the deals whose person rang and was answered."""
    calls = plan.draft["calls"]
    taken = calls.equals("direction", "in") & (calls["duration_seconds"] > 0)
    owner = plan.draft.deal_of("calls")
    found = np.zeros(len(plan.draft.deals), dtype=np.bool_)
    found[owner[taken & (owner >= 0)]] = True
    return found


def _silence(plan: Plan, deal: Ints) -> None:
    """Take away what the firm did towards the people of these deals."""
    draft = plan.draft
    chosen = np.zeros(len(draft.deals), dtype=np.bool_)
    chosen[deal] = True
    owner = draft.deal_of("calls")
    out = ~draft["calls"].equals("direction", "in")
    draft["calls"].take(~((owner >= 0) & chosen[owner] & out))
    owner = draft.deal_of("messages")
    draft["messages"].take(~((owner >= 0) & chosen[owner] & human_words(draft)))
    tasks = draft["tasks"]
    owner = draft.deal_of("tasks")
    tasks["completed_at"] = np.where((owner >= 0) & chosen[owner], NULL, tasks["completed_at"])
    tasks.put("result_text", (owner >= 0) & chosen[owner], None)
    owner = draft.deal_of("notes")
    draft["notes"].take(~((owner >= 0) & chosen[owner]))


def _old_leads(plan: Plan) -> Flags:
    draft = plan.draft
    is_old: Flags = draft.deals["created_at"] < draft.now - _LONG_AGO
    return ripe_leads(draft) & is_old


def never_call(plan: Plan) -> None:
    """Leave requests lying: nobody calls, nobody writes, the card never moves."""
    share = plan.truths.never_called
    if not share:
        return
    draft = plan.draft
    leads = _old_leads(plan)
    deal = plan.choose("never_called", leads & ~_spoke_in(plan), share * leads.sum())
    amount = plan.would_be_amount()[deal]
    taken_in = entered_at(draft)
    draft.close(deal, taken_in[deal], draft.is_won()[deal], plan.rng("never_called.repoint"))
    _silence(plan, deal)
    # What remains is the way out of the unsorted list, which a robot went.
    chosen = draft.per_deal(deal, 1)[draft.move_deal()] == 1
    draft.moves["changed_by"] = np.where(chosen, 0, draft.moves["changed_by"])
    accepted = draft.deals["handover_accepted_at"].copy()
    accepted[deal] = NULL
    draft.deals["handover_accepted_at"] = accepted
    plan.expire("never_called", deal)
    _record_lost(plan, "never_called", deal, amount, label="never_called")
    plan.record.size("never_called", "share", len(deal) / max(1, leads.sum()), "share of requests")
    plan.record.size("never_called", "deals", len(deal), "deals")


def hand_over_in_vain(plan: Plan) -> None:
    """Accept requests and do nothing: the card moves on, nobody calls."""
    share = plan.truths.handover_theatre
    if not share:
        return
    draft = plan.draft
    leads = _old_leads(plan)
    moves = draft.moves
    rows = np.flatnonzero(
        (moves["from_stage_id"] == ENTRY)
        & (moves["changed_by"] > 0)
        & ~np.isin(moves["to_stage_id"], (WON_STAGE_ID, LOST_STAGE_ID))
    )[::-1]
    accepts = np.full(len(draft.deals), -1, dtype=np.int64)
    accepts[draft.move_deal()[rows]] = rows
    deal = plan.choose(
        "handover_theatre", leads & ~_spoke_in(plan) & (accepts >= 0), share * leads.sum()
    )
    amount = plan.would_be_amount()[deal]
    at = moves["changed_at"][accepts[deal]]
    draft.close(deal, at, draft.is_won()[deal], plan.rng("handover_theatre.repoint"))
    _silence(plan, deal)
    for column, values in (
        ("handover_offered_at", draft.deals["created_at"][deal]),
        ("handover_accepted_at", at),
    ):
        known = draft.deals[column].copy()
        known[deal] = np.where(known[deal] == NULL, values, known[deal])
        draft.deals[column] = known
    plan.expire("handover_theatre", deal)
    _record_lost(plan, "handover_theatre", deal, amount, moment_at=at)
    # Nobody ever called these either.
    _record_lost(plan, "never_called", deal, amount, label="handover_theatre")
    plan.record.size(
        "handover_theatre", "share", len(deal) / max(1, leads.sum()), "share of requests"
    )
    plan.record.size("handover_theatre", "deals", len(deal), "deals")


def abandon(plan: Plan) -> None:
    """Stop after one attempt that reached nobody, with no loss recorded."""
    share = plan.truths.abandoned_follow_up
    if not share:
        return
    draft = plan.draft
    leads = _old_leads(plan)
    made = attempts(draft)
    failed = (made.number == 1) & made.is_open & ~made.reaches
    first = np.full(len(draft.deals), FAR, dtype=np.int64)
    first[made.deal[failed]] = made.at[failed]
    wrote = np.zeros(len(draft.deals), dtype=np.bool_)
    words = human_words(draft)
    owner = draft.deal_of("messages")[words]
    wrote[owner[owner >= 0]] = True
    spoken = first_talk(draft)
    pool = leads & (first < FAR) & ~wrote & (spoken - 3600 > first)
    deal = plan.choose("abandoned_follow_up", pool, share * leads.sum())
    amount = plan.would_be_amount()[deal]
    reached_later = spoken[deal] < FAR
    # Calls within the hour of the first attempt belong to it.
    until = first[deal] + 3599
    draft.close(deal, until, draft.is_won()[deal], plan.rng("abandoned_follow_up.repoint"))
    _reopen(plan, deal)
    plan.expire("abandoned_follow_up", deal)
    plan.record.items(
        "abandoned_follow_up",
        "deal",
        draft.deals["deal_id"][deal],
        moment_at=first[deal],
        amount=amount,
        value=reached_later.astype(np.float64),
        label="would_have_been_reached_is_value",
    )
    plan.record.size(
        "abandoned_follow_up", "share", len(deal) / max(1, leads.sum()), "share of requests"
    )
    plan.record.size("abandoned_follow_up", "deals", len(deal), "deals")
    plan.record.size("abandoned_follow_up", "amount_lost", amount[amount != NULL].sum(), "rubles")


def _reopen(plan: Plan, deal: Ints) -> None:
    """Take back losses recorded within the hour of the only attempt."""
    draft = plan.draft
    chosen = draft.per_deal(deal, 1)[draft.move_deal()] == 1
    draft.moves.take(~(chosen & np.isin(draft.moves["to_stage_id"], (WON_STAGE_ID, LOST_STAGE_ID))))


def _record_lost(
    plan: Plan,
    truth_id: str,
    deal: Ints,
    amount: Ints,
    *,
    moment_at: Ints | None = None,
    label: str | None = None,
) -> None:
    created = plan.draft.deals["created_at"][deal]
    plan.record.items(
        truth_id,
        "deal",
        plan.draft.deals["deal_id"][deal],
        moment_at=created if moment_at is None else moment_at,
        amount=amount,
        label=label,
    )


def record_yields(plan: Plan) -> None:
    """Take down how often each further attempt reaches somebody nobody had reached before."""
    if not plan.truths.abandoned_follow_up:
        return
    made = attempts(plan.draft)
    leads = ripe_leads(plan.draft)[made.deal]
    for number in range(1, _KNOWN_YIELDS + 1):
        tried = leads & made.is_open & (made.number == number)
        if tried.sum():
            plan.record.size(
                "abandoned_follow_up",
                f"yield_of_attempt_{number}",
                (tried & made.reaches).sum() / tried.sum(),
                f"first conversations per attempt, {int(tried.sum())} attempts",
            )
