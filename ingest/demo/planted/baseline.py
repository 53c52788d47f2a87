"""A firm that does everything right: what the planted truths are taken away from.

The simulated world moves cards and makes calls apart from each other, so here and there a card
moves without evidence and a reason contradicts a call. Those accidents are put right first.
Afterwards every fault of this kind is a planted one.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.planted.contacting import (
    TALK_SECONDS,
    BusinessTime,
    add_calls,
    attempts,
    calendar_of,
    earliest,
    ends_at,
    entered_at,
    first_answer,
    first_talk,
    is_measurable,
    ripe_leads,
    snapped,
)
from ingest.demo.planted.draft import NULL, Draft, local_day
from ingest.demo.randomness import DAY, Flags, Ints, Streams, after, take_text
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

ENTRY, QUALIFIED, MEASURING, ESTIMATE, CONTRACT, ADVANCE = (
    stage.stage_id for stage in story.SALES_STAGES
)
# What shows that a stage is real: a document of this kind sent, an invoice issued, money received.
STAGE_DOCUMENT = {ESTIMATE: "offer", CONTRACT: "contract"}
PRICE, COMPETITOR, POSTPONED, NO_ANSWER, WRONG_NUMBER, NOT_OURS, REGION, DOUBLE, NO_NEED = (
    code for code, _ in story.LOSS_REASONS
)
_FAR = int(np.iinfo(np.int64).max)
# The chance that the first, second, third attempt reaches somebody, where the world made none.
_REACHES = (0.50, 0.38, 0.33)
_LEAST_ATTEMPTS = 3
_SOON_SECONDS = 50 * 60


def put_right(draft: Draft, streams: Streams) -> None:
    """Put the accidents of the world right."""
    _talks_are_talks(draft)
    _advance_is_waited_for(draft)
    _people_are_called(draft, streams("planted.calls"))
    _answers_come_soon(draft, streams("planted.answers"))
    _documents_are_sent(draft, streams("planted.documents"))
    _bills_are_paid_or_withdrawn(draft, streams("planted.bills"))
    _insist(draft, streams("planted.insisting"))
    fit_reasons(draft, streams("planted.reasons"))


def _talks_are_talks(draft: Draft) -> None:
    calls = draft["calls"]
    length = calls["duration_seconds"]
    short_talk = (length >= 15) & (length < TALK_SECONDS + 5)
    calls["duration_seconds"] = np.where(short_talk, length + 20, length)


def insert_before(draft: Draft, rows: Ints, **columns: object) -> None:
    """Add stage changes, each right before an existing one."""
    moves = draft.moves
    count = len(moves)
    moves.append(**columns)
    moves.take(np.argsort(np.concatenate([2 * np.arange(count) + 1, 2 * rows]), kind="stable"))


def _advance_is_waited_for(draft: Draft) -> None:
    """Let a card that was won with an invoice have waited for the money."""
    moves, invoices = draft.moves, draft["invoices"]
    owner = draft.move_deal()
    advance = invoices.flags("is_advance")
    issued = earliest(
        len(draft.deals), draft.invoice_deal()[advance], invoices["issued_at"][advance]
    )
    waited = np.zeros(len(draft.deals), dtype=np.bool_)
    waited[owner[moves["to_stage_id"] == ADVANCE]] = True
    rows = np.flatnonzero(
        (moves["to_stage_id"] == WON_STAGE_ID)
        & (moves["from_pipeline_id"] == story.SALES_PIPELINE_ID)
        & ~waited[owner]
        & (issued[owner] < _FAR)
    )
    rows = rows[np.append(True, owner[rows][1:] != owner[rows][:-1])] if len(rows) else rows
    deal = owner[rows]
    before = np.where(
        (rows > 0) & (owner[rows - 1] == deal),
        moves["changed_at"][rows - 1],
        draft.deals["created_at"][deal],
    )
    won = moves["changed_at"][rows]
    at = np.maximum(before, np.minimum(issued[deal] + 200, won - 60))
    source = moves["from_stage_id"][rows]
    pipeline = moves["from_pipeline_id"][rows]
    from_stage = moves["from_stage_id"].copy()
    from_stage[rows] = ADVANCE
    moves["from_stage_id"] = from_stage
    insert_before(
        draft,
        rows,
        deal_id=draft.deals["deal_id"][deal],
        changed_at=at,
        from_pipeline_id=pipeline,
        from_stage_id=source,
        to_pipeline_id=pipeline,
        to_stage_id=ADVANCE,
        changed_by=draft.user_at(deal, at),
        published_at=at,
    )


def _documents_are_sent(draft: Draft, rng: np.random.Generator) -> None:
    """Let every estimate and contract be sent shortly before its card says so, and no other."""
    documents, moves = draft["documents"], draft.moves
    owner = draft.deal_of("documents")
    in_sales = draft.deals["pipeline_id"][owner] == story.SALES_PIPELINE_ID
    told = documents.equals("kind", "offer") | documents.equals("kind", "contract")
    documents.take(~(told & in_sales & (owner >= 0)))
    for stage, kind in STAGE_DOCUMENT.items():
        rows = np.flatnonzero(moves["to_stage_id"] == stage)
        deal, at = draft.move_deal()[rows], moves["changed_at"][rows]
        again = np.zeros(len(rows), dtype=np.bool_)
        again[1:] = (deal[1:] == deal[:-1]) & (at[1:] - at[:-1] < 20 * DAY)
        rows, deal, at = rows[~again], deal[~again], at[~again]
        sent = at - rng.integers(300, 7200, len(rows))
        sent = np.maximum(sent, np.minimum(at, draft.deals["created_at"][deal] + 30))
        by = moves["changed_by"][rows]
        first_id = int(documents["document_id"].max(initial=66_000_001)) + 1
        documents.append(
            document_id=first_id + np.arange(len(rows)),
            deal_id=draft.deals["deal_id"][deal],
            kind=kind,
            sent_at=sent,
            sent_by=np.where(by > 0, by, draft.user_at(deal, sent)),
        )


def withdraw_documents(draft: Draft) -> None:
    """Take away what was sent for stages that deals now never reach."""
    documents = draft["documents"]
    owner = draft.deal_of("documents")
    due = np.ones(len(documents), dtype=np.bool_)
    for stage, kind in STAGE_DOCUMENT.items():
        reached = np.append(draft.entry_rows(stage) >= 0, True)
        in_sales = np.append(draft.deals["pipeline_id"] == story.SALES_PIPELINE_ID, False)
        due &= reached[owner] | ~in_sales[owner] | ~documents.equals("kind", kind)
    documents.take(due)


def balances(draft: Draft) -> Ints:
    """Return what is still to be paid on each invoice; money paid back does not reopen it."""
    invoices, payments = draft["invoices"], draft["payments"]
    paid = np.zeros(len(invoices), dtype=np.int64)
    came = ~payments.flags("is_refund")
    np.add.at(paid, draft.invoice_of_payment()[came], payments["amount"][came])
    left: Ints = invoices["amount"] - paid
    return left


def _bills_are_paid_or_withdrawn(draft: Draft, rng: np.random.Generator) -> None:
    invoices, payments = draft["invoices"], draft["payments"]
    balance = balances(draft)
    deal = draft.invoice_deal()
    won = draft.is_won()[deal]
    over = ends_at(draft)[deal]
    issued = invoices["issued_at"]
    due = (balance > 0) & (invoices["deleted_at"] == NULL)
    last_paid = np.zeros(len(invoices), dtype=np.int64)
    np.maximum.at(last_paid, draft.invoice_of_payment(), payments["paid_at"])
    pays = np.maximum(issued, last_paid) + after(rng, 6 * DAY, 0.6, len(invoices))
    pays = np.minimum(pays, np.maximum(issued, last_paid) + 25 * DAY)
    rows = np.flatnonzero(due & won & (pays < draft.now))
    payments.append(
        payment_id=int(payments["payment_id"].max(initial=0)) + 1 + np.arange(len(rows)),
        invoice_id=invoices["invoice_id"][rows],
        paid_at=pays[rows],
        amount=balance[rows],
        is_refund=False,
    )
    ends = np.where(over < _FAR, np.maximum(issued, over) + 6 * DAY, issued + 30 * DAY)
    withdrawn = due & ~won & (ends < draft.now)
    invoices["deleted_at"] = np.where(withdrawn, ends, invoices["deleted_at"])


def _people_are_called(draft: Draft, rng: np.random.Generator) -> None:
    """Let everybody be called, thrice if need be, and be spoken with before a measuring."""
    calendar = calendar_of(draft)
    leads = ripe_leads(draft)
    count = len(draft.deals)
    # A measuring was agreed with somebody.
    measured = draft.first_entry(MEASURING)
    for later in (ESTIMATE, CONTRACT, ADVANCE, WON_STAGE_ID):
        entry = draft.first_entry(later)
        measured = np.where(measured == NULL, entry, measured)
    silent = np.flatnonzero(leads & (measured != NULL) & (first_talk(draft) > measured))
    at = np.maximum(
        measured[silent] - rng.integers(900, 3 * 3600, len(silent)),
        np.minimum(draft.deals["created_at"][silent] + 120, measured[silent]),
    )
    _call(draft, rng, silent, at, np.ones(len(silent), dtype=np.bool_))

    last = draft.last_moves()
    reason = np.append(draft.moves["loss_reason_id"], NULL)[last]
    unreachable = np.isin(reason, (NO_ANSWER, WRONG_NUMBER)) & (last >= 0)
    for number in range(_LEAST_ATTEMPTS):
        made = attempts(draft)
        so_far = np.zeros(count, dtype=np.int64)
        np.maximum.at(so_far, made.deal, made.number)
        latest = np.full(count, NULL, dtype=np.int64)
        np.maximum.at(latest, made.deal, made.at)
        unreached = leads & (first_talk(draft) == _FAR) & (so_far == number)
        who = np.flatnonzero(unreached)
        begins = entered_at(draft)[who] if number == 0 else latest[who]
        pause = after(rng, 11 * 60 if number == 0 else 22 * 3600, 0.5, len(who))
        at = snapped(calendar, begins + pause, rng)
        over = ends_at(draft)[who]
        if number == 0:
            at = np.where(at < over, at, np.maximum(over - 240, begins + 1))
        # A loss waits for the calls that would still try to reach the person.
        _put_off(draft, who, at + rng.integers(600, 6 * 3600, len(who)))
        over = ends_at(draft)[who]
        fits = (at < over) & (at < draft.now)
        reached = (rng.random(len(who)) < _REACHES[number]) & ~unreachable[who]
        _call(draft, rng, who[fits], at[fits], reached[fits])


def _put_off(draft: Draft, deal: Ints, moment: Ints) -> None:
    """Put off the losses of people who ask once, where they came before these moments."""
    moves, deals = draft.moves, draft.deals
    contact, asked = np.unique(deals["contact_id"], return_counts=True)
    asks_once = asked[np.searchsorted(contact, deals["contact_id"][deal])] == 1
    row = draft.last_moves()[deal]
    waits = (
        asks_once
        & (row >= 0)
        & (np.append(moves["to_stage_id"], 0)[row] == LOST_STAGE_ID)
        & (np.append(moves["changed_at"], 0)[row] <= moment)
        & (moment < draft.now)
    )
    for column in ("changed_at", "published_at"):
        values = moves[column].copy()
        values[row[waits]] = moment[waits]
        moves[column] = values


def _call(draft: Draft, rng: np.random.Generator, deal: Ints, at: Ints, reached: Flags) -> None:
    size = len(deal)
    duration = np.where(reached, 35 + after(rng, 110, 0.8, size), rng.integers(0, 9, size))
    outcome = take_text(("no_answer", "conversation"), reached.astype(np.int64))
    add_calls(draft, deal, at, duration, pa.array(outcome))


def _answers_come_soon(draft: Draft, rng: np.random.Generator) -> None:
    """Let every request be answered within an hour of working time."""
    time = BusinessTime(draft)
    created, answered = draft.deals["created_at"], first_answer(draft)
    asked = np.flatnonzero(ripe_leads(draft) & (answered < _FAR))
    waited = time.between(created[asked], answered[asked])
    late = asked[waited > _SOON_SECONDS]
    soon = time.after(created[late], rng.integers(180, _SOON_SECONDS - 120, len(late)))
    begin = created[late] + 1
    draft.stretch(
        *(draft.per_deal(late, values) for values in (begin, answered[late], begin, soon)),
    )


def _insist(draft: Draft, rng: np.random.Generator) -> None:
    """Let people who "do not answer" be called twice more, in vain, before they are lost."""
    moves = draft.moves
    last = draft.last_moves()
    rows = last[last >= 0]
    rows = rows[
        (moves["loss_reason_id"][rows] == NO_ANSWER)
        & (moves["to_stage_id"][rows] == LOST_STAGE_ID)
        & (draft.deals["contact_id"][draft.move_deal()[rows]] != NULL)
    ]
    facts = loss_facts(draft, rows)
    rows = rows[denied_reasons(facts, moves["loss_reason_id"][rows]) & (facts["attempts"] > 0)]
    deal = draft.move_deal()[rows]
    entered = entered_at(draft)[deal]
    calendar = calendar_of(draft)
    _put_off(
        draft,
        deal,
        snapped(calendar, entered + rng.integers(62 * 3600, 120 * 3600, len(deal)), rng),
    )
    lost = moves["changed_at"][rows]
    for earliest_hours, latest_hours in ((26, 60), (2, 9)):
        before = rng.integers(earliest_hours * 3600, latest_hours * 3600, len(rows))
        at = snapped(calendar, lost - before, rng)
        fits = (at < lost) & (lost - before > entered + 3600)
        _call(draft, rng, deal[fits], at[fits], np.zeros(int(fits.sum()), dtype=np.bool_))


def fit_reasons(draft: Draft, rng: np.random.Generator) -> None:
    """Let no loss reason be denied by what is on record."""
    moves = draft.moves
    rows = np.flatnonzero(
        (moves["to_stage_id"] == LOST_STAGE_ID) & (moves["loss_reason_id"] != NULL)
    )
    reason = moves["loss_reason_id"][rows]
    facts = loss_facts(draft, rows)
    denied = denied_reasons(facts, reason)
    other = np.where(rng.random(len(rows)) < 0.6, NO_NEED, POSTPONED)
    changed = moves["loss_reason_id"].copy()
    changed[rows] = np.where(denied, other, reason)
    moves["loss_reason_id"] = changed


def loss_facts(draft: Draft, rows: Ints) -> dict[str, Ints | Flags]:
    """Return what was on record when deals were lost by these stage changes."""
    moves, calls, documents = draft.moves, draft["calls"], draft["documents"]
    deal, at = draft.move_deal()[rows], moves["changed_at"][rows]
    count = len(draft.deals)
    lost = np.full(count, _FAR, dtype=np.int64)
    lost[deal] = at
    owner = draft.deal_of("calls")
    known = (owner >= 0) & (calls["called_at"] <= lost[owner])
    longest = np.zeros(count, dtype=np.int64)
    np.maximum.at(longest, owner[known], calls["duration_seconds"][known])
    made = attempts(draft)
    before = made.at <= lost[made.deal]
    tried = np.bincount(made.deal[before], minlength=count)
    days = np.unique(made.deal[before] * 1_000_000 + local_day(made.at[before]))
    tried_days = np.bincount(days // 1_000_000, minlength=count)
    offer = earliest(
        count,
        draft.deal_of("documents")[documents.equals("kind", "offer")],
        documents["sent_at"][documents.equals("kind", "offer")],
    )
    # Past qualification: the card was in a later stage before it was lost.
    passed = np.zeros(count, dtype=np.bool_)
    beyond = np.isin(moves["to_stage_id"], (MEASURING, ESTIMATE, CONTRACT, ADVANCE))
    passed[draft.move_deal()[beyond]] = True
    return {
        "longest_talk": longest[deal],
        "attempts": tried[deal],
        "attempt_days": tried_days[deal],
        "has_offer": offer[deal] <= at,
        "is_qualified": passed[deal],
        "in_sales": moves["from_pipeline_id"][rows] == story.SALES_PIPELINE_ID,
        "is_measurable": is_measurable(draft)[deal],
    }


def denied_reasons(facts: dict[str, Ints | Flags], reason: Ints) -> Flags:
    """Return which of the reasons the record denies."""
    few = (facts["attempts"] < _LEAST_ATTEMPTS) | (facts["attempt_days"] < 2)
    denied: Flags = (
        ((reason == PRICE) & facts["in_sales"] & ~facts["has_offer"])
        | ((reason == NO_ANSWER) & facts["is_measurable"] & few)
        | ((reason == WRONG_NUMBER) & (facts["longest_talk"] > 60))
        | (np.isin(reason, (NOT_OURS, REGION)) & facts["is_qualified"])
    )
    return denied
