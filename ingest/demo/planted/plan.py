"""What every planter works with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ingest.demo.planted.baseline import (
    ADVANCE,
    CONTRACT,
    ESTIMATE,
    MEASURING,
    NO_NEED,
    POSTPONED,
    PRICE,
    QUALIFIED,
)
from ingest.demo.planted.contacting import BusinessTime, earliest
from ingest.demo.planted.draft import NULL, Draft, day_begins, local_day
from ingest.demo.planted.truth_tables import Record
from ingest.demo.planted.truths import Truths
from ingest.demo.randomness import CLOSES, DAY, OPENS, Flags, Ints, Streams
from ingest.demo.sales import pick_some
from ingest.demo.story import AUTO_CLOSE_DAYS, AUTO_CLOSE_SHARE, MOSCOW_OFFSET_SECONDS
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID

FAR = int(np.iinfo(np.int64).max)
WORKING_DAY = CLOSES - OPENS


@dataclass
class Plan:
    """The firm, the wanted truths, and which deals already carry one."""

    draft: Draft
    truths: Truths
    streams: Streams
    record: Record = field(default_factory=Record)

    def __post_init__(self) -> None:
        self.assisted: Ints = np.zeros(0, dtype=np.int64)
        self.taken: Flags = np.zeros(len(self.draft.deals), dtype=np.bool_)
        self.star = -1
        self.time = BusinessTime(self.draft)
        self.calendar = self.time.calendar

    def rng(self, name: str) -> np.random.Generator:
        """Return the random stream of a truth."""
        return self.streams(f"planted.{name}")

    def choose(self, name: str, pool: Flags, count: float) -> Ints:
        """Return deals of a pool that carry no truth yet, and mark them as taken."""
        found = pick_some(
            self.streams(f"planted.{name}.chosen"), np.flatnonzero(pool & ~self.taken), round(count)
        )
        self.taken[found] = True
        return found

    def is_open_day(self, moment: Ints) -> Flags:
        """Return whether reps work on the days of these moments."""
        return self.calendar.is_open_day(local_day(moment))

    def cut_rows(self, deal: Ints, rng: np.random.Generator) -> Ints:
        """Return, for deals on their way through the sales pipeline, a change at which each could
        as well have been lost; -1 where there is none."""
        moves = self.draft.moves
        owner = self.draft.move_deal()
        wanted = np.zeros(len(self.draft.deals), dtype=np.bool_)
        wanted[deal] = True
        rows = np.flatnonzero(
            wanted[owner]
            & np.isin(moves["from_stage_id"], (QUALIFIED, MEASURING, ESTIMATE, CONTRACT, ADVANCE))
        )
        rows = rows[np.argsort(rng.random(len(rows)), kind="stable")]
        found = np.full(len(self.draft.deals), -1, dtype=np.int64)
        found[owner[rows]] = rows
        return found[deal]

    def plausible_reasons(self, deal: Ints, at: Ints, rng: np.random.Generator) -> Ints:
        """Return loss reasons that nothing on record denies."""
        documents = self.draft["documents"]
        offers = documents.equals("kind", "offer")
        offered = earliest(
            len(self.draft.deals),
            self.draft.deal_of("documents")[offers],
            documents["sent_at"][offers],
        )
        drawn = rng.random(len(deal))
        other = np.where(drawn < 0.75, POSTPONED, NO_NEED)
        return np.where((offered[deal] <= at) & (drawn < 0.5), PRICE, other)

    def lose_somewhere(self, name: str, deal: Ints) -> Ints:
        """Let deals be lost at some point of their way; return those that were."""
        rng = self.rng(f"{name}.lost")
        rows = self.cut_rows(deal, rng)
        deal, rows = deal[rows >= 0], rows[rows >= 0]
        order = np.argsort(rows, kind="stable")
        deal, rows = deal[order], rows[order]
        reasons = self.plausible_reasons(deal, self.draft.moves["changed_at"][rows], rng)
        self.draft.lose(rows, reasons, repoint=self.rng(f"{name}.repoint"))
        return deal

    def expire(self, name: str, deal: Ints) -> None:
        """Let a robot close some of these forgotten deals two months later."""
        draft = self.draft
        last = draft.last_moves()[deal]
        since = np.where(
            last >= 0,
            np.append(draft.moves["changed_at"], 0)[last],
            draft.deals["created_at"][deal],
        )
        night = day_begins(local_day(since) + AUTO_CLOSE_DAYS) + 3 * 3600
        closes = (self.rng(f"{name}.expire").random(len(deal)) < AUTO_CLOSE_SHARE) & (
            night < draft.now
        )
        deal, night = deal[closes], night[closes]
        stage = draft.final_stage()[deal]
        pipeline = draft.deals["pipeline_id"][deal]
        draft.moves.append(
            deal_id=draft.deals["deal_id"][deal],
            changed_at=night,
            from_pipeline_id=pipeline,
            from_stage_id=stage,
            to_pipeline_id=pipeline,
            to_stage_id=LOST_STAGE_ID,
            changed_by=0,
            published_at=night,
        )
        draft.moves.take(np.argsort(draft.move_deal(), kind="stable"))

    def would_be_amount(self) -> Ints:
        """Return the sum of each deal that is won, NULL for the others."""
        return np.where(self.draft.is_won(), self.draft.final_amount(), NULL)

    def span(self) -> tuple[int, int]:
        """Return the first and last moment of the clock."""
        return int(self.draft.deals["created_at"].min(initial=self.draft.now)), self.draft.now

    def monday_before_end(self, days: int) -> int:
        """Return the beginning of the Moscow Monday at least some days before the end."""
        day = (self.draft.now + MOSCOW_OFFSET_SECONDS) // DAY - days
        return int(day_begins(np.array([day - (day + 3) % 7]))[0])


__all__ = ["FAR", "WON_STAGE_ID", "WORKING_DAY", "Plan"]
