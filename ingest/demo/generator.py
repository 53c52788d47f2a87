"""The demo company: one seed in, the tables of a firm out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.demo import activity, money, people, story
from ingest.demo.arrow import Column, compute, filled
from ingest.demo.demand import CHANNEL_CODES, FORM, PHONE, TYPED, requests
from ingest.demo.planted import PlantedCompany, Truths, plant
from ingest.demo.randomness import (
    DAY,
    Flags,
    Floats,
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
from ingest.demo.sales import (
    CONTINUED,
    DOUBLED,
    KINDS,
    LINES,
    LOST,
    NEW,
    PIPELINE_IDS,
    REPEAT_LINE,
    REPEATED,
    SALES,
    SALES_LINE,
    SERVED,
    SERVICE,
    SERVICE_LINE,
    TESTED,
    UNSORTED,
    WON,
    Pipeline,
    Walk,
    amounts,
    first_moves_into,
    moves_of,
    pick_some,
    stage_ids,
    through_removed_stage,
    walk,
)
from ingest.demo.tables import SCHEMAS, CompanyTables
from ingest.demo.visits import drawn_campaigns, visits

REPEAT_CHANNEL = len(CHANNEL_CODES)
ALL_CHANNELS = (*CHANNEL_CODES, "repeat_customer")
CRITERIA = ("region", "budget", "product", "spam")
_CHANNELS_WITH_UTM = [CHANNEL_CODES.index(code) for code in story.UTM]
# Of a filler in the field for mail: with few of them it would look like a family's box.
_MOST_PERSONS_OF_A_KEY = 5


@dataclass(frozen=True)
class DemoCompany:
    """A simulated firm; equal arguments give equal tables, byte for byte.

    Attributes:
        seed: Of every random stream.
        months: How far back the clock begins.
        leads: How many deals there are in all.
        end: The last moment of the simulated clock.
        truths: What is planted in the firm, and how large.
    """

    seed: int = 20261121
    months: int = 18
    leads: int = 20_000
    end: dt.datetime = field(default=story.END_OF_CLOCK)
    truths: Truths = field(default_factory=Truths)

    @property
    def start(self) -> dt.datetime:
        """Return midnight in Moscow of the day the clock begins."""
        offset = dt.timedelta(seconds=story.MOSCOW_OFFSET_SECONDS)
        local = self.end + offset
        month = local.year * 12 + local.month - 1 - self.months
        first = local.replace(
            year=month // 12,
            month=month % 12 + 1,
            day=min(local.day, 28),
            hour=0,
            minute=0,
            second=0,
        )
        return first - offset

    def world(self) -> CompanyTables:
        """Return everything that happened in the firm, before any truth is planted in it."""
        return _Company(self).tables()

    def planted(self) -> PlantedCompany:
        """Return the firm with its truths planted, and beside it what is true of it."""
        return plant(self.world(), self.truths, Streams(self.seed))

    def tables(self) -> CompanyTables:
        """Return everything that happened in the firm, as its systems hold it."""
        return self.planted().tables


class _Company:
    """One run of the simulation, entity by entity. Inside it all times are Moscow seconds."""

    def __init__(self, company: DemoCompany) -> None:
        self.company = company
        self.streams = Streams(company.seed)
        self.end_utc = int(company.end.timestamp())
        self.end = self.end_utc + story.MOSCOW_OFFSET_SECONDS
        self.start = int(company.start.timestamp()) + story.MOSCOW_OFFSET_SECONDS
        self.calendar = WorkingTime(self.start // DAY, self.end // DAY)
        self.reps = people.reps(self.streams("reps"), to_utc_int(self.start), self.end_utc)

    def tables(self) -> CompanyTables:
        deals, moves = self._deals()
        contacts, companies = self._contacts(deals)
        self._describe(deals, moves)
        wanted_visits = round(story.VISITS_PER_LEAD * self.company.leads)
        seen = visits(self.streams, deals, wanted_visits, self.start, self.end)
        amount_changes = self._amount_changes(deals, moves)
        calls, _ = activity.calls(self.streams, self.calendar, deals, self.end)
        invoices, payments = money.invoices(self.streams, self.calendar, deals, self.end)
        tasks, moved_deadlines = activity.tasks(self.streams, self.calendar, deals, self.end)
        requests_of_new = int((deals["kind"] == NEW).sum())
        return CompanyTables(
            now=self.end_utc,
            account=self._account(),
            pipelines=self._pipelines(),
            stages=self._stages(),
            users=self._users(),
            contacts=contacts,
            companies=companies,
            deals=self._deal_table(deals),
            stage_changes=self._stage_changes(deals, moves),
            amount_changes=amount_changes,
            responsible_changes=self._responsible_changes(deals),
            calls=calls,
            messages=activity.messages(self.streams, self.calendar, deals, self.end),
            notes=activity.notes(self.streams, self.calendar, deals, self.end),
            documents=activity.documents(self.streams, self.calendar, deals, self.end),
            tasks=tasks,
            task_deadline_changes=moved_deadlines,
            unsorted=self._unsorted(deals),
            loss_reasons=self._loss_reasons(),
            invoices=invoices,
            payments=payments,
            visits=seen,
            ad_campaigns=money.campaigns(self.start),
            ad_spend=money.ad_spend(self.streams, requests_of_new, self.start, self.end),
        )

    def _deals(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return deals in order of creation and their moves."""
        total = self.company.leads
        share = {
            REPEATED: story.REPEAT_SHARE,
            CONTINUED: story.CONTINUATION_SHARE,
            DOUBLED: story.DUPLICATE_SHARE,
            TESTED: story.TEST_SHARE,
            SERVED: story.SERVICE_SHARE,
        }
        wanted = {kind: round(total * part) for kind, part in share.items()}
        new, new_walk = self._new(total - sum(wanted.values()))
        pieces = [
            (new, new_walk.moves),
            *self._repeats(new, new_walk, wanted[REPEATED], wanted[DOUBLED]),
            self._continued(new, new_walk, wanted[CONTINUED]),
            self._doubled(new, wanted[DOUBLED]),
            self._tests(wanted[TESTED]),
            self._served(new, new_walk, wanted[SERVED]),
        ]
        first = 0
        frames, moved = [], []
        for frame, moves in pieces:
            frames.append(frame)
            moved.append({**moves, "deal": moves["deal"] + first})
            first += len(frame["created"])
        deals = concatenated(frames)
        moves = concatenated(moved)
        order = np.argsort(deals["created"], kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        deals = {name: column[order] for name, column in deals.items()}
        # The first piece is that of new deals: a deal that absorbed another has its place there.
        deals["merged_into"] = np.where(
            deals["merged_into"] >= 0, rank[deals["merged_into"]], deals["merged_into"]
        )
        moves["deal"] = rank[moves["deal"]]
        by_deal = np.argsort(moves["deal"], kind="stable")
        moves = {name: column[by_deal] for name, column in moves.items()}
        removed = int(story.STAGE_REMOVED_AT.timestamp()) + story.MOSCOW_OFFSET_SECONDS
        return deals, through_removed_stage(
            self.streams("removed_stage"), self.calendar, moves, deals["entered"], removed
        )

    def _frame(self, created: Ints, **columns: Any) -> dict[str, Any]:
        count = len(created)
        frame: dict[str, Any] = {
            "created": created,
            "entered": created.copy(),
            "kind": np.full(count, NEW),
            "channel": np.full(count, REPEAT_CHANNEL),
            "campaign": np.full(count, -1),
            "product": np.zeros(count, dtype=np.int64),
            "way": np.full(count, TYPED),
            "has_utm": np.zeros(count, dtype=np.bool_),
            "line": np.full(count, SALES_LINE),
            "first_line": np.full(count, SALES_LINE),
            "first_place": np.zeros(count, dtype=np.int64),
            "is_declined": np.zeros(count, dtype=np.bool_),
            "contact": np.full(count, -1),
            "person": np.full(count, -1),
            "phone_of": np.full(count, -1),
            "merged": np.full(count, -1),
            "merged_into": np.full(count, -1),
            "card_merged": np.full(count, -1),
            "card_into": np.full(count, -1),
            "slot": np.zeros(count, dtype=np.int64),
            "place": np.zeros(count, dtype=np.int64),
            "last_moved": created.copy(),
        }
        for name, column in columns.items():
            frame[name] = np.asarray(column)
        return frame

    def _new(self, count: int) -> tuple[dict[str, Any], Walk]:
        rng = self.streams("arrivals")
        asked = requests(self.streams, count, self.start, self.end)
        created, way = asked["created"], asked["way"]
        drawn = rng.random(count)
        unsorted = ((way == FORM) & (drawn < 0.92)) | ((way == PHONE) & (drawn < 0.35))
        waits = after(rng, 9 * 60, 1.2, count)
        accepted = self.calendar.snap(created + waits, rng)
        declined = unsorted & (rng.random(count) < story.DECLINED_SHARE)
        entered = np.where(unsorted, accepted, created)
        channel_quality = np.array([c.quality for c in story.CHANNELS])[asked["channel"]]
        campaign_quality = np.array([c.quality for c in story.CAMPAIGNS])[asked["campaign"]]
        quality = np.where(asked["campaign"] >= 0, campaign_quality, channel_quality)
        walks = ~declined & (entered < self.end)
        place = np.where(unsorted, UNSORTED, 0)
        walked = self._walk(
            "sales", SALES, walks, entered, np.zeros(count, dtype=np.int64), quality
        )
        taken = np.flatnonzero(unsorted & walks)
        first_moves = moves_of(taken, entered[taken], UNSORTED, 0)
        moves = concatenated([first_moves, walked.moves])
        order = np.argsort(moves["deal"], kind="stable")
        moves = {name: column[order] for name, column in moves.items()}
        frame = self._frame(
            created,
            entered=entered,
            channel=asked["channel"],
            campaign=asked["campaign"],
            product=asked["product"],
            way=way,
            has_utm=asked["has_utm"],
            first_place=place,
            is_declined=declined & (entered < self.end),
            contact=np.arange(count),
            person=np.arange(count),
            phone_of=np.arange(count),
            slot=choose(rng, np.ones(len({rep.slot for rep in self.reps})), count),
            place=np.where(walks, walked.place, place),
            last_moved=np.where(walks, walked.last_moved, created),
        )
        return frame, Walk(
            moves=moves, place=walked.place, last_moved=walked.last_moved, reopened=walked.reopened
        )

    def _walk(
        self, name: str, pipeline: Any, walks: Any, entered: Ints, place: Ints, quality: Floats
    ) -> Walk:
        """Return the walk of those deals that walk; the others stay where they are."""
        who = np.flatnonzero(walks)
        part = walk(
            self.streams(f"walk.{name}"),
            pipeline,
            self.calendar,
            entered=entered[who],
            place=place[who],
            quality=quality[who],
            end_local=self.end,
        )
        all_places, all_moved = place.copy(), entered.copy()
        reopened = np.zeros(len(entered), dtype=np.bool_)
        all_places[who], all_moved[who], reopened[who] = part.place, part.last_moved, part.reopened
        return Walk(
            {**part.moves, "deal": who[part.moves["deal"]]}, all_places, all_moved, reopened
        )

    def _repeats(
        self, new: dict[str, Any], walked: Walk, wanted: int, doubles: int
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return later orders of customers; some are entered as somebody new, with a new number.

        Args:
            new: The deals of new people.
            walked: What became of them.
            wanted: How many orders.
            doubles: How many cards and numbers are kept free for duplicates.
        """
        rng = self.streams("repeats")
        won = np.flatnonzero(new["place"] == WON)
        again = self.calendar.snap(
            walked.last_moved[won] + 12 * DAY + after(rng, 95 * DAY, 0.75, len(won)), rng
        )
        possible = again < self.end
        chosen = pick_some(rng, np.flatnonzero(possible), wanted)
        source, created = won[chosen], again[chosen]
        total = len(source)
        in_own_pipeline = rng.random(total) < 0.72
        # A rep puts some into the pipeline of new requests first.
        moved = self.calendar.snap(created + rng.integers(300, 3000, total), rng)
        misplaced = (
            in_own_pipeline & (rng.random(total) < story.MOVED_PIPELINE_SHARE) & (moved < self.end)
        )
        new_card = rng.random(total) < story.NEW_CARD_SHARE
        spare = len(new["contact"]) + doubles + np.arange(total)
        contact = np.where(new_card, spare, new["contact"][source])
        phone_of = np.where(new_card, spare, new["phone_of"][source])
        found = []
        for line, name in ((REPEAT_LINE, "repeat"), (SALES_LINE, "repeat_in_sales")):
            part = np.flatnonzero(in_own_pipeline == (line == REPEAT_LINE))
            count = len(part)
            quality = np.full(count, 1.0 if line == REPEAT_LINE else 2.0)
            start = np.zeros(count, dtype=np.int64)
            began = np.where(misplaced[part], moved[part], created[part])
            steps = self._walk(name, LINES[line], np.ones(count, np.bool_), began, start, quality)
            who = np.flatnonzero(misplaced[part])
            moves = concatenated(
                [moves_of(who, began[who], 0, 0, from_line=SALES_LINE), steps.moves]
            )
            by_deal = np.argsort(moves["deal"], kind="stable")
            drawn = rng.random(count)
            frame = self._frame(
                created[part],
                kind=np.full(count, REPEATED),
                product=choose(rng, (0.14, 0.40, 0.24, 0.18, 0.04), count),
                way=np.where(drawn < 0.40, PHONE, np.where(drawn < 0.55, FORM, TYPED)),
                line=np.full(count, line),
                first_line=np.where(misplaced[part], SALES_LINE, line),
                contact=contact[part],
                person=new["person"][source[part]],
                phone_of=phone_of[part],
                slot=new["slot"][source[part]],
                place=steps.place,
                last_moved=steps.last_moved,
            )
            found.append((frame, {key: column[by_deal] for key, column in moves.items()}))
        return found

    def _served(
        self, new: dict[str, Any], walked: Walk, wanted: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return complaints of customers about what they bought."""
        rng = self.streams("complaints")
        won = np.flatnonzero(new["place"] == WON)
        again = self.calendar.snap(
            walked.last_moved[won] + 40 * DAY + after(rng, 25 * DAY, 0.7, len(won)), rng
        )
        chosen = pick_some(rng, np.flatnonzero(again < self.end), wanted)
        source, created = won[chosen], again[chosen]
        count = len(source)
        start = np.zeros(count, dtype=np.int64)
        steps = self._walk(
            "complaints", SERVICE, np.ones(count, np.bool_), created, start, np.ones(count)
        )
        frame = self._frame(
            created,
            kind=np.full(count, SERVED),
            product=new["product"][source],
            line=np.full(count, SERVICE_LINE),
            first_line=np.full(count, SERVICE_LINE),
            contact=new["contact"][source],
            person=new["person"][source],
            phone_of=new["phone_of"][source],
            slot=new["slot"][source],
            place=steps.place,
            last_moved=steps.last_moved,
        )
        # Nobody pays for a complaint, so no robot settles it.
        by_robot = steps.moves["by_robot"] & (steps.moves["target"] != WON)
        return frame, {**steps.moves, "by_robot": by_robot}

    def _continued(
        self, new: dict[str, Any], walked: Walk, wanted: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return deals made anew by a rep instead of reopening the lost one."""
        rng = self.streams("continuations")
        lost = np.flatnonzero(new["place"] == LOST)
        again = self.calendar.snap(
            walked.last_moved[lost] + 3600 + after(rng, 7 * DAY, 0.8, len(lost)), rng
        )
        possible = (again < self.end) & (again - walked.last_moved[lost] < 29 * DAY)
        chosen = pick_some(rng, np.flatnonzero(possible), wanted)
        source, created = lost[chosen], again[chosen]
        count = len(source)
        start = choose(rng, (0.3, 0.4, 0.3), count)
        steps = self._walk(
            "continuations", SALES, np.ones(count, np.bool_), created, start, np.full(count, 1.25)
        )
        frame = self._frame(
            created,
            kind=np.full(count, CONTINUED),
            channel=new["channel"][source],
            product=new["product"][source],
            first_place=start,
            contact=new["contact"][source],
            person=new["person"][source],
            phone_of=new["phone_of"][source],
            slot=new["slot"][source],
            place=steps.place,
            last_moved=steps.last_moved,
        )
        return frame, steps.moves

    def _doubled(self, new: dict[str, Any], wanted: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return second requests of one person within a day, mostly as a contact of their own.

        When a rep finds out, cards and contacts are merged, or the second card is closed.
        """
        rng = self.streams("duplicates")
        created = new["created"] + rng.integers(90, 20 * 3600, len(new["created"]))
        source = pick_some(rng, np.flatnonzero((created < self.end) & ~new["is_declined"]), wanted)
        created = created[source]
        count = len(source)
        found_out = self.calendar.snap(created + after(rng, 3 * 3600, 1.2, count), rng)
        in_time = found_out < self.end
        merged = (rng.random(count) < story.MERGED_DEAL_SHARE) & in_time
        closed = (rng.random(count) < 0.7) & in_time & ~merged
        own_contact = rng.random(count) < 0.7
        card_merged = (
            own_contact & in_time & (merged | (rng.random(count) < story.MERGED_CONTACT_SHARE))
        )
        other_phone = card_merged & (rng.random(count) < story.SECOND_PHONE_SHARE)
        spare = len(new["contact"]) + np.arange(count)
        who = np.flatnonzero(closed)
        frame = self._frame(
            created,
            kind=np.full(count, DOUBLED),
            channel=new["channel"][source],
            campaign=new["campaign"][source],
            product=new["product"][source],
            way=np.full(count, FORM),
            has_utm=new["has_utm"][source],
            contact=np.where(own_contact, spare, new["contact"][source]),
            person=new["person"][source],
            phone_of=np.where(other_phone, spare, new["phone_of"][source]),
            merged=np.where(merged, found_out, -1),
            merged_into=np.where(merged, source, -1),
            card_merged=np.where(card_merged, found_out, -1),
            card_into=np.where(card_merged, new["contact"][source], -1),
            slot=np.where(rng.random(count) < 0.5, new["slot"][source], rng.integers(0, 12, count)),
            place=np.where(closed, LOST, 0),
            last_moved=np.where(closed, found_out, created),
        )
        reason = [code for code, _ in story.LOSS_REASONS].index(story.DUPLICATE_REASON_ID)
        return frame, moves_of(who, found_out[who], 0, LOST, reason=reason)

    def _tests(self, wanted: int) -> tuple[dict[str, Any], dict[str, Any]]:
        rng = self.streams("tests")
        created = np.sort(
            self.calendar.snap(rng.integers(self.start, self.end - 5 * DAY, wanted), rng)
        )
        nothing = np.zeros(0, dtype=np.int64)
        frame = self._frame(
            created,
            kind=np.full(wanted, TESTED),
            slot=rng.integers(0, 12, wanted),
        )
        return frame, moves_of(nothing, nothing, 0, 0)

    def _user_at(self) -> Callable[[Ints, Ints], Ints]:
        slots = max(rep.slot for rep in self.reps) + 1
        first = np.zeros(slots, dtype=np.int64)
        second = np.zeros(slots, dtype=np.int64)
        changeover = np.full(slots, np.iinfo(np.int64).max)
        for rep in self.reps:
            if rep.starts_at == 0:
                first[rep.slot] = rep.user_id
            else:
                second[rep.slot], changeover[rep.slot] = rep.user_id, rep.starts_at
        return lambda slot, at: np.where(at >= changeover[slot], second[slot], first[slot])

    def _contacts(self, deals: dict[str, Any]) -> tuple[pa.Table, pa.Table]:
        """Return contacts and companies, and write into `deals` who its person is."""
        rng = self.streams("contacts")
        has = deals["contact"] >= 0
        positions = np.unique(deals["contact"][has])
        count = len(positions)
        # Deals stand in time order: written backwards, a contact keeps its first deal.
        first_deal = np.zeros(int(positions.max(initial=-1)) + 1, dtype=np.int64)
        backwards = np.flatnonzero(has)[::-1]
        first_deal[deals["contact"][backwards]] = backwards
        first = first_deal[positions]
        by_time = np.argsort(deals["created"][first], kind="stable")
        positions, first = positions[by_time], first[by_time]
        row_of = np.full(len(first_deal), -1, dtype=np.int64)
        row_of[positions] = np.arange(count)
        contact_id = 45_100_000 + np.cumsum(rng.integers(1, 4, count))

        numbers = people.subscriber_numbers(rng, int(deals["phone_of"].max(initial=0)) + 1)
        phone = numbers[deals["phone_of"][first]]
        written = people.written_phones(phone, choose(rng, people.PHONE_FORM_WEIGHTS, count))
        e164 = people.written_phones(phone, np.full(count, 2))
        person = deals["person"][first]
        # A second card of one person has the name of the first, and mostly its mail box.
        _, oldest, which = np.unique(person, return_index=True, return_inverse=True)
        oldest_card = oldest[which]
        first_name, last_name, boxes, tells_box = people.names(rng, count)
        first_name, last_name = (
            column.take(pa.array(oldest_card)) for column in (first_name, last_name)
        )
        is_second = oldest_card != np.arange(count)
        keeps_box = rng.random(count) < 0.75
        # Somebody entered with another number is known again by nothing but the box.
        by_box = is_second & (deals["kind"][first] == REPEATED)
        tells_box[oldest_card[by_box]] = True
        box_of = np.where(is_second & (keeps_box | by_box), oldest_card, np.arange(count))
        tells_box = np.where(box_of == oldest_card, tells_box[oldest_card], tells_box)
        business = (rng.random(count) < story.BUSINESS_CUSTOMER_SHARE) | (
            (deals["product"][first] == 4) & (rng.random(count) < 0.6)
        )
        company_row = np.where(business, np.cumsum(business) - 1, -1)
        company_count = int(business.sum())
        company_id = 47_500_000 + np.cumsum(rng.integers(1, 4, company_count))
        company_names = people.company_names(rng, company_count)
        created = to_utc(deals["created"][first])
        user_id = self._user_at()(deals["slot"][first], created)
        by_robot = deals["way"][first] != TYPED
        edited = created + after(rng, 2 * DAY, 1.0, count)
        is_edited = (rng.random(count) < 0.3) & (edited < self.end_utc)
        contact_company = np.where(business, np.append(company_id, 0)[company_row], -1)
        only_card = np.bincount(which)[which] == 1
        mail = self._mail_boxes(boxes.take(pa.array(box_of)), tells_box, business, only_card)
        deleted, merged, merged_into = self._contact_ends(
            deals, row_of, contact_id, first, only_card
        )
        contacts = filled(
            "contacts",
            {
                "contact_id": contact_id,
                "first_name": first_name,
                "last_name": last_name,
                "phone": written,
                "email": mail,
                "company_id": nullable(contact_company, ~business),
                "responsible_user_id": user_id,
                "created_by": np.where(by_robot, 0, user_id),
                "created_at": created,
                "updated_at": np.where(is_edited, edited, created),
                "deleted_at": nullable(to_utc(deleted), deleted < 0),
                "person_id": 1 + person,
                "merged_into_contact_id": nullable(merged_into, merged < 0),
                "merged_at": nullable(to_utc(merged), merged < 0),
            },
        )
        owners = np.flatnonzero(business)
        office = people.subscriber_numbers(self.streams("offices"), company_count)
        functional = rng.random(company_count) < 0.6
        companies = filled(
            "companies",
            {
                "company_id": company_id,
                "name": company_names,
                "phone": people.written_phones(office, np.zeros(company_count, dtype=np.int64)),
                "email": compute.if_else(
                    pa.array(functional),
                    functional_boxes(company_count),
                    pa.scalar(None, pa.string()),
                ),
                "responsible_user_id": user_id[owners],
                "created_by": user_id[owners],
                "created_at": created[owners],
                "updated_at": created[owners],
            },
        )
        row = np.where(has, row_of[deals["contact"]], -1)
        index = pa.array(row, mask=row < 0)
        ids = np.append(contact_id, -1)
        full_name = compute.binary_join_element_wise(
            first_name, last_name, " ", null_handling="skip"
        )
        owner_name = compute.if_else(
            pa.array(business), take_text(company_names.to_pylist(), company_row), full_name
        )
        deals["contact_id"] = ids[row]
        deals["company_id"] = np.append(contact_company, -1)[row]
        deals["phone_written"] = written.take(index)
        deals["phone_e164"] = e164.take(index)
        deals["has_phone"] = row >= 0
        deals["payer_name"] = owner_name.take(index)
        deals["is_business"] = np.append(business, False)[row]
        return contacts, companies

    def _mail_boxes(
        self, boxes: Column, tells_box: Flags, business: Flags, only_card: Flags
    ) -> Column:
        """Return what stands in the cards: own boxes, a firm's common one, or a rep's filler."""
        rng = self.streams("mail_boxes")
        count = len(tells_box)
        mail = compute.if_else(pa.array(tells_box), boxes, pa.scalar(None, pa.string()))
        common = business & only_card & (rng.random(count) < story.SHARED_MAILBOX_SHARE)
        mail = compute.if_else(
            pa.array(common),
            functional_boxes(int(business.sum())).take(
                pa.array(np.where(common, np.cumsum(business) - 1, -1), mask=~common)
            ),
            mail,
        )
        filler = only_card & ~common & (rng.random(count) < story.PLACEHOLDER_SHARE)
        if filler.sum() > 2 * _MOST_PERSONS_OF_A_KEY:
            mail = compute.if_else(pa.array(filler), pa.scalar(story.PLACEHOLDER_MAILBOX), mail)
        return mail

    def _contact_ends(
        self, deals: dict[str, Any], row_of: Ints, contact_id: Ints, first: Ints, only_card: Flags
    ) -> tuple[Ints, Ints, Ints]:
        """Return when contacts were deleted and merged (-1: never), and into which."""
        rng = self.streams("contact_ends")
        count = len(contact_id)
        has = np.flatnonzero(deals["contact"] >= 0)
        row = row_of[deals["contact"][has]]
        ends_well = np.zeros(count, dtype=np.bool_)
        ends_well[row[deals["place"][has] != LOST]] = True
        deleted = deals["last_moved"][first] + 30 * DAY
        is_deleted = (
            ~ends_well
            & only_card
            & (np.bincount(row, minlength=count) == 1)
            & (deleted < self.end)
            & (rng.random(count) < story.DELETED_CONTACT_SHARE / 0.6)
        )
        merged = np.full(count, -1, dtype=np.int64)
        merged_into = np.full(count, -1, dtype=np.int64)
        who = np.flatnonzero(deals["card_merged"] >= 0)
        absorbed = row_of[deals["contact"][who]]
        merged[absorbed] = deals["card_merged"][who]
        merged_into[absorbed] = contact_id[row_of[deals["card_into"][who]]]
        return np.where(is_deleted, deleted, -1), merged, merged_into

    def _describe(self, deals: dict[str, Any], moves: dict[str, Any]) -> None:
        """Write into `deals` what the tables beside it need to know of each deal."""
        rng = self.streams("deals")
        count = len(deals["created"])
        deals["moves"] = moves
        deals["deal_id"] = 31_200_000 + np.cumsum(rng.integers(1, 5, count))
        deals["user_at"] = self._user_at()
        ids = np.array(sorted(rep.user_id for rep in self.reps), dtype=np.int64)
        deals["user_names"] = [rep.name for rep in sorted(self.reps, key=lambda rep: rep.user_id)]
        deals["user_position"] = lambda user_id: np.searchsorted(ids, user_id)
        waiting = (deals["first_place"] == UNSORTED) & (deals["entered"] >= self.end)
        deals["is_worked"] = ~waiting & ~deals["is_declined"] & (deals["kind"] != TESTED)
        deals["is_phone"] = (deals["way"] == PHONE) & (deals["contact_id"] > 0)
        codes = [code for code, _ in story.LOSS_REASONS]
        wrong = moves["reason"] == codes.index(9005)
        deals["is_wrong_number"] = np.zeros(count, dtype=np.bool_)
        deals["is_wrong_number"][moves["deal"][wrong]] = True
        self._qualify(deals, moves)
        self._write_into_open_deals(deals)

        is_deletable = (
            (deals["place"] != WON)
            & ~waiting
            & ~deals["is_declined"]
            & (deals["merged"] < 0)
            & (np.bincount(deals["merged_into"] + 1, minlength=count + 1)[1:] == 0)
        )
        chance = np.where(deals["kind"] == TESTED, 0.6, story.DELETED_SHARE)
        deleted = self.calendar.snap(
            deals["last_moved"] + 600 + after(rng, 3 * DAY, 1.0, count), rng
        )
        is_deleted = is_deletable & (rng.random(count) < chance) & (deleted < self.end)
        purged = is_deleted & (deleted < self.end - 30 * DAY) & (rng.random(count) < 0.6)
        deals["deleted"] = np.where(
            deals["is_declined"], deals["entered"], np.where(is_deleted, deleted, -1)
        )
        deals["is_purged"] = purged | deals["is_declined"]
        far = np.iinfo(np.int64).max
        # Nobody calls about a deal that is over, save a few days about the furniture.
        over = np.isin(deals["place"], (WON, LOST))
        stops = np.where(over, deals["last_moved"] + 6 * 3600, far)
        for gone in (deals["deleted"], deals["merged"]):
            stops = np.where(gone >= 0, np.minimum(stops, gone), stops)
        deals["stops"] = stops

        scale = np.where(deals["line"] == REPEAT_LINE, 0.62, 1.0) * np.where(
            deals["is_business"], 1.35, 1.0
        )
        sells = deals["line"] != SERVICE_LINE
        deals["final_amount"] = np.where(sells, amounts(rng, deals["product"], scale), 0)
        is_won = np.zeros(count, dtype=np.int64) - 1
        won = moves["target"] == WON
        is_won[moves["deal"][won]] = moves["moved"][won]
        deals["won"] = is_won
        # The advance is billed when a deal begins to wait for it.
        deals["billed"] = np.full(count, -1, dtype=np.int64)
        last = np.array([one.count - 1 for one in LINES])[deals["line"][moves["deal"]]]
        bills = np.flatnonzero((moves["target"] == last) & sells[moves["deal"]])[::-1]
        deals["billed"][moves["deal"][bills]] = moves["moved"][bills]

    def _qualify(self, deals: dict[str, Any], moves: dict[str, Any]) -> None:
        """Write into `deals` who was no target and why, and when a rep took each over."""
        rng = self.streams("qualification")
        count = len(deals["created"])
        codes = np.array([code for code, _ in story.LOSS_REASONS])
        at_first = np.zeros(count, dtype=np.bool_)
        reason = np.full(count, -1, dtype=np.int64)
        final = np.flatnonzero(np.append(moves["deal"][1:] != moves["deal"][:-1], True))[
            : len(moves["deal"])
        ]
        of = moves["deal"][final]
        at_first[of] = (moves["target"][final] == LOST) & (
            (moves["source"][final] <= 1) | (moves["source"][final] == UNSORTED)
        )
        reason[of] = moves["reason"][final]
        drawn = rng.random(count)
        criterion = np.full(count, -1, dtype=np.int64)
        for code, name in story.CRITERION_OF_REASON.items():
            says = at_first & (reason == np.flatnonzero(codes == code)[0])
            fails = says & (drawn < story.CRITERION_SHARE[name])
            criterion[fails] = CRITERIA.index(name)
        unsaid = at_first & (reason < 0) & (drawn < story.UNSAID_CRITERION_SHARE)
        criterion[unsaid] = rng.integers(0, len(CRITERIA), int(unsaid.sum()))
        criterion[deals["is_declined"]] = CRITERIA.index("spam")
        criterion[np.isin(deals["kind"], (TESTED, SERVED, DOUBLED))] = -1
        deals["criterion"] = criterion
        deals["is_target"] = (criterion < 0) & (deals["kind"] != TESTED)

        took = ~moves["by_robot"] & (
            (moves["source"] == UNSORTED) | (moves["source"] == deals["first_place"][moves["deal"]])
        )
        rows = np.flatnonzero(took)[::-1]
        deals["accepted"] = np.full(count, -1, dtype=np.int64)
        deals["accepted"][moves["deal"][rows]] = moves["moved"][rows]

    def _write_into_open_deals(self, deals: dict[str, Any]) -> None:
        """Draw the second inquiries that duplicate control writes into a deal still open."""
        rng = self.streams("second_inquiries")
        count = len(deals["created"])
        lived = deals["last_moved"] - deals["created"]
        second = deals["created"] + (lived * rng.uniform(0.15, 0.85, count)).astype(np.int64)
        is_written = (
            (deals["kind"] == NEW)
            & deals["is_worked"]
            & (lived > 2 * DAY)
            # Of the deals that live so long, twice as many as of all.
            & (rng.random(count) < 2 * story.REWRITTEN_SHARE)
        )
        channel = choose(rng, story.EARLIER_CHANNELS, count)
        deals["second_at"] = np.where(is_written, second, -1)
        deals["second_channel"] = np.where(is_written, channel, -1)
        deals["second_campaign"] = np.where(is_written, drawn_campaigns(rng, channel), -1)

    def _amount_changes(self, deals: dict[str, Any], moves: dict[str, Any]) -> pa.Table:
        rng = self.streams("amounts")
        count = len(deals["created"])
        in_sales = first_moves_into(moves, count, story.SALES_PRICED_FROM)
        in_repeat = first_moves_into(moves, count, story.REPEAT_PRICED_FROM)
        priced = np.choose(deals["line"], [in_sales, in_repeat, np.full(count, -1)])
        # A deal that starts where sums are known already has one.
        starts_priced = (deals["first_place"] < WON) & (
            deals["first_place"] >= story.SALES_PRICED_FROM
        )
        estimates = (deals["way"] == FORM) & (deals["product"] == 0) & (rng.random(count) < 0.15)
        deals["first_amount"] = np.where(
            estimates, 150_000, np.where(starts_priced, deals["final_amount"], 0)
        )
        revised = (rng.random(count) < 0.28) & (priced >= 0)
        first_sum = np.rint(
            deals["final_amount"] * np.where(revised, rng.uniform(0.88, 1.2, count), 1.0)
        )
        first_sum = (first_sum // 100 * 100).astype(np.int64)
        closing = np.where(deals["last_moved"] > priced, deals["last_moved"], priced + 1)
        again = priced + 1 + ((closing - priced) * rng.uniform(0.2, 0.8, count)).astype(np.int64)
        revised &= (again < closing) & (again < self.end) & (first_sum != deals["final_amount"])
        first_sum = np.where(revised, first_sum, deals["final_amount"])
        one = np.flatnonzero((priced >= 0) & (first_sum != deals["first_amount"]))
        two = np.flatnonzero(revised)
        deal = np.concatenate([one, two])
        at = np.concatenate([priced[one] + rng.integers(0, 2, len(one)), again[two]])
        before = np.concatenate([deals["first_amount"][one], first_sum[two]])
        later = np.concatenate([first_sum[one], deals["final_amount"][two]])
        at = np.minimum(at, self.end - 1)
        order = np.lexsort((at, deal))
        deal, at, before, later = deal[order], at[order], before[order], later[order]
        utc = to_utc(at)
        return filled(
            "amount_changes",
            {
                "deal_id": deals["deal_id"][deal],
                "changed_at": utc,
                "from_amount": before,
                "to_amount": later,
                "changed_by": deals["user_at"](deals["slot"][deal], utc),
            },
        )

    def _stage_changes(self, deals: dict[str, Any], moves: dict[str, Any]) -> pa.Table:
        rng = self.streams("stage_changes")
        deal = moves["deal"]
        line = deals["line"][deal]
        from_line = np.where(moves["from_line"] < 0, line, moves["from_line"])
        changed = to_utc(moves["moved"])
        late = rng.random(len(deal)) < story.LATE_EVENT_SHARE
        shown = np.where(late, changed + rng.integers(60, 540, len(deal)), changed)
        user_id = deals["user_at"](deals["slot"][deal], changed)
        reasons = np.array([code for code, _ in story.LOSS_REASONS], dtype=np.int64)
        return filled(
            "stage_changes",
            {
                "deal_id": deals["deal_id"][deal],
                "changed_at": changed,
                "from_pipeline_id": PIPELINE_IDS[from_line],
                "from_stage_id": stage_ids(from_line, moves["source"]),
                "to_pipeline_id": PIPELINE_IDS[line],
                "to_stage_id": stage_ids(line, moves["target"]),
                "changed_by": np.where(moves["by_robot"], 0, user_id),
                "loss_reason_id": nullable(reasons[moves["reason"]], moves["reason"] < 0),
                "published_at": np.minimum(shown, self.end_utc),
            },
        )

    def _responsible_changes(self, deals: dict[str, Any]) -> pa.Table:
        """Return the hand-over of open deals when a rep leaves."""
        leaver = next(rep for rep in self.reps if rep.leaves_at <= self.end_utc)
        heir = next(rep for rep in self.reps if rep.starts_at == leaver.leaves_at)
        local = leaver.leaves_at + story.MOSCOW_OFFSET_SECONDS
        is_open = (
            (deals["slot"] == leaver.slot)
            & (deals["created"] < local)
            & ((deals["last_moved"] >= local) | (deals["place"] < WON))
            & (deals["deleted"] < 0)
            & (deals["merged"] < 0)
            & deals["is_worked"]
        )
        who = np.flatnonzero(is_open)
        return filled(
            "responsible_changes",
            {
                "deal_id": deals["deal_id"][who],
                "changed_at": np.full(len(who), leaver.leaves_at, dtype=np.int64),
                "from_user_id": np.full(len(who), leaver.user_id, dtype=np.int64),
                "to_user_id": np.full(len(who), heir.user_id, dtype=np.int64),
                "changed_by": np.full(len(who), story.CURRENT_USER_ID, dtype=np.int64),
            },
        )

    def _deal_table(self, deals: dict[str, Any]) -> pa.Table:
        rng = self.streams("deal_texts")
        count = len(deals["created"])
        channel = deals["channel"]
        created = to_utc(deals["created"])
        user_id = deals["user_at"](deals["slot"], created)
        first_line = deals["first_line"]
        rang = np.flatnonzero(
            (deals["way"] == PHONE) & deals["has_phone"] & (rng.random(count) < 0.6)
        )
        called = np.zeros(count, dtype=np.bool_)
        called[rang] = True
        by_call = compute.binary_join_element_wise(pa.scalar("Звонок от "), deals["phone_e164"], "")
        titles = (
            *(p.title for p in story.PRODUCTS),
            "Заявка с сайта",
            "Новая сделка",
            "Тест",
            "тестовая заявка",
            "Рекламация",
        )
        titled = np.where(
            deals["kind"] == TESTED,
            7 + rng.integers(0, 2, count),
            np.where((deals["way"] == FORM) & (rng.random(count) < 0.3), 5, deals["product"]),
        )
        titled = np.where(
            (deals["way"] == TYPED) & (rng.random(count) < 0.08) & (titled < 5), 6, titled
        )
        titled = np.where(deals["kind"] == SERVED, 9, titled)
        name = compute.if_else(pa.array(called), by_call, take_text(titles, titled))

        utm = [story.UTM.get(code, (None, None, None)) for code in ALL_CHANNELS]
        # The fields hold one set: a second inquiry of an open deal overwrites the first.
        again = deals["second_at"] >= 0
        marked_channel = np.where(again, deals["second_channel"], channel)
        campaign = np.where(again, deals["second_campaign"], deals["campaign"])
        has_utm = np.where(
            again, np.isin(marked_channel, _CHANNELS_WITH_UTM), deals["has_utm"]
        ).astype(np.bool_)
        at = np.where(has_utm, marked_channel, -1)
        campaign_text = take_text(
            [str(c.campaign_id) for c in story.CAMPAIGNS], np.where(has_utm, campaign, -1)
        )
        search = CHANNEL_CODES.index("seo")
        google = (marked_channel == search) & (rng.random(count) < 0.35)
        utm_source = compute.if_else(
            pa.array(google & has_utm),
            pa.scalar("google"),
            take_text([u[0] for u in utm], at),
        )
        has_campaign = has_utm & (campaign >= 0)
        ad_id = 1_810_000_000 + np.maximum(campaign, 0) * 1000 + rng.integers(0, 12, count)
        content = compute.if_else(
            pa.array(has_campaign),
            compute.cast(pa.array(ad_id), pa.string()),
            pa.scalar(None, pa.string()),
        )

        def digits(values: Ints, present: Any) -> Column:
            return compute.if_else(
                pa.array(present),
                compute.cast(pa.array(values), pa.string()),
                pa.scalar(None, pa.string()),
            )

        source = np.where(
            channel == CHANNEL_CODES.index("marketplace"),
            2,
            np.where(deals["way"] == FORM, 0, np.where(deals["way"] == PHONE, 1, -1)),
        )
        designers = deals["is_business"] & (rng.random(count) < 0.6)
        segment = np.where(deals["is_business"], np.where(designers, 1, 2), 0)
        metres = rng.normal(3.4, 0.8, count).clip(1.2, 8).round(1)
        measured = (
            (deals["product"] == 0)
            & (rng.random(count) > story.MEASURE_EMPTY_SHARE)
            & (deals["kind"] != TESTED)
        )
        tags = np.where(rng.random(count) < 0.09, rng.integers(0, 4, count), -1)
        contact, company = deals["contact_id"], deals["company_id"]
        return filled(
            "deals",
            {
                "deal_id": deals["deal_id"],
                "name": name,
                "pipeline_id": PIPELINE_IDS[first_line],
                "stage_id": stage_ids(first_line, deals["first_place"]),
                "amount": deals["first_amount"],
                "responsible_user_id": user_id,
                "contact_id": nullable(contact, contact < 0),
                "company_id": nullable(company, company < 0),
                "created_by": np.where(deals["way"] == TYPED, user_id, 0),
                "created_at": created,
                "deleted_at": nullable(to_utc(deals["deleted"]), deals["deleted"] < 0),
                "is_purged": deals["is_purged"],
                "segment": take_text(
                    ("Частный клиент", "Дизайнер", "Застройщик"),
                    np.where(deals["kind"] == TESTED, -1, segment),
                ),
                "source_id": nullable(3101 + source, source < 0),
                "source_name": take_text(("Форма на сайте", "Телефония", "Авито"), source),
                "utm_source": utm_source,
                "utm_medium": take_text([u[1] for u in utm], at),
                "utm_campaign": compute.coalesce(campaign_text, take_text([u[2] for u in utm], at)),
                "utm_content": content,
                "utm_term": take_text(
                    story.WORDS,
                    np.where(has_campaign & (marked_channel == 0), rng.integers(0, 4, count), -1),
                ),
                "client_id": digits(deals["client"], deals["client"] >= 0),
                "click_id": digits(deals["click"], deals["click"] >= 0),
                "length_metres": digits_text(metres, measured),
                "tags": take_text(("срочно", "vip", "дизайнер", "новостройка|ипотека"), tags),
                "channel": take_text(
                    ALL_CHANNELS, np.where(np.isin(deals["kind"], (TESTED, SERVED)), -1, channel)
                ),
                "kind": take_text(KINDS, deals["kind"]),
                "product": take_text([p.code for p in story.PRODUCTS], deals["product"]),
                "is_target": deals["is_target"],
                "failing_criterion": take_text(CRITERIA, deals["criterion"]),
                "handover_offered_at": nullable(created, deals["kind"] == TESTED),
                "handover_accepted_at": nullable(
                    to_utc(deals["accepted"]), (deals["accepted"] < 0) | (deals["kind"] == TESTED)
                ),
                "merged_into_deal_id": nullable(
                    deals["deal_id"][deals["merged_into"]], deals["merged_into"] < 0
                ),
                "merged_at": nullable(to_utc(deals["merged"]), deals["merged"] < 0),
            },
        )

    def _unsorted(self, deals: dict[str, Any]) -> pa.Table:
        rng = self.streams("unsorted")
        who = np.flatnonzero(deals["first_place"] == UNSORTED)
        count = len(who)
        by_phone = deals["way"][who] == PHONE
        left, right = rng.integers(0, 2**63 - 1, count), rng.integers(0, 2**63 - 1, count)
        uids = [
            f"{a:016x}{b:016x}{n:07x}"
            for n, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True))
        ]
        resolved = deals["entered"][who]
        return filled(
            "unsorted",
            {
                "uid": pa.array(uids, pa.string()),
                "deal_id": deals["deal_id"][who],
                "contact_id": deals["contact_id"][who],
                "pipeline_id": np.full(count, SALES.pipeline_id),
                "category": take_text(("forms", "sip"), by_phone.astype(np.int64)),
                "source_name": take_text(
                    ("Заявка с сайта", "Телефония"), by_phone.astype(np.int64)
                ),
                "phone": deals["phone_e164"].take(pa.array(who)),
                "form_page": take_text(
                    ("https://dubrava.example/kitchens", "https://dubrava.example/wardrobes", None),
                    np.where(by_phone, 2, rng.integers(0, 2, count)),
                ),
                "referer": take_text(
                    ("https://yandex.ru/", "https://vk.com/", None), rng.integers(0, 3, count)
                ),
                "created_at": to_utc(deals["created"][who]),
                "resolved_at": nullable(to_utc(resolved), resolved >= self.end),
                "is_accepted": ~deals["is_declined"][who] & (resolved < self.end),
            },
        )

    def _account(self) -> pa.Table:
        row = {
            "account_id": story.ACCOUNT_ID,
            "name": "Дубрава: кухни и шкафы",
            "subdomain": story.SUBDOMAIN,
            "country": "RU",
            "time_zone": "Europe/Moscow",
            "currency_code": "RUB",
            "current_user_id": story.CURRENT_USER_ID,
            "invoices_catalog_id": story.INVOICES_CATALOG_ID,
        }
        return pa.Table.from_pylist([row], schema=SCHEMAS["account"])

    def _pipelines(self) -> pa.Table:
        rows = [
            {
                "pipeline_id": SALES.pipeline_id,
                "name": "Продажи",
                "position": 1,
                "is_main": True,
                "is_unsorted_on": True,
            },
            {
                "pipeline_id": story.REPEAT_PIPELINE_ID,
                "name": "Повторные заказы",
                "position": 2,
                "is_main": False,
                "is_unsorted_on": True,
            },
            {
                "pipeline_id": story.SERVICE_PIPELINE_ID,
                "name": "Рекламации",
                "position": 3,
                "is_main": False,
                "is_unsorted_on": True,
            },
        ]
        return pa.Table.from_pylist(rows, schema=SCHEMAS["pipelines"])

    def _stages(self) -> pa.Table:
        colors = ("#99ccff", "#ffff99", "#ffcc66", "#ffcccc", "#ccc8f9", "#eb93ff")
        rows: list[dict[str, Any]] = []
        described_pipelines: tuple[
            tuple[Pipeline, tuple[story.Stage, ...], tuple[str, str]], ...
        ] = (
            (LINES[SALES_LINE], story.SALES_STAGES, story.SALES_CLOSED_NAMES),
            (LINES[REPEAT_LINE], story.REPEAT_STAGES, story.REPEAT_CLOSED_NAMES),
            (LINES[SERVICE_LINE], story.SERVICE_STAGES, story.SERVICE_CLOSED_NAMES),
        )
        for pipeline, stages, closed in described_pipelines:
            described = [
                (pipeline.unsorted_stage_id, "Неразобранное", "unsorted", 10, "#c1c1c1"),
                *(
                    (stage.stage_id, stage.name, "open", 20 + 10 * number, colors[number])
                    for number, stage in enumerate(stages)
                ),
                (142, closed[0], "won", 10_000, "#CCFF66"),
                (143, closed[1], "lost", 11_000, "#D5D8DB"),
            ]
            rows += [
                {
                    "pipeline_id": pipeline.pipeline_id,
                    "stage_id": stage_id,
                    "name": name,
                    "position": position,
                    "stage_kind": kind,
                    "color": color,
                    "valid_from_at": 0,
                }
                for stage_id, name, kind, position, color in described
            ]
        renamed = int(story.STAGE_RENAMED_AT.timestamp())
        today = next(row for row in rows if row["stage_id"] == story.RENAMED_STAGE_ID)
        rows.append({**today, "name": story.FORMER_STAGE_NAME, "valid_to_at": renamed})
        today["valid_from_at"] = renamed
        rows.append(
            {
                "pipeline_id": SALES.pipeline_id,
                "stage_id": story.REMOVED_STAGE_ID,
                "name": story.REMOVED_STAGE_NAME,
                "position": story.REMOVED_STAGE_POSITION,
                "stage_kind": "open",
                "color": "#fff000",
                "valid_from_at": 0,
                "valid_to_at": int(story.STAGE_REMOVED_AT.timestamp()),
            }
        )
        # Later than the clock nothing has happened yet.
        for row in rows:
            if (row.get("valid_to_at") or 0) > self.end_utc:
                row["valid_to_at"] = None
        rows = [row for row in rows if row["valid_from_at"] <= self.end_utc]
        return pa.Table.from_pylist(rows, schema=SCHEMAS["stages"])

    def _users(self) -> pa.Table:
        rows: list[dict[str, Any]] = [
            {
                "user_id": story.CURRENT_USER_ID,
                "name": "Владислав Дубровин",
                "email": "owner@dubrava.example",
                "team_id": story.MANAGEMENT_TEAM[0],
                "team_name": story.MANAGEMENT_TEAM[1],
                "is_admin": True,
                "is_active": True,
            }
        ]
        rows += [
            {
                "user_id": rep.user_id,
                "name": rep.name,
                "email": rep.email,
                "team_id": rep.team[0],
                "team_name": rep.team[1],
                "is_admin": False,
                "is_active": rep.leaves_at > self.end_utc,
            }
            for rep in self.reps
        ]
        return pa.Table.from_pylist(rows, schema=SCHEMAS["users"])

    def _loss_reasons(self) -> pa.Table:
        created = to_utc_int(self.start)
        rows = [
            {
                "loss_reason_id": code,
                "name": name,
                "position": 100_000 * number,
                "created_at": created,
            }
            for number, (code, name) in enumerate(story.LOSS_REASONS, start=1)
        ]
        return pa.Table.from_pylist(rows, schema=SCHEMAS["loss_reasons"])


def functional_boxes(count: int) -> Column:
    """Return the common mail boxes of the companies."""
    number = compute.cast(pa.array(1 + np.arange(count)), pa.string())
    return compute.binary_join_element_wise(
        pa.scalar("info@firm"), number, pa.scalar(".example"), ""
    )


def to_utc_int(local_seconds: int) -> int:
    """Return one Moscow moment as Unix seconds."""
    return local_seconds - story.MOSCOW_OFFSET_SECONDS


def digits_text(values: Floats, present: Any) -> Column:
    """Return decimals as text, the way amoCRM keeps numeric fields."""
    text = compute.cast(pa.array(values), pa.string())
    return compute.if_else(pa.array(present), text, pa.scalar(None, pa.string()))
