"""The firm's tables while truths are planted: columns to change, row by row consistent.

Integers and times are numpy vectors with `NULL` for null, everything else stays Arrow. Deals are
spoken of by their position in the deals table.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.demo import story
from ingest.demo.arrow import Column, compute
from ingest.demo.randomness import DAY, Flags, Ints
from ingest.demo.tables import LOST_STAGE_ID, SCHEMAS, WON_STAGE_ID, CompanyTables

NULL = int(np.iinfo(np.int64).min)

# Tables whose rows belong to a deal, and their columns of time that move when its days move.
_TIMES = {
    "amount_changes": ("changed_at",),
    "calls": ("called_at",),
    "messages": ("sent_at",),
    "notes": ("created_at",),
    "documents": ("sent_at",),
    "tasks": ("created_at", "due_at", "completed_at"),
    "task_deadline_changes": ("changed_at", "from_due_at", "to_due_at"),
    "invoices": ("issued_at", "deleted_at"),
    "unsorted": ("resolved_at",),
}
# What of a deal never happened if the deal was over before it.
_EVIDENCE = {
    "amount_changes": "changed_at",
    "responsible_changes": "changed_at",
    "calls": "called_at",
    "messages": "sent_at",
    "notes": "created_at",
    "documents": "sent_at",
    "tasks": "created_at",
    "task_deadline_changes": "changed_at",
    "invoices": "issued_at",
}
_REPLACED_AFTER = 6 * DAY


class Frame:
    """One table as columns that may be changed, filtered and added to."""

    def __init__(self, name: str, table: pa.Table) -> None:
        self.name = name
        self.schema = SCHEMAS[name]
        self._columns: dict[str, Any] = {}
        for field in self.schema:
            column = table.column(field.name)
            if field.type == pa.int64():
                filled = compute.fill_null(column, NULL)
                self._columns[field.name] = np.array(filled.to_numpy(), dtype=np.int64)
            else:
                self._columns[field.name] = column.combine_chunks()

    def __len__(self) -> int:
        return len(self._columns[self.schema.names[0]])

    def __getitem__(self, column: str) -> Any:
        return self._columns[column]

    def __setitem__(self, column: str, values: Any) -> None:
        if self.schema.field(column).type == pa.int64():
            values = np.asarray(values, dtype=np.int64)
        elif not isinstance(values, pa.Array):
            values = pa.array(values, self.schema.field(column).type)
        self._columns[column] = values

    def flags(self, column: str) -> Flags:
        """Return a column of yes and no as a vector; null is no."""
        filled = compute.fill_null(self._columns[column], False)
        return np.array(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def equals(self, column: str, value: str) -> Flags:
        """Return where a text column has a value."""
        same = compute.fill_null(compute.equal(self._columns[column], value), False)
        return np.array(same.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def put(self, column: str, rows: Flags, value: Any) -> None:
        """Write one value, or the values of a column as long as the table, into some rows."""
        if self.schema.field(column).type == pa.int64():
            self[column] = np.where(rows, value, self._columns[column])
            return
        kind = self.schema.field(column).type
        put = value if isinstance(value, pa.Array) else pa.scalar(value, kind)
        self._columns[column] = compute.if_else(pa.array(rows), put, self._columns[column])

    def take(self, rows: Any) -> None:
        """Keep these rows, a mask or positions, in this order."""
        positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        index = pa.array(positions)
        for name, column in self._columns.items():
            is_vector = isinstance(column, np.ndarray)
            self._columns[name] = column[positions] if is_vector else column.take(index)

    def append(self, **columns: Any) -> None:
        """Add rows; a column that is left out is null, a single value is meant for every row."""
        count = max(len(c) for c in columns.values() if isinstance(c, np.ndarray | pa.Array))
        if count == 0:
            return
        unknown = set(columns) - set(self.schema.names)
        if unknown:
            raise ValueError(f"{self.name} has no column {', '.join(sorted(unknown))}")
        for field in self.schema:
            added = columns.get(field.name)
            if field.type == pa.int64():
                added = NULL if added is None else added
                new = np.broadcast_to(np.asarray(added, dtype=np.int64), (count,))
                self._columns[field.name] = np.concatenate([self._columns[field.name], new])
                continue
            if added is None:
                added = pa.nulls(count, field.type)
            elif not isinstance(added, pa.Array):
                added = pa.array([added] * count, field.type)
            self._columns[field.name] = pa.concat_arrays([self._columns[field.name], added])

    def copy_of(self, rows: Ints) -> dict[str, Any]:
        """Return these rows as columns, ready to be appended again."""
        index = pa.array(rows)
        return {
            name: column[rows] if isinstance(column, np.ndarray) else column.take(index)
            for name, column in self._columns.items()
        }

    def table(self) -> pa.Table:
        """Return the table."""
        columns = {
            name: pa.array(column, pa.int64(), mask=column == NULL)
            if isinstance(column, np.ndarray)
            else column
            for name, column in self._columns.items()
        }
        return pa.table(columns, schema=self.schema)


class Draft:
    """A firm that may still be changed."""

    def __init__(self, tables: CompanyTables) -> None:
        self.now = tables.now
        ids = Frame("deals", tables.deals)["deal_id"]
        low, high = (int(ids.min()), int(ids.max())) if len(ids) else (0, 0)
        # Deals neither come nor go here, and a CRM's ids lie close together.
        places = np.full(high - low + 1, -1, dtype=np.int64)
        places[ids - low] = np.arange(len(ids))
        self._places = low, places
        self._frames = {name: Frame(name, table) for name, table in tables.items()}
        self.moves.take(np.argsort(self.deal_of("stage_changes"), kind="stable"))

    def __getitem__(self, name: str) -> Frame:
        return self._frames[name]

    @property
    def deals(self) -> Frame:
        """Return the deals."""
        return self._frames["deals"]

    @property
    def moves(self) -> Frame:
        """Return the stage changes: the rows of a deal stand together, in order."""
        return self._frames["stage_changes"]

    def tables(self) -> CompanyTables:
        """Return the firm as it is now, with calls, messages and documents in order of time."""
        for name, at in (("calls", "called_at"), ("messages", "sent_at"), ("documents", "sent_at")):
            self[name].take(np.argsort(self[name][at], kind="stable"))
        # Ids grow with time, as a CRM gives them; nothing else names these rows.
        for name, column in (("calls", "call_id"), ("documents", "document_id")):
            frame = self[name]
            frame[column] = np.sort(frame[column])
        self["payments"].take(np.argsort(self["payments"]["paid_at"], kind="stable"))
        made = {name: frame.table() for name, frame in self._frames.items()}
        names = [field.name for field in fields(CompanyTables) if field.name != "now"]
        return CompanyTables(now=self.now, **{name: made[name] for name in names})

    def positions(self, deal_ids: Ints) -> Ints:
        """Return the positions of deals by their ids, -1 for what is no deal."""
        low, places = self._places
        offset = deal_ids - low
        known = (offset >= 0) & (offset < len(places))
        return np.where(known, places[np.where(known, offset, 0)], -1)

    def deal_of(self, name: str) -> Ints:
        """Return, for each row of a table, the position of its deal or -1."""
        if name == "payments":
            return self.invoice_deal()[self.invoice_of_payment()]
        if name == "notes":
            of_lead = self["notes"].equals("entity_type", "lead")
            return np.where(of_lead, self.positions(self["notes"]["entity_id"]), -1)
        if name == "task_deadline_changes":
            tasks = self["tasks"]["task_id"]
            order = np.argsort(tasks, kind="stable")
            row = np.searchsorted(tasks[order], self[name]["task_id"])
            of_change: Ints = self.deal_of("tasks")[order[row]]
            return of_change
        return self.positions(self[name]["deal_id"])

    def invoice_deal(self) -> Ints:
        """Return the position of the deal of each invoice."""
        return self.positions(self["invoices"]["deal_id"])

    def invoice_of_payment(self) -> Ints:
        """Return the row of the invoice of each payment."""
        ids = self["invoices"]["invoice_id"]
        order = np.argsort(ids, kind="stable")
        found: Ints = order[np.searchsorted(ids[order], self["payments"]["invoice_id"])]
        return found

    def move_deal(self) -> Ints:
        """Return the position of the deal of each stage change."""
        return self.positions(self.moves["deal_id"])

    def last_moves(self) -> Ints:
        """Return the row of each deal's last stage change, -1 for none."""
        found = np.full(len(self.deals), -1, dtype=np.int64)
        found[self.move_deal()] = np.arange(len(self.moves))
        return found

    def final_stage(self) -> Ints:
        """Return the stage in which each deal ends."""
        last = self.last_moves()
        moved = np.append(self.moves["to_stage_id"], 0)[last]
        return np.where(last >= 0, moved, self.deals["stage_id"])

    def is_won(self) -> Flags:
        """Return whether each deal ends won."""
        is_won: Flags = self.final_stage() == WON_STAGE_ID
        return is_won

    def person(self) -> Ints:
        """Return whose each deal is, NULL where nobody stands behind it."""
        contacts, contact = self["contacts"], self.deals["contact_id"]
        order = np.argsort(contacts["contact_id"], kind="stable")
        ids = np.append(contacts["contact_id"][order], NULL)
        row = np.searchsorted(ids[:-1], contact)
        of_row = np.append(contacts["person_id"][order], NULL)
        return np.where(ids[row] == contact, of_row[row], NULL)

    def first_entry(self, stage_id: int) -> Ints:
        """Return when each deal first entered a stage of the sales pipeline, NULL for never."""
        rows = self.entry_rows(stage_id)
        return np.where(rows >= 0, np.append(self.moves["changed_at"], 0)[rows], NULL)

    def entry_rows(self, stage_id: int) -> Ints:
        """Return the row by which each deal first entered a stage, -1 for never."""
        rows = np.flatnonzero(self.moves["to_stage_id"] == stage_id)[::-1]
        found = np.full(len(self.deals), -1, dtype=np.int64)
        found[self.move_deal()[rows]] = rows
        return found

    def entry_rows_of(self, rows: Ints) -> Flags:
        """Return which of these changes are their deals' first entries into their stages."""
        stages = self.moves["to_stage_id"][rows]
        deal = self.move_deal()[rows]
        found = np.zeros(len(rows), dtype=np.bool_)
        for stage in np.unique(stages):
            found |= (stages == stage) & (self.entry_rows(int(stage))[deal] == rows)
        return found

    def final_amount(self) -> Ints:
        """Return the sum of each deal as its card shows it in the end."""
        found: Ints = self.deals["amount"].copy()
        changes = self["amount_changes"]
        found[self.deal_of("amount_changes")] = changes["to_amount"]
        return found

    def user_at(self, deal: Ints, moment: Ints) -> Ints:
        """Return who was responsible for a deal at a moment."""
        given = self["responsible_changes"]
        row = np.full(len(self.deals), -1, dtype=np.int64)
        row[self.deal_of("responsible_changes")] = np.arange(len(given))
        of = row[deal]
        heir = np.append(given["to_user_id"], 0)[of]
        since = np.append(given["changed_at"], 0)[of]
        return np.where(
            (of >= 0) & (moment >= since), heir, self.deals["responsible_user_id"][deal]
        )

    def per_deal(self, chosen: Ints, values: Any) -> Ints:
        """Return a vector over all deals with values for some and NULL for the others."""
        found = np.full(len(self.deals), NULL, dtype=np.int64)
        found[chosen] = values
        return found

    def forget_after(self, until: Ints) -> None:
        """Take away everything of a deal that happened after its `until` (NULL: nothing)."""
        limit = np.append(np.where(until == NULL, np.iinfo(np.int64).max, until), NULL)
        limit[-1] = np.iinfo(np.int64).max
        for name, at in _EVIDENCE.items():
            frame = self[name]
            stays = frame[at] <= limit[self.deal_of(name)]
            if name == "invoices":
                self["payments"].take(stays[self.invoice_of_payment()])
            if name == "tasks":
                moved = self["task_deadline_changes"]
                moved.take(np.isin(moved["task_id"], frame["task_id"][stays]))
            frame.take(stays)
        self.moves.take(self.moves["changed_at"] <= limit[self.move_deal()])

    def stretch(self, begin: Ints, end: Ints, new_begin: Ints, new_end: Ints) -> None:
        """Move the days of some deals: what happened between begin and end now happens between
        new_begin and new_end, in the same order. NULL begin: the deal stays as it is."""

        def moved(deal: Ints, at: Ints) -> Ints:
            safe = np.maximum(deal, 0)
            first, last = begin[safe], end[safe]
            inside = (deal >= 0) & (first != NULL) & (at != NULL) & (at >= first) & (at <= last)
            first, last = np.where(inside, first, 0), np.where(inside, last, 1)
            low, high = np.where(inside, new_begin[safe], 0), np.where(inside, new_end[safe], 1)
            span = np.maximum(last - first, 1)
            # In whole seconds without overflow: spans are at most years.
            shifted = low + (np.where(inside, at, 0) - first) * (high - low) // span
            return np.where(inside, shifted, at)

        deal = self.move_deal()
        changed = moved(deal, self.moves["changed_at"])
        published = self.moves["published_at"]
        late = np.where(published == NULL, 0, published - self.moves["changed_at"])
        self.moves["published_at"] = np.where(
            published == NULL, NULL, np.minimum(changed + late, self.now)
        )
        self.moves["changed_at"] = changed
        payments = self["payments"]
        payments["paid_at"] = moved(self.deal_of("payments"), payments["paid_at"])
        for name, columns in _TIMES.items():
            owner = self.deal_of(name)
            for column in columns:
                self[name][column] = moved(owner, self[name][column])
        everyone = np.arange(len(self.deals))
        for column in ("handover_accepted_at", "deleted_at"):
            self.deals[column] = moved(everyone, self.deals[column])

    def lose(self, rows: Ints, reason_id: Ints | int, *, repoint: np.random.Generator) -> None:
        """Turn these stage changes, one per deal, into losses by a person; nothing follows them.

        A deal that was won takes its money back with it: payments go, its invoice is withdrawn, and
        what the same person ordered later is another customer's order.
        """
        deal = self.move_deal()[rows]
        moment = self.moves["changed_at"][rows]
        was_won = self.is_won()[deal]
        author = self.moves["changed_by"].copy()
        author[rows] = np.where(author[rows] == 0, self.user_at(deal, moment), author[rows])
        self.moves["changed_by"] = author
        for column, value in (
            ("to_stage_id", LOST_STAGE_ID),
            ("to_pipeline_id", self.moves["from_pipeline_id"][rows]),
            ("loss_reason_id", reason_id),
        ):
            values = self.moves[column].copy()
            values[rows] = value
            self.moves[column] = values
        lost_by = self.per_deal(deal, rows)[self.move_deal()]
        self.moves.take((lost_by == NULL) | (np.arange(len(self.moves)) <= lost_by))
        self.close(deal, moment, was_won, repoint)

    def close(self, deal: Ints, moment: Ints, was_won: Flags, repoint: np.random.Generator) -> None:
        """End deals at a moment: what came later never happened."""
        self.forget_after(self.per_deal(deal, moment))
        ended = self.per_deal(deal, moment)
        owner = self.invoice_deal()
        withdrawn = ended[owner] != NULL
        self["payments"].take(~withdrawn[self.invoice_of_payment()])
        gone = np.where(withdrawn, ended[owner] + _REPLACED_AFTER, NULL)
        gone = np.where(gone >= self.now, NULL, gone)
        invoices = self["invoices"]
        invoices["deleted_at"] = np.where(withdrawn, gone, invoices["deleted_at"])
        self._repoint(deal[was_won], repoint)

    def _repoint(self, never_customers: Ints, rng: np.random.Generator) -> None:
        """Give the later orders of people who now never bought to people who did."""
        deals = self.deals
        # A second card of a buyer is the buyer's.
        person = self.person()
        sold = self.is_won() & deals.equals("kind", "new") & (person != NULL)
        buyers = np.flatnonzero(sold)
        suspects = person[never_customers]
        repeats = np.flatnonzero(
            deals.equals("kind", "repeat")
            & np.isin(person, suspects[suspects != NULL])
            & ~np.isin(person, person[buyers])
        )
        if not len(repeats) or not len(buyers):
            return
        won_at = np.append(self.moves["changed_at"], 0)[self.last_moves()][buyers]
        order = np.argsort(won_at, kind="stable")
        earlier = np.searchsorted(won_at[order], deals["created_at"][repeats] - 12 * DAY)
        drawn = (rng.random(len(repeats)) * np.maximum(earlier, 1)).astype(np.int64)
        self.give_contact(repeats, buyers[order[drawn]])

    def give_contact(self, deal: Ints, model: Ints) -> None:
        """Hang deals on the contacts of other deals, with all that carries a contact or a phone."""
        new_contact = self.per_deal(deal, self.deals["contact_id"][model])
        new_company = self.per_deal(deal, self.deals["company_id"][model])
        changed = new_contact != NULL
        old_contact = self.deals["contact_id"].copy()
        self.deals["company_id"] = np.where(changed, new_company, self.deals["company_id"])
        self.deals["contact_id"] = np.where(changed, new_contact, old_contact)
        contacts = self["contacts"]
        by_id = np.argsort(contacts["contact_id"], kind="stable")
        ids = contacts["contact_id"][by_id]

        def row_of(contact: Ints) -> Ints:
            return by_id[np.minimum(np.searchsorted(ids, contact), len(ids) - 1)]

        digits = compute.replace_substring_regex(contacts["phone"], r"\D", "")
        phone = compute.binary_join_element_wise(
            pa.scalar("+7"), compute.utf8_slice_codeunits(digits, -10, None), ""
        )
        full = compute.binary_join_element_wise(
            contacts["first_name"], contacts["last_name"], " ", null_handling="skip"
        )
        for name in ("calls", "messages", "invoices", "unsorted"):
            frame = self[name]
            owner = self.deal_of(name)
            rows = (owner >= 0) & changed[owner]
            contact = np.where(rows, new_contact[owner], frame["contact_id"])
            frame["contact_id"] = np.where(frame["contact_id"] == NULL, NULL, contact)
            index = pa.array(row_of(contact))
            if "phone" in frame.schema.names:
                frame.put("phone", rows, phone.take(index))
            if "payer_name" in frame.schema.names:
                frame.put("payer_name", rows, full.take(index))
        rang = compute.starts_with(self.deals["name"], "Звонок от ")
        named = np.array(rang.to_numpy(zero_copy_only=False), dtype=np.bool_) & changed
        by_call = compute.binary_join_element_wise(
            pa.scalar("Звонок от "), phone.take(pa.array(row_of(self.deals["contact_id"]))), ""
        )
        self.deals.put("name", named, by_call)
        # The browser that asked was the other person's.
        for column in ("client_id", "click_id"):
            self.deals.put(column, changed, None)


def local_hour(moment: Ints) -> Ints:
    """Return the hour of the day in Moscow."""
    return (moment + story.MOSCOW_OFFSET_SECONDS) % DAY // 3600


def local_day(moment: Ints) -> Ints:
    """Return the Moscow day since 1970."""
    return (moment + story.MOSCOW_OFFSET_SECONDS) // DAY


def day_begins(day: Ints) -> Ints:
    """Return the moment a Moscow day begins."""
    return day * DAY - story.MOSCOW_OFFSET_SECONDS


def text_of(column: Column) -> list[str | None]:
    """Return a text column as a list."""
    found: list[str | None] = column.to_pylist()
    return found
