"""Truths of money, qualification and feeds: not paid, not wanted, not told or told twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.demo.arrow import compute
from ingest.demo.planted.baseline import (
    ADVANCE,
    CONTRACT,
    ENTRY,
    ESTIMATE,
    MEASURING,
    NO_NEED,
    NOT_OURS,
    POSTPONED,
    QUALIFIED,
    REGION,
    balances,
)
from ingest.demo.planted.contacting import ordinary
from ingest.demo.planted.draft import NULL, day_begins, local_day
from ingest.demo.planted.plan import Plan
from ingest.demo.randomness import DAY, choose, take_text, weekday
from ingest.demo.sales import pick_some
from ingest.demo.tables import LOST_STAGE_ID

_RIPE_INVOICE_DAYS = 60
CRITERIA = ("region", "product", "budget", "spam")
_CRITERION_WEIGHTS = (0.38, 0.34, 0.16, 0.12)
ASSISTING_CHANNEL = "telegram"
_POST_TAGS = f"?utm_source={ASSISTING_CHANNEL}&utm_medium=post&utm_campaign=design_ideas"
_STALE_PLATFORM = "vk_ads"


def leave_unpaid(plan: Plan) -> None:
    """Leave final invoices of won deals unpaid, some after a first part."""
    share = plan.truths.unpaid_invoice
    if not share:
        return
    draft = plan.draft
    rng = plan.rng("unpaid_invoice")
    invoices, payments = draft["invoices"], draft["payments"]
    owner = draft.invoice_deal()
    refunded = np.zeros(len(invoices), dtype=np.bool_)
    refunded[draft.invoice_of_payment()[payments.flags("is_refund")]] = True
    pool = (
        ~invoices.flags("is_advance")
        & draft.is_won()[owner]
        & (invoices["issued_at"] < draft.now - _RIPE_INVOICE_DAYS * DAY)
        & (invoices["deleted_at"] == NULL)
        & (balances(draft) == 0)
        & ~refunded
    )
    chosen = pick_some(rng, np.flatnonzero(pool), round(share * pool.sum()))
    keeps_half = np.zeros(len(invoices), dtype=np.bool_)
    keeps_half[chosen] = rng.random(len(chosen)) < 0.3
    is_chosen = np.zeros(len(invoices), dtype=np.bool_)
    is_chosen[chosen] = True
    invoice = draft.invoice_of_payment()
    # A first part is one payment of half of the sum.
    earlier = np.full(len(invoices), len(payments), dtype=np.int64)
    np.minimum.at(earlier, invoice, np.arange(len(payments)))
    first = earlier[invoice] == np.arange(len(payments))
    half = keeps_half[invoice] & first
    payments["amount"] = np.where(half, invoices["amount"][invoice] // 2, payments["amount"])
    payments.take(~is_chosen[invoice] | half)
    left = balances(draft)[chosen]
    plan.record.items(
        "unpaid_invoice",
        "invoice",
        invoices["invoice_id"][chosen],
        moment_at=invoices["issued_at"][chosen],
        amount=left,
        value=left / np.maximum(1, invoices["amount"][chosen]),
    )
    for parameter, value, unit in (
        ("share", len(chosen) / max(1, pool.sum()), "share of final invoices 60 days old"),
        ("invoices", len(chosen), "invoices"),
        ("balance", left.sum(), "rubles"),
    ):
        plan.record.size("unpaid_invoice", parameter, value, unit)


def qualify(plan: Plan) -> None:
    """Let this share of the new requests be no target, by one criterion each."""
    share = plan.truths.non_target
    draft = plan.draft
    rng = plan.rng("non_target")
    deals, moves = draft.deals, draft.moves
    leads = ordinary(draft)
    missed = ~deals.flags("is_target") & np.array(
        compute.is_valid(deals["is_target"]).to_numpy(zero_copy_only=False)
    )
    last = draft.last_moves()
    final = np.append(moves["to_stage_id"], 0)[last]
    early = np.isin(np.append(moves["from_stage_id"], 0)[last], (ENTRY, QUALIFIED))
    by_hand = np.append(moves["changed_by"], 0)[last] > 0
    passed = np.zeros(len(deals), dtype=np.bool_)
    beyond = np.isin(moves["to_stage_id"], (MEASURING, ESTIMATE, CONTRACT, ADVANCE))
    passed[draft.move_deal()[beyond]] = True
    able = leads & ~missed & ~passed & (last >= 0) & (final == LOST_STAGE_ID) & early & by_hand
    wanted = round(share * leads.sum())
    ours = np.flatnonzero(missed & leads)
    others = missed & ~leads if share else np.zeros(len(deals), dtype=np.bool_)
    kept = pick_some(rng, ours, wanted)
    added = pick_some(rng, np.flatnonzero(able & ~plan.taken), wanted - len(kept))
    plan.taken[added] = True
    is_missed = others.copy()
    is_missed[kept] = True
    is_missed[added] = True
    known = deals["failing_criterion"].dictionary_encode()
    names = known.dictionary.to_pylist()
    code = np.array(compute.fill_null(known.indices, -1).to_numpy(zero_copy_only=False))
    position = np.array([CRITERIA.index(n) for n in names] + [-1], dtype=np.int64)
    criterion = position[code]
    criterion = np.where(is_missed, criterion, -1)
    criterion[added] = choose(rng, _CRITERION_WEIGHTS, len(added))
    deals["is_target"] = pa.array(~is_missed)
    deals["failing_criterion"] = take_text(CRITERIA, criterion)
    # The reason of the loss says no other than the criterion.
    reasons = moves["loss_reason_id"].copy()
    other = np.where(rng.random(len(reasons)) < 0.5, NO_NEED, POSTPONED)
    foreign = np.isin(reasons, (NOT_OURS, REGION)) & ~is_missed[draft.move_deal()]
    reasons = np.where(foreign, other, reasons)
    told = {"region": REGION, "product": NOT_OURS}
    for name, reason in told.items():
        rows = last[added[criterion[added] == CRITERIA.index(name)]]
        reasons[rows] = reason
    silent = last[added[criterion[added] >= CRITERIA.index("budget")]]
    reasons[silent] = other[silent]
    moves["loss_reason_id"] = reasons
    if not share:
        return
    found = np.flatnonzero(is_missed & leads)
    label = compute.fill_null(deals["failing_criterion"].take(pa.array(found)), "unsaid")
    plan.record.items(
        "non_target",
        "deal",
        deals["deal_id"][found],
        moment_at=deals["created_at"][found],
        label=label,
    )
    plan.record.size(
        "non_target", "share", len(found) / max(1, leads.sum()), "share of new requests"
    )
    for name in (*CRITERIA, "unsaid"):
        plan.record.size(
            "non_target", name, compute.sum(compute.equal(label, name)).as_py() or 0, "deals"
        )


def assist(plan: Plan) -> None:
    """Let people first come through a channel that never brings a request itself."""
    share = plan.truths.assisting_channel
    if not share:
        return
    draft = plan.draft
    rng = plan.rng("assisting_channel")
    visits, deals = draft["visits"], draft.deals
    came = np.array(
        compute.is_valid(deals["client_id"]).to_numpy(zero_copy_only=False), dtype=np.bool_
    )
    pool = ordinary(draft) & came
    browsers = deals["client_id"]
    chosen = pick_some(rng, np.flatnonzero(pool), round(share * pool.sum()))
    if not len(chosen) or not len(visits):
        return
    # The visit comes before everything else that is known of the browser.
    both = pa.concat_arrays([visits["client_id"], browsers.take(pa.array(chosen))])
    codes = np.array(both.dictionary_encode().indices.to_numpy())
    seen, asked = codes[: len(visits)], codes[len(visits) :]
    first_row = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    order = np.argsort(visits["visited_at"], kind="stable")[::-1]
    first_row[seen[order]] = order
    rows = first_row[asked]
    _, unique = np.unique(asked, return_index=True)
    is_first = np.zeros(len(asked), dtype=np.bool_)
    is_first[unique] = True
    kept = (rows >= 0) & is_first
    chosen, rows = chosen[kept], rows[kept]
    before = rng.integers(6 * 3600, 9 * DAY, len(rows))
    begins, _ = plan.span()
    at = np.minimum(visits["visited_at"][rows], deals["created_at"][chosen]) - before
    inside = at >= begins
    chosen, rows, at = chosen[inside], rows[inside], at[inside]
    others = rng.integers(0, len(visits), 2 * len(rows))
    loose = np.unique(others[visits["person_id"][others] == NULL])
    loose_at = visits["visited_at"][loose] + rng.integers(3600, 5 * DAY, len(loose))
    loose, loose_at = loose[loose_at < draft.now], loose_at[loose_at < draft.now]
    model = np.concatenate([rows, loose])
    moment = np.concatenate([at, loose_at])
    fresh = np.concatenate([np.ones(len(rows), np.bool_), np.zeros(len(loose), np.bool_)])
    columns = visits.copy_of(model)
    count = len(model)
    text = take_text((ASSISTING_CHANNEL,), np.zeros(count, dtype=np.int64))
    number = 8_800_000_000_000_000_000 + 1_000_003 * np.arange(count) + moment % 1_000_003
    columns |= {
        "visit_id": compute.cast(pa.array(number), pa.string()),
        "visited_at": moment,
        "known_from_at": moment + 600,
        "duration_seconds": 20 + rng.integers(0, 180, count),
        "page_views": rng.integers(1, 4, count),
        "is_new_user": pa.array(fresh),
        "is_bounce": pa.array(np.zeros(count, dtype=np.bool_)),
        "referer": take_text(("https://t.me/",), np.zeros(count, dtype=np.int64)),
        "traffic_source": take_text(("messenger",), np.zeros(count, dtype=np.int64)),
        "adv_engine": pa.nulls(count, pa.string()),
        "utm_source": text,
        "utm_medium": take_text(("post",), np.zeros(count, dtype=np.int64)),
        "utm_campaign": take_text(("design_ideas",), np.zeros(count, dtype=np.int64)),
        "utm_content": pa.nulls(count, pa.string()),
        "utm_term": pa.nulls(count, pa.string()),
        "click_id": pa.nulls(count, pa.string()),
        # The page keeps nothing of the click whose visit was the model.
        "start_url": compute.replace_substring_regex(
            columns["start_url"], r"(\?.*)?$", _POST_TAGS, max_replacements=1
        ),
        "goals": take_text(("[]",), np.zeros(count, dtype=np.int64)),
        "channel": text,
        "campaign_id": np.full(count, NULL, dtype=np.int64),
    }

    stays_new = visits.flags("is_new_user")
    stays_new[rows] = False
    visits["is_new_user"] = pa.array(stays_new)
    visits.append(**columns)
    visits.take(np.argsort(visits["visited_at"], kind="stable"))
    plan.assisted = chosen


def record_assists(plan: Plan) -> None:
    """Take down the deals that the assisting channel touched, as they came out."""
    chosen = plan.assisted
    if not len(chosen):
        return
    draft = plan.draft
    amount = plan.would_be_amount()
    won = amount[chosen][amount[chosen] != NULL]
    plan.record.items(
        "assisting_channel",
        "channel",
        [ASSISTING_CHANNEL],
        amount=np.array([won.sum()]),
        value=[float(len(chosen))],
    )
    plan.record.items(
        "assisted_deal",
        "deal",
        draft.deals["deal_id"][chosen],
        moment_at=draft.deals["created_at"][chosen],
        amount=amount[chosen],
        label=ASSISTING_CHANNEL,
    )
    for parameter, value, unit in (
        ("assisted", len(chosen), "deals"),
        ("assisted_won", len(won), "deals"),
        ("assisted_amount", won.sum(), "rubles"),
        ("requests", 0, "deals"),
    ):
        plan.record.size("assisting_channel", parameter, value, unit)


def go_stale(plan: Plan) -> None:
    """Let an advertising account publish nothing for the last days."""
    days = plan.truths.stale_source
    draft = plan.draft
    spend = draft["ad_spend"]
    of = spend.equals("platform", _STALE_PLATFORM)
    if not days or not of.any():
        return
    silent_since = int(day_begins(local_day(np.array([draft.now])) - round(days))[0])
    never_told = of & (spend["known_from_at"] >= silent_since)
    was_to_change = of & (spend["known_to_at"] != NULL) & (spend["known_to_at"] >= silent_since)
    spend["known_to_at"] = np.where(was_to_change, NULL, spend["known_to_at"])
    spend.take(~never_told)
    plan.record.items(
        "stale_source",
        "source",
        [_STALE_PLATFORM],
        moment_at=np.array([silent_since]),
        value=[float(days)],
    )
    plan.record.size("stale_source", "days", days, "days")


def lose_events(plan: Plan) -> None:
    """Let the event feed never show some stage changes; the cards show their result."""
    share = plan.truths.lost_events
    if not share:
        return
    draft = plan.draft
    moves = draft.moves
    # A deal that is gone is shown by nothing else.
    seen = np.flatnonzero(draft.deals["deleted_at"][draft.move_deal()] == NULL)
    rows = pick_some(plan.rng("lost_events"), seen, round(share * len(seen)))
    lost = np.zeros(len(moves), dtype=np.bool_)
    lost[rows] = True
    moves["published_at"] = np.where(lost, NULL, moves["published_at"])
    deal = draft.move_deal()[rows]
    last = draft.last_moves()[deal] == rows
    plan.record.items(
        "lost_events",
        "deal",
        draft.deals["deal_id"][deal],
        moment_at=moves["changed_at"][rows],
        value=last.astype(np.float64),
        label=compute.cast(pa.array(moves["to_stage_id"][rows]), pa.string()),
    )
    plan.record.size(
        "lost_events", "share", len(rows) / max(1, len(seen)), "share of stage changes"
    )
    plan.record.size("lost_events", "events", len(rows), "stage changes")


def deliver_twice(plan: Plan) -> None:
    """Let the telephony hand the calls of whole days over twice, under new ids."""
    wanted = round(plan.truths.doubled_load)
    if not wanted:
        return
    draft = plan.draft
    rng = plan.rng("doubled_load")
    calls = draft["calls"]
    day = local_day(calls["called_at"])
    today = int(local_day(np.array([draft.now]))[0])
    recent = np.unique(day[(day < today - 7) & (day >= today - 60) & (weekday(day) < 5)])
    busy = recent[np.array([(day == one).sum() for one in recent], dtype=np.int64) > 0]
    chosen = np.sort(rng.permutation(busy)[:wanted])
    rows = np.flatnonzero(np.isin(day, chosen))
    again = calls.copy_of(rows)
    first = int(calls["call_id"].max(initial=0)) + 2
    again["call_id"] = first + 2 * np.arange(len(rows))
    calls.append(**again)
    for one in chosen:
        told = int((day == one).sum())
        date = np.datetime64(int(one), "D").item().isoformat()
        plan.record.items(
            "doubled_load",
            "source",
            [f"calls:{date}"],
            moment_at=day_begins(np.array([one])),
            value=[float(told)],
        )
    plan.record.size("doubled_load", "days", len(chosen), "days")
    plan.record.size("doubled_load", "rows", len(rows), "calls told twice")
