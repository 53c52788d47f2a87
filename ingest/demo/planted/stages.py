"""Truths of the cards: moved late, moved without cause, never moved, swept away, closed for a
reason that is not so."""

from __future__ import annotations

import numpy as np

from ingest.demo.planted.baseline import (
    ADVANCE,
    CONTRACT,
    DOUBLE,
    ENTRY,
    ESTIMATE,
    MEASURING,
    NO_ANSWER,
    NO_NEED,
    NOT_OURS,
    PRICE,
    QUALIFIED,
    STAGE_DOCUMENT,
    WRONG_NUMBER,
    loss_facts,
)
from ingest.demo.planted.contacting import is_measurable, ordinary
from ingest.demo.planted.draft import NULL, day_begins, local_day
from ingest.demo.planted.plan import WORKING_DAY, Plan
from ingest.demo.planted.truth_tables import paired_ids
from ingest.demo.randomness import DAY, Ints, weekday
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

_OPEN_STAGES = (ENTRY, QUALIFIED, MEASURING, ESTIMATE, CONTRACT, ADVANCE)
_FRIDAY = 4
CLEANUP_LEAST, CLEANUP_MOST = 10, 25
_STALE_DAYS = 25
_OLDEST_EVIDENCE = 25 * DAY
CONTRADICTIONS = {
    "wrong_number_but_talked": WRONG_NUMBER,
    "price_without_offer": PRICE,
    "no_answer_with_few_attempts": NO_ANSWER,
    "not_target_after_qualification": NOT_OURS,
}


