"""How deals move: every deal is walked through its pipeline, all of them in step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.demo import story
from ingest.demo.randomness import DAY, Flags, Floats, Ints, WorkingTime, after

# Places beside the open stages of a pipeline.
WON, LOST, UNSORTED, REMOVED = 100, 101, 102, 103
OWN_LINE = -1
KINDS = ("new", "repeat", "continuation", "duplicate", "test", "service")
NEW, REPEATED, CONTINUED, DOUBLED, TESTED, SERVED = range(6)
_MOST_MOVES = 26


@dataclass(frozen=True)
class Walk:
    """What became of the deals: their moves in order, and where each stands at the end.

    `moves` columns: deal (position), moved (Moscow seconds), source and target (place), by_robot,
    reason (position in LOSS_REASONS, -1 none), from_line (position in LINES of the pipeline left
    behind, OWN_LINE: the deal's own).
    """

    moves: dict[str, Any]
    place: Ints
    last_moved: Ints
    reopened: Flags


class Pipeline:
    """A pipeline's numbers as vectors."""

    def __init__(
        self, stages: tuple[story.Stage, ...], pipeline_id: int, unsorted_stage_id: int
    ) -> None:
        self.pipeline_id = pipeline_id
        self.unsorted_stage_id = unsorted_stage_id
        self.count = len(stages)
        self.stage_ids = np.array([s.stage_id for s in stages], dtype=np.int64)
        self.forward = np.array([s.forward for s in stages])
        self.power = np.array([s.quality_power for s in stages])
        self.skip = np.array([s.skip for s in stages])
        self.back = np.array([s.back for s in stages])
        self.stall = np.array([s.stall for s in stages])
        self.dwell = np.array([s.dwell_hours for s in stages]) * 3600
        self.spread = np.array([s.dwell_spread for s in stages])
        weights = np.array([s.loss_weights for s in stages], dtype=np.float64)
        self.reasons = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)

    def stage_id(self, place: Ints) -> Ints:
        """Return the stage ids of places."""
        found = self.stage_ids[np.minimum(place, self.count - 1)]
        found = np.where(place == WON, 142, found)
        found = np.where(place == LOST, 143, found)
        found = np.where(place == REMOVED, story.REMOVED_STAGE_ID, found)
        return np.where(place == UNSORTED, self.unsorted_stage_id, found)


SALES = Pipeline(story.SALES_STAGES, story.SALES_PIPELINE_ID, story.UNSORTED_STAGE_ID)
REPEAT = Pipeline(story.REPEAT_STAGES, story.REPEAT_PIPELINE_ID, story.REPEAT_UNSORTED_STAGE_ID)
SERVICE = Pipeline(story.SERVICE_STAGES, story.SERVICE_PIPELINE_ID, story.SERVICE_UNSORTED_STAGE_ID)
LINES = (SALES, REPEAT, SERVICE)
SALES_LINE, REPEAT_LINE, SERVICE_LINE = range(3)
PIPELINE_IDS = np.array([one.pipeline_id for one in LINES], dtype=np.int64)


def stage_ids(line: Ints, place: Ints) -> Ints:
    """Return the stage ids of places in the pipelines at these positions of LINES."""
    return np.choose(line, [one.stage_id(place) for one in LINES])


def moves_of(
    deal: Ints, moved: Ints, source: Ints | int, target: Ints | int, **others: Any
) -> dict[str, Any]:
    """Return moves made by hand without a reason, unless `others` says something else."""
    count = len(deal)

    def column(value: Any, kind: Any = np.int64) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=kind), (count,)).copy()

    return {
        "deal": deal,
        "moved": moved,
        "source": column(source),
        "target": column(target),
        "by_robot": column(others.get("by_robot", False), np.bool_),
        "reason": column(others.get("reason", -1)),
        "from_line": column(others.get("from_line", OWN_LINE)),
    }


def previous_moments(moves: dict[str, Any], entered: Ints) -> Ints:
    """Return, by move, when its deal came to the stage it leaves; moves stand in order by deal."""
    deal, moved = moves["deal"], moves["moved"]
    before = np.concatenate([[0], moved[:-1]]).astype(np.int64)
    follows = np.concatenate([[False], deal[1:] == deal[:-1]])[: len(deal)]
    return np.where(follows, before[: len(deal)], entered[deal])


