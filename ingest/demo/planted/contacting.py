"""Who was called and reached: the calls and chats of each deal, counted as a sales head would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import Column, compute
from ingest.demo.planted.draft import NULL, Draft, day_begins, local_day
from ingest.demo.randomness import CLOSES, DAY, OPENS, Flags, Ints, WorkingTime
from ingest.demo.tables import LOST_STAGE_ID

TALK_SECONDS = 30
_SAME_ATTEMPT = 3600
_NEVER = int(np.iinfo(np.int64).max)
# A deal younger than this has not had its time yet.
RIPE_DAYS = 10


@dataclass(frozen=True)
class Attempts:
    """Outgoing calls, those within an hour of each other taken as one; in order by deal."""

    deal: Ints
    number: Ints
    at: Ints
    # The first conversation of the deal happened in it.
    reaches: Flags
    # Nobody had spoken with the person before it.
    is_open: Flags


class BusinessTime:
    """Working time as a length: how much of it lies between moments, and where it ends."""

    def __init__(self, draft: Draft) -> None:
        self.calendar = calendar_of(draft)
        first = int(local_day(draft.deals["created_at"]).min(initial=0)) - 2
        days = np.arange(first, int(local_day(np.array([draft.now]))[0]) + 40)
        self._first_day = first
        self._open_before = np.concatenate([[0], np.cumsum(self.calendar.is_open_day(days))])

    def between(self, begin: Ints, end: Ints) -> Ints:
        """Return the working seconds between moments."""
        return self._opened(end) - self._opened(begin)

    def after(self, moment: Ints, seconds: Ints) -> Ints:
        """Return the moments at which so many working seconds, a day at most, have passed."""
        day = local_day(moment)
        begin = np.maximum(moment, day_begins(day) + OPENS)
        left = np.where(self.calendar.is_open_day(day), day_begins(day) + CLOSES - begin, 0)
        left = np.maximum(left, 0)
        morning = day_begins(self.next_open_day(moment)) + OPENS
        return np.where(seconds < left, begin + seconds, morning + seconds - left)

    def next_open_day(self, moment: Ints) -> Ints:
        """Return the first working day after the day of each moment."""
        day = local_day(moment) + 1
        for _ in range(20):
            day = np.where(self.calendar.is_open_day(day), day, day + 1)
        return day

    def _opened(self, moment: Ints) -> Ints:
        day = local_day(moment)
        place = np.clip(day - self._first_day, 0, len(self._open_before) - 2)
        of_day = np.clip(moment - day_begins(day) - OPENS, 0, CLOSES - OPENS)
        is_open = self.calendar.is_open_day(day)
        found: Ints = self._open_before[place] * (CLOSES - OPENS) + np.where(is_open, of_day, 0)
        return found


def calendar_of(draft: Draft) -> WorkingTime:
    """Return the working days of the firm's whole clock."""
    first = int(draft.deals["created_at"].min(initial=draft.now))
    offset = story.MOSCOW_OFFSET_SECONDS
    return WorkingTime((first + offset) // DAY, (draft.now + offset) // DAY)


def snapped(calendar: WorkingTime, moment: Ints, rng: np.random.Generator) -> Ints:
    """Return moments (UTC) moved into the reps' working time."""
    offset = story.MOSCOW_OFFSET_SECONDS
    return calendar.snap(moment + offset, rng) - offset


def earliest(count: int, deal: Ints, at: Ints) -> Ints:
    """Return the earliest moment by deal; a far one where there is none."""
    found = np.full(count, _NEVER, dtype=np.int64)
    known = deal >= 0
    np.minimum.at(found, deal[known], at[known])
    return found


def first_talk(draft: Draft) -> Ints:
    """Return when anybody first spoke with the person of each deal; a far moment for never."""
    calls = draft["calls"]
    talks = calls["duration_seconds"] >= TALK_SECONDS
    return earliest(len(draft.deals), draft.deal_of("calls")[talks], calls["called_at"][talks])


def attempts(draft: Draft) -> Attempts:
    """Return the attempts to call of all deals."""
    calls = draft["calls"]
    owner, at = draft.deal_of("calls"), calls["called_at"]
    out = np.flatnonzero((owner >= 0) & ~calls.equals("direction", "in"))
    out = out[np.lexsort((at[out], owner[out]))]
    deal, at = owner[out], at[out]
    is_new_deal = np.ones(len(deal), dtype=np.bool_)
    is_new_deal[1:] = deal[1:] != deal[:-1]
    starts = is_new_deal.copy()
    starts[1:] |= at[1:] - at[:-1] >= _SAME_ATTEMPT
    place = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    talks = np.zeros(len(first), dtype=np.bool_)
    talks[place[calls["duration_seconds"][out] >= TALK_SECONDS]] = True
    before = np.zeros(len(first), dtype=np.int64)
    begins = np.flatnonzero(is_new_deal)
    if len(begins):
        rank_of_begin = place[begins]
        before = np.repeat(rank_of_begin, np.diff(np.append(rank_of_begin, len(first))))
    number = np.arange(len(first)) - before + 1
    spoken = first_talk(draft)[deal[first]]
    last_of = np.append(first[1:], len(at)) - 1
    ends = at[last_of] if len(first) else at[:0]
    is_open = spoken >= at[first]
    return Attempts(
        deal=deal[first],
        number=number,
        at=at[first],
        reaches=is_open & talks & (spoken <= ends),
        is_open=is_open,
    )


def first_answer(draft: Draft) -> Ints:
    """Return when a person of the firm first answered each deal: a call out, a call taken, a word.

    A far moment for never.
    """
    count = len(draft.deals)
    calls, messages = draft["calls"], draft["messages"]
    taken = ~calls.equals("direction", "in") | (calls["duration_seconds"] > 0)
    by_call = earliest(count, draft.deal_of("calls")[taken], calls["called_at"][taken])
    written = human_words(draft)
    by_word = earliest(count, draft.deal_of("messages")[written], messages["sent_at"][written])
    return np.minimum(by_call, by_word)


def human_words(draft: Draft) -> Flags:
    """Return which messages a person of the firm wrote."""
    messages = draft["messages"]
    found: Flags = messages.equals("direction", "out") & (messages["author_id"] > 0)
    return found


def ends_at(draft: Draft) -> Ints:
    """Return when each deal was won or lost; a far moment for an open one."""
    last = draft.last_moves()
    at = np.append(draft.moves["changed_at"], 0)[last]
    is_over = np.isin(draft.final_stage(), (142, LOST_STAGE_ID)) & (last >= 0)
    return np.where(is_over, at, _NEVER)


def users_without_telephony(draft: Draft) -> Ints:
    """Return the reps who have deals and not one call."""
    responsible = np.unique(draft.deals["responsible_user_id"])
    return responsible[~np.isin(responsible, draft["calls"]["user_id"])]


def is_measurable(draft: Draft) -> Flags:
    """Return the deals whose reps' calls are seen."""
    silent = users_without_telephony(draft)
    return ~np.isin(draft.deals["responsible_user_id"], silent)


def ordinary(draft: Draft) -> Flags:
    """Return new requests with a person behind them, in the sales pipeline from first to last."""
    deals = draft.deals
    elsewhere = np.zeros(len(deals), dtype=np.bool_)
    strange = (draft.moves["from_pipeline_id"] != story.SALES_PIPELINE_ID) | (
        draft.moves["to_pipeline_id"] != story.SALES_PIPELINE_ID
    )
    elsewhere[draft.move_deal()[strange]] = True
    absorbs = np.isin(deals["deal_id"], deals["merged_into_deal_id"])
    waiting = np.zeros(len(deals), dtype=np.bool_)
    unsorted = draft["unsorted"]
    is_taken = unsorted.flags("is_accepted") & (unsorted["resolved_at"] != NULL)
    waiting[draft.deal_of("unsorted")[~is_taken]] = True
    found: Flags = (
        deals.equals("kind", "new")
        & (deals["pipeline_id"] == story.SALES_PIPELINE_ID)
        & (deals["contact_id"] != NULL)
        & (deals["deleted_at"] == NULL)
        & (deals["merged_at"] == NULL)
        & ~absorbs
        & ~elsewhere
        & ~waiting
    )
    return found


def ripe_leads(draft: Draft) -> Flags:
    """Return the ordinary deals old enough to have been worked, of reps whose calls are seen."""
    is_old: Flags = draft.deals["created_at"] <= draft.now - RIPE_DAYS * DAY
    return ordinary(draft) & is_measurable(draft) & is_old


def entered_at(draft: Draft) -> Ints:
    """Return when each deal came to its rep: out of the unsorted list, or when it was made."""
    found: Ints = draft.deals["created_at"].copy()
    from_unsorted = np.flatnonzero(draft.moves["from_stage_id"] == story.UNSORTED_STAGE_ID)
    found[draft.move_deal()[from_unsorted]] = draft.moves["changed_at"][from_unsorted]
    return found


def add_calls(draft: Draft, deal: Ints, at: Ints, duration: Ints, outcome: Column) -> None:
    """Add outgoing calls of the reps responsible at the time."""
    if not len(deal):
        return
    calls, contacts = draft["calls"], draft["contacts"]
    user = draft.user_at(deal, at)
    by_id = np.argsort(contacts["contact_id"], kind="stable")
    contact = draft.deals["contact_id"][deal]
    row = by_id[np.searchsorted(contacts["contact_id"][by_id], contact)]
    digits = compute.replace_substring_regex(contacts["phone"], r"\D", "")
    phone = compute.binary_join_element_wise(
        pa.scalar("+7"), compute.utf8_slice_codeunits(digits, -10, None), ""
    )
    next_id = int(calls["call_id"].max(initial=91_000_001)) + 2
    calls.append(
        call_id=next_id + 2 * np.arange(len(deal)),
        contact_id=contact,
        deal_id=draft.deals["deal_id"][deal],
        called_at=at,
        direction="out",
        duration_seconds=duration,
        outcome=outcome,
        user_id=user,
        phone=phone.take(pa.array(row)),
        responsible_text=compute.cast(pa.array(user), pa.string()),
    )