def record_late(plan: Plan) -> None:
    """Let cards be moved on Friday evening, or all at once at the close, for what was long so."""
    share = plan.truths.late_recording
    if not share:
        return
    draft = plan.draft
    rng = plan.rng("late_recording")
    moves = draft.moves
    owner, at = draft.move_deal(), moves["changed_at"]
    count = len(draft.deals)
    target = moves["to_stage_id"]
    evidenced = np.isin(target, (ESTIMATE, CONTRACT, ADVANCE)) & (moves["changed_by"] > 0)
    # The first change that will be held back: the estimate, or sometimes only the contract.
    skips_estimate = rng.random(count) < 0.4
    begins = evidenced & ~(skips_estimate[owner] & (target == ESTIMATE))
    first = np.full(count, -1, dtype=np.int64)
    rows = np.flatnonzero(begins)[::-1]
    first[owner[rows]] = rows
    first_at = np.where(first >= 0, np.append(at, 0)[first], 0)
    reached = ordinary(draft) & (draft.entry_rows(ESTIMATE) >= 0)
    pool = reached & (first >= 0)

    # Mode 1: the first Friday evening at least two days later, if it was worked.
    day = local_day(first_at + 2 * DAY)
    friday = day + (_FRIDAY - weekday(day)) % 7
    friday = np.where(plan.calendar.is_open_day(friday), friday, friday + 7)
    evening = day_begins(friday) + 16 * 3600 + rng.integers(0, 2 * 3600 + 1800, count)
    held = (np.arange(len(at)) >= first[owner]) & (first[owner] >= 0) & (at <= evening[owner])
    ends = held & np.isin(target, (WON_STAGE_ID, LOST_STAGE_ID))
    robots = held & (moves["changed_by"] == 0)
    soon = ~held & (first[owner] >= 0) & (at > evening[owner]) & (at < evening[owner] + 900)
    spoiled = np.zeros(count, dtype=np.bool_)
    spoiled[owner[ends | robots | soon]] = True
    on_friday = pool & ~spoiled & (evening < draft.now)

    # Mode 2: everything at the close.
    last = draft.last_moves()
    is_over = np.isin(draft.final_stage(), (WON_STAGE_ID, LOST_STAGE_ID)) & (last >= 0)
    closed = np.where(is_over, np.append(at, 0)[last], 0)
    reopened = np.zeros(count, dtype=np.bool_)
    reopened[owner[moves["from_stage_id"] == LOST_STAGE_ID]] = True
    by_human = np.append(moves["changed_by"], 0)[last] > 0
    paid = draft.final_stage() == WON_STAGE_ID
    open_rows = (np.arange(len(at)) >= first[owner]) & (first[owner] >= 0)
    robot_inside = np.zeros(count, dtype=np.bool_)
    robot_inside[
        owner[open_rows & (moves["changed_by"] == 0) & (np.arange(len(at)) < last[owner])]
    ] = True
    at_close = (
        pool
        & is_over
        & ~reopened
        & ~robot_inside
        & (by_human | paid)
        & (closed - first_at > 2 * DAY + DAY // 2)
        # Evidence older than a month would count for no stage at all.
        & (closed - first_at < _OLDEST_EVIDENCE)
    )

    pool = on_friday | at_close
    chosen = plan.choose("late_recording", pool, share * reached.sum())
    is_chosen = np.zeros(count, dtype=np.bool_)
    is_chosen[chosen] = True
    closes = at_close & (~on_friday | (rng.random(count) < 0.5))
    holds_friday = held & (is_chosen & ~closes)[owner]
    holds_close = open_rows & (is_chosen & closes)[owner] & (np.arange(len(at)) < last[owner])
    rows = np.flatnonzero(holds_friday | holds_close)
    deal = owner[rows]
    order_in_deal = _number_within(deal)
    left = np.bincount(deal, minlength=count)[deal] - order_in_deal
    pace = 15 + (rng.random(count) * 25).astype(np.int64)
    new_at = np.where(
        holds_friday[rows],
        evening[deal] + order_in_deal * pace[deal],
        closed[deal] - left * pace[deal] - 20,
    )
    old_at = at[rows].copy()
    for column in ("changed_at", "published_at"):
        values = moves[column].copy()
        values[rows] = new_at
        moves[column] = values
    lag = plan.time.between(old_at, new_at)
    is_first_entry = draft.entry_rows_of(rows)
    is_late = (lag > WORKING_DAY) & evidenced[rows] & is_first_entry
    rows, lag = rows[is_late], lag[is_late]
    plan.record.items(
        "late_recording_stage",
        "stage",
        paired_ids(draft.deals["deal_id"][owner[rows]], moves["to_stage_id"][rows]),
        moment_at=old_at[is_late],
        value=lag / 3600,
        label=np.where(holds_friday[rows], "friday_evening", "at_close").tolist(),
    )
    longest = np.zeros(count, dtype=np.int64)
    np.maximum.at(longest, owner[rows], lag)
    chosen = np.flatnonzero(longest)
    plan.record.items(
        "late_recording",
        "deal",
        draft.deals["deal_id"][chosen],
        moment_at=first_at[chosen],
        value=longest[chosen] / 3600,
        label=np.where(closes[chosen], "at_close", "friday_evening").tolist(),
    )
    for parameter, value, unit in (
        ("share", len(chosen) / max(1, reached.sum()), "share of deals with an estimate"),
        ("deals", len(chosen), "deals"),
        ("stages", len(rows), "stage entries"),
        ("median_lag", float(np.median(lag)) / 3600 if len(lag) else 0.0, "working hours"),
    ):
        plan.record.size("late_recording", parameter, value, unit)


def _number_within(groups: Ints) -> Ints:
    """Return 0, 1, 2, ... within runs of equal values."""
    if not len(groups):
        return groups
    begins = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    lengths = np.diff(np.append(begins, len(groups)))
    return np.arange(len(groups)) - np.repeat(begins, lengths)


def declare_phantoms(plan: Plan) -> None:
    """Let cards have entered a stage of which nothing happened."""
    share = plan.truths.phantom_stage
    if not share:
        return
    draft = plan.draft
    estimate, contract = draft.first_entry(ESTIMATE), draft.first_entry(CONTRACT)
    advance = draft.first_entry(ADVANCE)
    ripe = draft.now - 8 * DAY
    pool = (
        ordinary(draft) & (estimate != NULL) & ~draft.is_won() & (advance == NULL)
        & (estimate < ripe) & ((contract == NULL) | (contract < ripe))
    )  # fmt: skip
    deal = plan.choose("phantom_stage", pool, share * pool.sum())
    stage = np.where(contract[deal] != NULL, CONTRACT, ESTIMATE)
    documents = draft["documents"]
    owner = draft.deal_of("documents")
    for code, kind in STAGE_DOCUMENT.items():
        empty = np.zeros(len(draft.deals) + 1, dtype=np.bool_)
        empty[deal[stage == code]] = True
        stays = ~(empty[owner] & documents.equals("kind", kind))
        documents.take(stays)
        owner = owner[stays]
    # "Too expensive" would now be denied by the record, which is another truth.
    moves = draft.moves
    no_offer = draft.per_deal(deal[stage == ESTIMATE], 1)[draft.move_deal()] == 1
    moves["loss_reason_id"] = np.where(
        no_offer & (moves["loss_reason_id"] == PRICE), NO_NEED, moves["loss_reason_id"]
    )
    plan.record.items(
        "phantom_stage",
        "stage",
        paired_ids(draft.deals["deal_id"][deal], stage),
        moment_at=np.where(stage == CONTRACT, contract[deal], estimate[deal]),
    )
    plan.record.size(
        "phantom_stage", "share", len(deal) / max(1, pool.sum()), "share of deals not won"
    )
    plan.record.size("phantom_stage", "stages", len(deal), "stage entries")


def hide_stages(plan: Plan) -> None:
    """Take the contract out of cards although it was sent."""
    share = plan.truths.hidden_stage
    if not share:
        return
    draft = plan.draft
    moves = draft.moves
    owner = draft.move_deal()
    entries = np.bincount(owner[moves["to_stage_id"] == CONTRACT], minlength=len(draft.deals))
    went_in = draft.entry_rows(CONTRACT)
    went_out = np.minimum(went_in + 1, len(moves) - 1)
    leaves = (
        (went_in >= 0)
        & (owner[went_out] == np.arange(len(draft.deals)))
        & (moves["from_stage_id"][went_out] == CONTRACT)
        & (moves["to_stage_id"][went_out] != moves["from_stage_id"][went_in])
    )
    passed = ordinary(draft) & (entries == 1) & leaves
    deal = plan.choose("hidden_stage", passed, share * passed.sum())
    rows, following = went_in[deal], went_out[deal]
    true_moment = moves["changed_at"][rows]
    from_stage = moves["from_stage_id"].copy()
    from_stage[following] = from_stage[rows]
    moves["from_stage_id"] = from_stage
    stays = np.ones(len(moves), dtype=np.bool_)
    stays[rows] = False
    moves.take(stays)
    plan.record.items(
        "hidden_stage",
        "stage",
        paired_ids(draft.deals["deal_id"][deal], np.full(len(deal), CONTRACT)),
        moment_at=true_moment,
    )
    plan.record.size(
        "hidden_stage",
        "share",
        len(deal) / max(1, passed.sum()),
        "share of deals past the contract",
    )
    plan.record.size("hidden_stage", "stages", len(deal), "stage entries")


def clean_up(plan: Plan) -> None:
    """Let reps sweep their old cards into "lost" within a quarter of an hour."""
    wanted = round(plan.truths.bulk_cleanup)
    if not wanted:
        return
    draft = plan.draft
    rng = plan.rng("bulk_cleanup")
    last = draft.last_moves()
    moved = np.where(
        last >= 0, np.append(draft.moves["changed_at"], 0)[last], draft.deals["created_at"]
    )
    stale = (
        ordinary(draft)
        & np.isin(draft.final_stage(), (ENTRY, QUALIFIED, MEASURING, ESTIMATE, CONTRACT))
        & (last >= 0)
    )
    begins, ends = plan.span()
    first_day, last_day = (int(d) for d in local_day(np.array([begins, ends])))
    days = np.arange(first_day + (last_day - first_day) // 3, last_day - 2)
    month = days.astype("datetime64[D]").astype("datetime64[M]")
    ends_month = (days + 2).astype("datetime64[D]").astype("datetime64[M]") != month
    days = days[plan.calendar.is_open_day(days) & ((weekday(days) == _FRIDAY) | ends_month)]
    days = rng.permutation(days)
    swept: list[Ints] = []
    done = 0
    for day in days:
        if done == wanted:
            break
        at = int(day_begins(np.array([day]))[0]) + 17 * 3600 + int(rng.integers(0, 4500))
        pool = np.flatnonzero(stale & ~plan.taken & (moved < at - _STALE_DAYS * DAY))
        users = draft.user_at(pool, np.full(len(pool), at))
        names, counts = np.unique(users, return_counts=True)
        if not len(counts) or counts.max() < CLEANUP_LEAST:
            continue
        mine = rng.permutation(pool[users == names[int(np.argmax(counts))]])[:CLEANUP_MOST]
        gap = 800 // CLEANUP_MOST
        moments = at + gap * np.arange(len(mine)) + rng.integers(0, gap, len(mine))
        _sweep(plan, mine, moments, names[int(np.argmax(counts))])
        plan.taken[mine] = True
        swept.append(mine)
        plan.record.items(
            "bulk_cleanup",
            "stage",
            paired_ids(draft.deals["deal_id"][mine], np.full(len(mine), LOST_STAGE_ID)),
            moment_at=moments,
            label=f"sales_rep:{names[int(np.argmax(counts))]}",
        )
        done += 1
    plan.record.size("bulk_cleanup", "clean_ups", done, "clean-ups")
    plan.record.size("bulk_cleanup", "deals", sum(len(part) for part in swept), "deals")


def _sweep(plan: Plan, deal: Ints, moments: Ints, user: int) -> None:
    draft = plan.draft
    order = np.argsort(deal)
    deal, moments = deal[order], moments[order]
    stage = draft.final_stage()[deal]
    pipeline = draft.deals["pipeline_id"][deal]
    draft.moves.append(
        deal_id=draft.deals["deal_id"][deal],
        changed_at=moments,
        from_pipeline_id=pipeline,
        from_stage_id=stage,
        to_pipeline_id=pipeline,
        to_stage_id=LOST_STAGE_ID,
        changed_by=user,
        loss_reason_id=NO_NEED,
        published_at=moments,
    )
    draft.moves.take(np.argsort(draft.move_deal(), kind="stable"))
    draft.forget_after(draft.per_deal(deal, moments))


def contradict_reasons(plan: Plan) -> None:
    """Give losses reasons that the record denies."""
    share = plan.truths.contradicted_loss_reason
    if not share:
        return
    draft = plan.draft
    rng = plan.rng("contradicted_loss_reason")
    moves = draft.moves
    last = draft.last_moves()
    usable = ordinary(draft) & is_measurable(draft) & (last >= 0)
    usable &= draft.final_stage() == LOST_STAGE_ID
    usable &= ~np.array(draft.deals["failing_criterion"].is_valid().to_numpy(zero_copy_only=False))
    reasons = np.append(moves["loss_reason_id"], NULL)[last]
    given = usable & (reasons != NULL) & (np.append(moves["changed_by"], 0)[last] > 0)
    rows = last[np.flatnonzero(given)]
    deal = np.flatnonzero(given)
    facts = loss_facts(draft, rows)
    possible = np.stack(
        [
            facts["longest_talk"] > 60,
            ~facts["has_offer"],
            (facts["attempts"] < 3) | (facts["attempt_days"] < 2),
            facts["is_qualified"],
        ],
        axis=1,
    )
    able = np.zeros(len(draft.deals), dtype=np.bool_)
    able[deal[possible.any(axis=1)]] = True
    # A duplicate is closed for a technical reason, which stays.
    able &= reasons != DOUBLE
    chosen = plan.choose("contradicted_loss_reason", able, share * given.sum())
    place = np.searchsorted(deal, chosen)
    liking = np.where(possible[place], rng.random((len(chosen), len(CONTRADICTIONS))), 0.0)
    kind = np.argmax(liking, axis=1)
    codes = np.array(list(CONTRADICTIONS.values()), dtype=np.int64)
    changed = moves["loss_reason_id"].copy()
    changed[last[chosen]] = codes[kind]
    moves["loss_reason_id"] = changed
    names = list(CONTRADICTIONS)
    plan.record.items(
        "contradicted_loss_reason",
        "deal",
        draft.deals["deal_id"][chosen],
        moment_at=moves["changed_at"][last[chosen]],
        label=[names[k] for k in kind],
    )
    plan.record.size(
        "contradicted_loss_reason",
        "share",
        len(chosen) / max(1, given.sum()),
        "share of losses with a reason",
    )
    for number, name in enumerate(names):
        plan.record.size("contradicted_loss_reason", name, (kind == number).sum(), "deals")