def through_removed_stage(
    rng: np.random.Generator,
    calendar: WorkingTime,
    moves: dict[str, Any],
    entered: Ints,
    removed_local: int,
) -> dict[str, Any]:
    """Return the moves with a stop at the stage that was given up at a moment.

    Between the offer and the contract some deals of that time stood there.
    """
    came = previous_moments(moves, entered)
    offered, agreed = 3, 4
    middle = calendar.snap(came + (moves["moved"] - came) // 2, rng)
    stops = (
        (moves["source"] == offered)
        & ((moves["target"] == agreed) | (moves["target"] == LOST))
        & (moves["moved"] < removed_local)
        & (middle < moves["moved"])
        & (middle > came)
        & (rng.random(len(came)) < story.REMOVED_STAGE_SHARE)
    )
    who = np.flatnonzero(stops)
    extra = moves_of(moves["deal"][who], middle[who], offered, REMOVED)
    changed = {**moves, "source": np.where(stops, REMOVED, moves["source"])}
    # An extra move stands right before the one it divides.
    place = np.concatenate([np.arange(len(came)) * 2 + 1, who * 2])
    order = np.argsort(place, kind="stable")
    return {name: np.concatenate([column, extra[name]])[order] for name, column in changed.items()}


def walk(
    rng: np.random.Generator,
    pipeline: Pipeline,
    calendar: WorkingTime,
    *,
    entered: Ints,
    place: Ints,
    quality: Floats,
    end_local: int,
) -> Walk:
    """Return the moves of deals that enter at `entered` in `place`, up to the end of the clock.

    Deals of one quality are equal: nobody who works on them is better than another.
    """
    count = len(entered)
    now, place, quality = entered.copy(), place.copy(), quality.copy()
    lost_from = np.zeros(count, dtype=np.int64)
    may_reopen = rng.random(count) < story.REOPEN_SHARE
    reopened = np.zeros(count, dtype=np.bool_)
    went_back = np.zeros(count, dtype=np.bool_)
    active = np.arange(count, dtype=np.int64)
    parts: list[dict[str, Any]] = []

    def record(deal: Ints, moved: Ints, target: Ints, robot: Flags, reason: Ints) -> None:
        parts.append(
            {
                "deal": deal,
                "moved": moved,
                "source": place[deal],
                "target": target,
                "by_robot": robot,
                "reason": reason,
                "from_line": np.full(len(deal), OWN_LINE, dtype=np.int64),
                "step": np.full(len(deal), len(parts), dtype=np.int64),
            }
        )
        lost_from[deal] = np.where(target == LOST, place[deal], lost_from[deal])
        place[deal] = target
        now[deal] = moved

    def no_reason(deal: Ints) -> Ints:
        return np.full(len(deal), -1, dtype=np.int64)

    nobody = np.zeros(0, dtype=np.int64)
    record(nobody, nobody, nobody, np.zeros(0, np.bool_), nobody)
    for _ in range(_MOST_MOVES):
        if len(active) == 0:
            break
        here = place[active]
        dwell = after(rng, pipeline.dwell[here], pipeline.spread[here], len(active))
        moved = calendar.snap(now[active] + dwell, rng)
        drawn = rng.random(len(active))
        stall = pipeline.stall[here]
        back = np.where((here > 0) & ~went_back[active], pipeline.back[here], 0.0)
        ahead = np.clip(pipeline.forward[here] * quality[active] ** pipeline.power[here], 0.0, 0.97)
        goes_ahead = stall + back + ahead * (1 - stall - back)
        is_stalled = drawn < stall
        is_back = ~is_stalled & (drawn < stall + back)
        is_ahead = ~is_stalled & ~is_back & (drawn < goes_ahead)
        is_lost = ~is_stalled & ~is_back & ~is_ahead
        in_time = moved < end_local

        skips = is_ahead & (rng.random(len(active)) < pipeline.skip[here])
        doubles = is_ahead & ~skips & (rng.random(len(active)) < story.DOUBLE_MOVE_SHARE)
        target = np.where(is_back, here - 1, here + 1 + skips)
        target = np.where(is_ahead & (target >= pipeline.count), WON, target)
        target = np.where(is_lost, LOST, target)
        reason_draw = rng.random(len(active))
        reason = (pipeline.reasons[here] < reason_draw[:, None]).sum(axis=1)
        reason = np.where(rng.random(len(active)) < story.EMPTY_REASON_SHARE, -1, reason)
        # Payment closes a deal by itself more often than a person does.
        robot = (target == WON) & (rng.random(len(active)) < 0.7)

        moves = ~is_stalled & in_time
        picked = np.flatnonzero(moves)
        deals = active[picked]
        record(
            deals,
            moved[picked],
            target[picked],
            robot[picked],
            np.where(is_lost, reason, -1)[picked],
        )
        went_back[deals] |= is_back[picked]
        # Two stages in one save: the same second.
        twice = np.flatnonzero(moves & doubles & (target < pipeline.count - 1))
        if len(twice):
            deals = active[twice]
            record(
                deals,
                now[deals],
                place[deals] + 1,
                np.zeros(len(deals), np.bool_),
                no_reason(deals),
            )

        # Some forgotten deals are closed by a robot much later.
        closes = rng.random(len(active)) < story.AUTO_CLOSE_SHARE
        swept = np.flatnonzero(
            is_stalled & closes & (now[active] + story.AUTO_CLOSE_DAYS * DAY < end_local)
        )
        if len(swept):
            deals = active[swept]
            midnight = (now[deals] // DAY + story.AUTO_CLOSE_DAYS) * DAY + 3 * 3600
            lost = np.full(len(deals), LOST, dtype=np.int64)
            inside = midnight < end_local
            record(
                deals[inside],
                midnight[inside],
                lost[inside],
                np.ones(int(inside.sum()), np.bool_),
                no_reason(deals[inside]),
            )

        comes_back = np.flatnonzero(moves & is_lost & may_reopen[active])
        if len(comes_back):
            deals = active[comes_back]
            again = calendar.snap(now[deals] + DAY + after(rng, 12 * DAY, 0.8, len(deals)), rng)
            inside = again < end_local
            deals = deals[inside]
            record(
                deals,
                again[inside],
                lost_from[deals],
                np.zeros(len(deals), np.bool_),
                no_reason(deals),
            )
            reopened[deals] = True
            may_reopen[deals] = False
            quality[deals] = np.maximum(quality[deals], 1.2)
        goes_on = moves & (~is_lost | reopened[active]) & (place[active] < pipeline.count)
        active = active[goes_on]

    names = ("deal", "moved", "source", "target", "by_robot", "reason", "from_line", "step")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    order = np.lexsort((joined["step"], joined["moved"], joined["deal"]))
    return Walk(
        moves={name: joined[name][order] for name in names if name != "step"},
        place=place,
        last_moved=now,
        reopened=reopened,
    )


def amounts(rng: np.random.Generator, products: Ints, scale: Floats) -> Ints:
    """Return the sums of deals in whole hundreds of rubles."""
    median = np.array([p.median_price for p in story.PRODUCTS], dtype=np.float64)[products]
    spread = np.array([p.spread for p in story.PRODUCTS])[products]
    drawn = median * scale * np.exp(spread * rng.standard_normal(len(products)))
    return (np.maximum(drawn, 12_000) // 100 * 100).astype(np.int64)


def first_moves_into(moves: dict[str, Any], count: int, from_place: int) -> Ints:
    """Return, by deal, when it first reached `from_place` or more, or was won; -1: never."""
    reached = (moves["target"] == WON) | ((moves["target"] >= from_place) & (moves["target"] < WON))
    found = np.full(count, -1, dtype=np.int64)
    deal, moved = moves["deal"][reached], moves["moved"][reached]
    # Moves stand in time order by deal: written backwards, the first one stays.
    found[deal[::-1]] = moved[::-1]
    return found


def pick_some(
    rng: np.random.Generator, pool: Ints, count: int, weights: Floats | None = None
) -> Ints:
    """Return at most `count` distinct members of a pool."""
    count = min(count, len(pool))
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    if weights is None:
        return np.sort(rng.permutation(pool)[:count])
    keys = rng.random(len(pool)) ** (1.0 / np.maximum(weights, 1e-9))
    return np.sort(pool[np.argsort(-keys, kind="stable")[:count]])
