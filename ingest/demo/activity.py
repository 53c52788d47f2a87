"""Calls, chats, tasks and notes: the evidence beside the cards, attached to contacts as in life."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import Column, compute, filled
from ingest.demo.randomness import (
    DAY,
    Flags,
    Ints,
    Streams,
    WorkingTime,
    after,
    choose,
    concatenated,
    nullable,
    take_text,
    to_utc,
)
from ingest.demo.sales import LOST, SERVICE_LINE, previous_moments

OUTCOMES = (
    "conversation",
    "call_back",
    "unavailable",
    "no_answer",
    "busy",
    "wrong_number",
    "voicemail",
    None,
)
_TALK, _CALL_BACK, _UNAVAILABLE, _NO_ANSWER, _BUSY, _WRONG, _VOICEMAIL, _SILENT = range(8)
_ATTEMPTS = 6
_NO_PLACE = 1000

TASK_TEXTS = (
    "Связаться с клиентом",
    "Уточнить размеры помещения",
    "Согласовать время замера",
    "Отправить расчёт",
    "Напомнить про договор",
    "Перезвонить по номеру ",
    "Проверить оплату",
)
NOTE_TEXTS = (
    "Просит матовые фасады и столешницу под камень",
    "Квартира сдаётся весной, ремонт начнут через месяц",
    "Ждёт расчёт двух вариантов",
    "Сравнивает с другой фабрикой",
    "Дополнительный телефон: ",
)


def calls(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> tuple[pa.Table, Column]:
    """Return the calls of all deals, and by deal whether anybody was ever reached."""
    rng = streams("calls")
    count = len(deals["entered"])
    spoken = np.zeros(count, dtype=np.bool_)
    alive = deals["is_worked"].copy()
    moment = deals["entered"].copy()
    frames: list[dict[str, Any]] = []

    def add(deal: Ints, at: Ints, direction: int, outcome: Ints, duration: Ints) -> None:
        inside = (at < end_local) & (at < deals["stops"][deal])
        frames.append(
            {
                "deal": deal[inside],
                "at": at[inside],
                "direction": np.full(int(inside.sum()), direction, dtype=np.int64),
                "outcome": outcome[inside],
                "duration": duration[inside],
            }
        )

    rang = np.flatnonzero(deals["is_phone"])
    answered = rng.random(len(rang)) < 0.72
    add(
        rang,
        deals["created"][rang],
        0,
        np.where(answered, _TALK, _NO_ANSWER),
        np.where(answered, 20 + after(rng, 95, 0.7, len(rang)), 0),
    )
    spoken[rang[answered]] = True

    for attempt in range(_ATTEMPTS):
        trying = np.flatnonzero(alive & ~spoken)
        stays = rng.random(len(trying)) < (0.95, 0.80, 0.66, 0.55, 0.45, 0.4)[attempt]
        alive[trying[~stays]] = False
        trying = trying[stays]
        pause = after(
            rng, 11 * 60 if attempt == 0 else 20 * 3600, 1.2 if attempt == 0 else 0.7, len(trying)
        )
        at = calendar.snap(moment[trying] + pause, rng)
        moment[trying] = at
        wrong = deals["is_wrong_number"][trying]
        reached = ~wrong & (rng.random(len(trying)) < (0.50, 0.38, 0.33, 0.27, 0.22, 0.18)[attempt])
        missed = np.array([_NO_ANSWER, _BUSY, _UNAVAILABLE, _VOICEMAIL], dtype=np.int64)[
            choose(rng, (0.66, 0.14, 0.14, 0.06), len(trying))
        ]
        outcome = np.where(reached, _TALK, np.where(wrong, _WRONG, missed))
        duration = np.where(
            reached, 25 + after(rng, 110, 0.8, len(trying)), rng.integers(0, 9, len(trying))
        )
        add(trying, at, 1, outcome, duration)
        spoken[trying[reached]] = True

    # Later talks before a card moves on: about measures, sums, contracts.
    moves = deals["moves"]
    later = np.flatnonzero(rng.random(len(moves["deal"])) < 0.34)
    deal = moves["deal"][later]
    at = calendar.snap(moves["moved"][later] - after(rng, 4 * 3600, 1.0, len(later)), rng)
    at = np.maximum(at, deals["created"][deal] + 60)
    incoming = rng.random(len(later)) < 0.28
    talked = rng.random(len(later)) < 0.74
    outcome = np.where(
        talked, np.where(rng.random(len(later)) < 0.1, _CALL_BACK, _TALK), _NO_ANSWER
    )
    duration = np.where(talked, 20 + after(rng, 140, 0.8, len(later)), 0)
    for direction in (0, 1):
        part = incoming == (direction == 0)
        add(deal[part], at[part], direction, outcome[part], duration[part])

    joined = concatenated(frames)
    # A rep without telephony leaves no trace; a part of the calls comes without a status.
    kept = deals["slot"][joined["deal"]] != story.NO_TELEPHONY_SLOT
    order = np.argsort(joined["at"][kept], kind="stable")
    call = {name: column[kept][order] for name, column in joined.items()}
    total = len(order)
    silent = rng.random(total) < 0.12
    deal = call["deal"]
    contact = deals["contact_id"][deal]
    user_id = deals["user_at"](deals["slot"][deal], to_utc(call["at"]))
    by_name = rng.random(total) < 0.5
    named = compute.if_else(
        pa.array(by_name),
        take_text(deals["user_names"], deals["user_position"](user_id)),
        compute.cast(pa.array(user_id), pa.string()),
    )
    table = filled(
        "calls",
        {
            "call_id": pa.array(91_000_001 + 2 * np.arange(total)),
            "contact_id": nullable(contact, contact < 0),
            "deal_id": deals["deal_id"][deal],
            "called_at": to_utc(call["at"]),
            "direction": take_text(("in", "out"), call["direction"]),
            "duration_seconds": call["duration"],
            "outcome": take_text(OUTCOMES, np.where(silent, _SILENT, call["outcome"])),
            "user_id": user_id,
            "phone": deals["phone_e164"].take(pa.array(deal)),
            "responsible_text": named,
        },
    )
    return table, pa.array(spoken)


def messages(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> pa.Table:
    """Return chat messages, in short sessions; a robot greets at once."""
    rng = streams("messages")
    chatting = np.flatnonzero(
        (rng.random(len(deals["entered"])) < 0.2) & deals["is_worked"] & (deals["contact_id"] > 0)
    )
    frames = []
    start = deals["created"][chatting]
    for number in range(5):
        goes_on = rng.random(len(chatting)) < (1.0, 0.9, 0.75, 0.6, 0.5)[number]
        chatting, start = chatting[goes_on], start[goes_on]
        incoming = number % 2 == 0
        pause = after(rng, 20 if number == 1 else 900, 0.5 if number == 1 else 1.3, len(chatting))
        start = start + pause if number == 1 else calendar.snap(start + pause, rng)
        inside = start < end_local
        deal = chatting[inside]
        author = deals["user_at"](deals["slot"][deal], to_utc(start[inside]))
        robot = np.full(len(deal), number == 1)
        frames.append(
            {
                "deal": deal,
                "at": start[inside],
                "incoming": np.full(len(deal), incoming),
                "author": np.where(incoming | robot, 0, author),
            }
        )
    chat = concatenated(frames)
    order = np.argsort(chat["at"], kind="stable")
    chat = {name: column[order] for name, column in chat.items()}
    total = len(order)
    high, low = rng.integers(0, 2**32, total), rng.integers(0, 2**48, total)
    ids = [
        f"{h:08x}-{number & 0xFFFF:04x}-4{number % 4093:03x}-a{number % 4091:03x}-{tail:012x}"
        for number, (h, tail) in enumerate(zip(high.tolist(), low.tolist(), strict=True))
    ]
    contact = deals["contact_id"][chat["deal"]]
    return filled(
        "messages",
        {
            "message_id": pa.array(ids, pa.string()),
            "contact_id": contact,
            "deal_id": deals["deal_id"][chat["deal"]],
            "sent_at": to_utc(chat["at"]),
            "direction": take_text(("out", "in"), chat["incoming"].astype(np.int64)),
            "author_id": chat["author"],
        },
    )


def tasks(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> tuple[pa.Table, pa.Table]:
    """Return tasks and their moved deadlines.

    A robot sets the first, people set the next ones, push some before them and forget some.
    """
    rng = streams("tasks")
    moves = deals["moves"]
    worked = np.flatnonzero(deals["is_worked"] & (rng.random(len(deals["entered"])) < 0.6))
    by_hand = np.flatnonzero((moves["target"] < 100) & (rng.random(len(moves["deal"])) < 0.36))
    deal = np.concatenate([worked, moves["deal"][by_hand]])
    at = np.concatenate([deals["entered"][worked], moves["moved"][by_hand]])
    robot = np.arange(len(deal)) < len(worked)
    text = np.where(robot, 0, rng.integers(1, len(TASK_TEXTS), len(deal)))
    due = calendar.snap(at + np.where(robot, 1800, after(rng, 2 * DAY, 0.6, len(deal))), rng)
    last_due, pushed = _pushes(rng, calendar, at, due, ~robot)
    done = calendar.snap(
        np.maximum(at + 120, last_due + (rng.normal(-0.1, 0.5, len(deal)) * DAY).astype(np.int64)),
        rng,
    )
    forgotten = rng.random(len(deal)) < 0.14
    inside = (at < end_local) & (at < deals["stops"][deal])
    order = np.flatnonzero(inside)[np.argsort(at[inside], kind="stable")]
    row_of = np.full(len(deal), -1, dtype=np.int64)
    row_of[order] = np.arange(len(order))
    stops = np.minimum(np.where(forgotten, end_local, done), deals["stops"][deal])
    kept = (row_of[pushed["task"]] >= 0) & (
        pushed["at"] < np.minimum(stops[pushed["task"]], end_local)
    )
    pushed = {name: column[kept] for name, column in pushed.items()}
    pushed["task"] = row_of[pushed["task"]]
    deal, at, text, due, done = (column[order] for column in (deal, at, text, due, done))
    robot, forgotten = robot[order], forgotten[order]
    total = len(order)
    open_still = forgotten | (done >= end_local)
    user_id = deals["user_at"](deals["slot"][deal], to_utc(at))
    base = take_text(TASK_TEXTS, text)
    with_phone = compute.binary_join_element_wise(
        base, deals["phone_written"].take(pa.array(deal)), ""
    )
    calls_back = pa.array((text == 5) & deals["has_phone"][deal])
    results = take_text(
        ("Поговорили, ждёт расчёт", "Недозвон", None), choose(rng, (0.3, 0.2, 0.5), total)
    )
    task_id = 5_200_001 + 3 * np.arange(total)
    by_time = np.lexsort((pushed["task"], pushed["at"]))
    pushed = {name: column[by_time] for name, column in pushed.items()}
    whose = deal[pushed["task"]]
    moved_deadlines = filled(
        "task_deadline_changes",
        {
            "task_id": task_id[pushed["task"]],
            "changed_at": to_utc(pushed["at"]),
            "from_due_at": to_utc(pushed["before"]),
            "to_due_at": to_utc(pushed["after"]),
            "changed_by": deals["user_at"](deals["slot"][whose], to_utc(pushed["at"])),
        },
    )
    table = filled(
        "tasks",
        {
            "task_id": pa.array(task_id),
            "deal_id": deals["deal_id"][deal],
            "task_type": take_text(("call", "meeting"), (text == 2).astype(np.int64)),
            "text": compute.if_else(calls_back, with_phone, base),
            "result_text": compute.if_else(
                pa.array(open_still), pa.scalar(None, pa.string()), results
            ),
            "user_id": user_id,
            "created_by": np.where(robot, 0, user_id),
            "created_at": to_utc(at),
            "due_at": to_utc(due),
            "completed_at": nullable(to_utc(done), open_still),
        },
    )
    return table, moved_deadlines


def _pushes(
    rng: np.random.Generator, calendar: WorkingTime, at: Ints, due: Ints, by_hand: Flags
) -> tuple[Ints, dict[str, Any]]:
    """Return the last deadline of each task and how it got there, push by push."""
    number = np.where(by_hand, choose(rng, story.PUSHES, len(at)), 0)
    last = due.copy()
    frames: list[dict[str, Any]] = []
    for push in range(len(story.PUSHES)):
        who = np.flatnonzero(number > push)
        before = last[who]
        moved = np.maximum(before - rng.integers(60, 2 * 3600, len(who)), at[who] + 60 * (1 + push))
        later = calendar.snap(before + after(rng, 1.5 * DAY, 0.5, len(who)), rng)
        last[who] = np.maximum(later, moved + 60)
        frames.append({"task": who, "at": moved, "before": before, "after": last[who]})
    return last, concatenated(frames)


def documents(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> pa.Table:
    """Return what was sent to clients while their deals stood in the stage that asks for it."""
    rng = streams("documents")
    moves = deals["moves"]
    deal, moved = moves["deal"], moves["moved"]
    came = previous_moments(moves, deals["entered"])
    line = deals["line"][deal]
    source, target = moves["source"], moves["target"]
    drawn = rng.random(len(deal))
    priced_in = np.choose(line, [story.SALES_PRICED_FROM, story.REPEAT_PRICED_FROM, _NO_PLACE])
    # On the way to the contract, or to the stage that was given up.
    goes_on = (source == priced_in) & (target > source) & (target != LOST)
    refused = (source == priced_in) & (target == LOST)
    offers = (goes_on & (drawn < story.OFFER_SHARE)) | (
        refused & (drawn < story.REFUSED_OFFER_SHARE)
    )
    agrees_in = np.choose(line, [story.SALES_PRICED_FROM + 1, _NO_PLACE, _NO_PLACE])
    contracts = (
        (source == agrees_in)
        & (target > source)
        & (target != LOST)
        & (drawn < story.CONTRACT_SHARE)
    )
    kinds, frames = (0, 1), []
    for kind, sent in zip(kinds, (offers, contracts), strict=True):
        who = np.flatnonzero(sent)
        share = rng.uniform(0.3, 0.9, len(who))
        at = calendar.snap(came[who] + ((moved - came)[who] * share).astype(np.int64), rng)
        frames.append(
            {
                "deal": deal[who],
                "at": np.maximum(np.minimum(at, moved[who] - 60), came[who]),
                "kind": np.full(len(who), kind),
            }
        )
    ends = np.flatnonzero(
        (deals["won"] >= 0)
        & (deals["line"] != SERVICE_LINE)
        & (rng.random(len(deals["won"])) < story.ACT_SHARE)
    )
    handed_over = deals["won"][ends] + 36 * DAY + after(rng, 5 * DAY, 0.7, len(ends))
    frames.append(
        {
            "deal": ends,
            "at": calendar.snap(handed_over, rng),
            "kind": np.full(len(ends), 2),
        }
    )
    sent = concatenated(frames)
    gone = deals["deleted"][sent["deal"]]
    inside = (sent["at"] < end_local) & ((gone < 0) | (sent["at"] < gone))
    order = np.flatnonzero(inside)[np.argsort(sent["at"][inside], kind="stable")]
    sent = {name: column[order] for name, column in sent.items()}
    deal = sent["deal"]
    return filled(
        "documents",
        {
            # Odd numbers are those of notes.
            "document_id": pa.array(97_000_002 + 2 * np.arange(len(deal))),
            "deal_id": deals["deal_id"][deal],
            "kind": take_text(("offer", "contract", "act"), sent["kind"]),
            "sent_at": to_utc(sent["at"]),
            "sent_by": deals["user_at"](deals["slot"][deal], to_utc(sent["at"])),
        },
    )


def notes(
    streams: Streams, calendar: WorkingTime, deals: dict[str, Any], end_local: int
) -> pa.Table:
    """Return notes: reps' words on deals, a few on contacts and companies."""
    rng = streams("notes")
    count = len(deals["entered"])
    deal = np.flatnonzero(deals["is_worked"] & (rng.random(count) < 0.16))
    at = calendar.snap(deals["entered"][deal] + after(rng, 6 * 3600, 1.0, len(deal)), rng)
    inside = (at < end_local) & (at < deals["stops"][deal])
    deal, at = deal[inside], at[inside]
    order = np.argsort(at, kind="stable")
    deal, at = deal[order], at[order]
    total = len(deal)
    text = rng.integers(0, len(NOTE_TEXTS), total)
    base = take_text(NOTE_TEXTS, text)
    with_phone = compute.binary_join_element_wise(
        base, deals["phone_written"].take(pa.array(deal)), ""
    )
    is_second = (text == len(NOTE_TEXTS) - 1) & deals["has_phone"][deal]
    contact, company = deals["contact_id"][deal], deals["company_id"][deal]
    drawn = rng.random(total)
    on_company = (company > 0) & (drawn < 0.4)
    on_contact = ~on_company & (contact > 0) & (drawn < 0.25)
    kind = np.where(on_company, 2, np.where(on_contact, 1, 0))
    return filled(
        "notes",
        {
            "note_id": pa.array(97_000_001 + 2 * np.arange(total)),
            "entity_type": take_text(("lead", "contact", "company"), kind),
            "entity_id": np.choose(kind, [deals["deal_id"][deal], contact, company]),
            "note_type": take_text(("common", "service_message"), (drawn > 0.93).astype(np.int64)),
            "text": compute.if_else(pa.array(is_second), with_phone, base),
            "created_by": deals["user_at"](deals["slot"][deal], to_utc(at)),
            "created_at": to_utc(at),
        },
    )
