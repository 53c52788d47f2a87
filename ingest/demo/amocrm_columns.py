"""amoCRM's large lists as they land, a column at a time: `amocrm_records` without its rows.

Each list mirrors the record of the same name there, with personal data already gone the way
`ingest.sources.amocrm.personal_data` takes it out. A test holds the two together, record by record;
kinds of records that are not known here are left to the other one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ingest.demo.amocrm_records import (
    _TRACKING_COLUMN,
    CALL_STATUS,
    CRITERION_FIELD_ID,
    CRITERION_TITLES,
    DOCUMENT_SERVICES,
    EMAIL_FIELD_ID,
    LENGTH_FIELD_ID,
    NEVER,
    PHONE_FIELD_ID,
    SEGMENT_FIELD_ID,
    UTM_FIELDS,
    Account,
    Ints,
    Records,
    _field,
    _tag_id,
    integers,
)
from ingest.demo.arrow import Column, compute
from ingest.demo.json_columns import (
    NULL,
    changed,
    either,
    joined,
    json_texts,
    lists_of,
    mapped,
    numbers,
    strings,
)
from ingest.demo.randomness import Flags
from ingest.demo.tables import LOST_STAGE_ID
from ingest.privacy import Privacy

# What `Privacy.mask_text` looks at before it looks closely.
_MAY_HOLD_CONTACTS = "@|%(25)*40|[0-9][^A-Za-z]{5,}[0-9]"
_PLURALS = ("leads", "contacts", "companies", "tasks")
_VALUE = "\x01"
_NOBODY = -1


@dataclass(frozen=True)
class Part:
    """Some records of a list: ids, times of change in Unix seconds, and texts."""

    ids: Column
    cursors: Column
    payloads: Column


class AmocrmColumns:
    """The large lists of one firm at one moment."""

    def __init__(self, account: Account, now: int, privacy: Privacy) -> None:
        """Take the firm.

        Args:
            account: The firm in the words of amoCRM.
            now: The simulated moment.
            privacy: Takes out personal data.
        """
        self._account = account
        self._tables = account.tables
        self._now = now
        self._privacy = privacy

    def part(self, table: str, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        """Return a list's records, and the positions of those that are not known here.

        Args:
            table: The raw table.
            records: The list as the API has it.
            positions: Which records are wanted.
        """
        if not len(positions):
            return [], positions
        if table == "events":
            return self._events(positions)
        lists: dict[str, Callable[[Records, Ints], tuple[list[Part], Ints]]] = {
            "leads": self._leads,
            "contacts": self._contacts,
            "tasks": self._tasks,
            "lead_notes": partial(self._notes, "leads"),
            "contact_notes": partial(self._notes, "contacts"),
            "invoices": self._invoices,
        }
        if table not in lists:
            return [], positions
        return lists[table](records, positions)

    def _events(self, positions: Ints) -> tuple[list[Part], Ints]:
        events = self._account.events
        ids = events.id_texts
        kinds = events.kind[positions] * len(events.ENTITIES) + events.entity[positions]
        parts: list[Part] = []
        unknown: list[Ints] = []
        for number in np.unique(kinds).tolist():
            chosen = positions[kinds == number]
            kind, entity = divmod(number, len(events.ENTITIES))
            values = self._event_values(events.TYPES[kind], events.row[chosen])
            if values is None:
                unknown.append(chosen)
                continue
            event_id = ids.take(pa.array(chosen))
            created: Column = pa.array(events.created_at[chosen])
            about = numbers(events.entity_id[chosen])
            payloads = json_texts(
                {
                    # Of signs alone, with letters among them: no phone can be in it.
                    "id": joined('"', event_id, '"'),
                    "type": events.TYPES[kind],
                    "entity_id": about,
                    "entity_type": events.ENTITIES[entity],
                    "created_by": numbers(events.created_by[chosen]),
                    "created_at": numbers(created),
                    **values,
                    "account_id": self._account.account_id,
                    "_links": self._link("events/", event_id),
                    "_embedded": {
                        "entity": {"id": about, "_links": self._link(f"{_PLURALS[entity]}/", about)}
                    },
                }
            )
            parts.append(Part(event_id, created, payloads))
        return parts, _sorted(unknown)

    def _event_values(self, kind: str, row: Ints) -> dict[str, Any] | None:
        """Return what one kind of events says of before and after; None: not known here."""
        tables = self._tables
        before: list[Any] = []
        after: list[Any] = []
        extra: dict[str, Any] = {}
        if kind == "lead_status_changed":
            before, after = (
                [
                    {
                        "lead_status": {
                            "id": _numbers_at(tables.stage_changes, f"{side}_stage_id", row),
                            "pipeline_id": _numbers_at(
                                tables.stage_changes, f"{side}_pipeline_id", row
                            ),
                        }
                    }
                ]
                for side in ("from", "to")
            )
        elif kind == "sale_field_changed":
            before, after = (
                [{"sale_field_value": {"sale": _numbers_at(tables.amount_changes, name, row)}}]
                for name in ("from_amount", "to_amount")
            )
        elif kind == "entity_responsible_changed":
            before, after = (
                [{"responsible_user": {"id": _numbers_at(tables.responsible_changes, name, row)}}]
                for name in ("from_user_id", "to_user_id")
            )
        elif kind in {"incoming_call", "outgoing_call"}:
            after = [{"note": {"id": _numbers_at(tables.calls, "call_id", row)}}]
        elif kind in {"incoming_chat_message", "outgoing_chat_message"}:
            message = self._masked(_at(tables.messages, "message_id", row))
            after = [{"message": {"id": strings(message)}}]
            extra = {"linked_talk_contact_id": _numbers_at(tables.messages, "contact_id", row)}
        elif kind not in {"lead_added", "lead_deleted", "entity_merged", "task_completed"}:
            return None
        return {"value_after": after, "value_before": before, **extra}

    def _leads(self, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        deals = self._tables.deals
        state = self._account._deals.at(self._now)

        def of(name: str) -> Column:
            return _numbers_at(deals, name, positions)

        def seen(values: Ints, absent: int | None = None) -> Column:
            chosen = values[positions]
            return numbers(chosen, None if absent is None else chosen == absent)

        deal_id = of("deal_id")
        company = _at(deals, "company_id", positions)
        holder = self._holders(integers(deals, "contact_id", _NOBODY)[positions])
        contact: Column = pa.array(holder, mask=holder == _NOBODY)
        source_name = self._masked(_at(deals, "source_name", positions))
        source = json_texts({"id": of("source_id"), "name": strings(source_name)})
        has_source = compute.is_valid(_at(deals, "source_id", positions))
        embedded = {
            "tags": mapped(_at(deals, "tags", positions), self._tags),
            "companies": self._linked("companies", company, {}),
            "contacts": self._linked("contacts", contact, {"is_main": True}),
            "loss_reason": self._loss_reasons(state.loss_reason[positions]),
            "catalog_elements": self._invoices_of(positions),
        }
        # A deal without a source has no such key at all.
        rest = either(has_source, joined(',"source":', source), "")
        payloads = json_texts(
            {
                "id": deal_id,
                "name": strings(self._masked(_at(deals, "name", positions))),
                "price": seen(state.amount),
                "responsible_user_id": seen(state.responsible),
                "group_id": 0,
                "status_id": seen(state.stage),
                "pipeline_id": seen(state.pipeline),
                "loss_reason_id": seen(state.loss_reason, -1),
                "created_by": of("created_by"),
                "updated_by": seen(state.updated_by),
                "created_at": of("created_at"),
                "updated_at": seen(state.updated_at),
                "closed_at": seen(state.closed_at, NEVER),
                "closest_task_at": seen(state.closest_task_at, NEVER),
                "is_deleted": False,
                "custom_fields_values": self._lead_fields(
                    positions, is_lost=state.stage[positions] == LOST_STAGE_ID
                ),
                "score": None,
                "account_id": self._account.account_id,
                "labor_cost": None,
                "source_id": of("source_id"),
                "is_price_modified_by_robot": False,
                "_links": self._link("leads/", deal_id),
                "_embedded": _object(embedded, rest),
            }
        )
        cursors: Column = pa.array(state.updated_at[positions])
        return [Part(deal_id, cursors, payloads)], positions[:0]

    def _lead_fields(self, positions: Ints, *, is_lost: Flags) -> Column:
        """Return the custom fields of deals as JSON; a deal without any has null."""
        deals = self._tables.deals
        fields: list[Column] = []
        for field_id, name in UTM_FIELDS:
            values = _at(deals, _TRACKING_COLUMN.get(name, name), positions)
            fields.append(
                _filled_in(
                    _field(field_id, name, name.upper(), "tracking_data", _VALUE),
                    changed(values, _MAY_HOLD_CONTACTS, self._mask_tag),
                )
            )
        fields.append(
            _filled_in(
                _field(LENGTH_FIELD_ID, "Длина гарнитура, м", None, "numeric", _VALUE),
                self._masked(_at(deals, "length_metres", positions)),
            )
        )

        def chosen(field_id: int, name: str, values: Column) -> Column:
            def field(value: str | None) -> str | None:
                if value is None:
                    return None
                enum = (_tag_id(value), None)
                whole = _field(field_id, name, None, "select", value, enum=enum)
                return orjson.dumps(whole).decode()

            return mapped(values, field)

        fields.append(chosen(SEGMENT_FIELD_ID, "Тип клиента", _at(deals, "segment", positions)))
        criterion = mapped(
            _at(deals, "failing_criterion", positions),
            lambda name: None if name is None else CRITERION_TITLES[name],
        )
        fields.append(
            chosen(CRITERION_FIELD_ID, "Причина нецелевого", either(is_lost, criterion, None))
        )
        return _list_or_null(fields)

    def _tags(self, tags: str | None) -> str:
        known = tags.split("|") if tags else []
        return orjson.dumps(
            [{"id": _tag_id(tag), "name": self._mask_tag(tag), "color": None} for tag in known]
        ).decode()

    def _mask_tag(self, text: str) -> str:
        return self._privacy.mask_tag(text)

    def _linked(self, kind: str, ids: Column, more: dict[str, Any]) -> Column:
        """Return a list of the one party a deal is linked with, or an empty one."""
        number = numbers(ids)
        one = json_texts([{"id": number, **more, "_links": self._link(f"{kind}/", number)}])
        return either(compute.is_valid(ids), one, "[]")

    def _loss_reasons(self, reasons: Ints) -> Column:
        rows = self._account._rows("loss_reasons")
        place = {code: number for number, code in enumerate(rows["loss_reason_id"])}

        def described(reason: int | None) -> str:
            found = place.get(reason)
            records = [] if found is None else [self._account._loss_reason(found, rows)]
            return orjson.dumps(records).decode()

        return mapped(pa.array(reasons), described)

    def _invoices_of(self, positions: Ints) -> Column:
        invoices = self._tables.invoices
        deal = integers(invoices, "deal_id", -1)
        shown = np.flatnonzero((deal >= 0) & (integers(invoices, "issued_at") <= self._now))
        catalog = self._account.account["invoices_catalog_id"]
        metadata = {"quantity": 1, "catalog_id": catalog, "price_id": None}
        count = len(self._account._deals.ids)
        if not len(shown):
            return _repeated("[]", len(positions))
        texts = json_texts({"id": _numbers_at(invoices, "invoice_id", shown), "metadata": metadata})
        owners = self._account._deals.position(deal[shown])
        places: Column = pa.array(positions)
        return lists_of(texts, owners, count).take(places)

    def _contacts(self, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        contacts = self._tables.contacts
        # A card that absorbed others has several phones: those few go the other way.
        absorbing = [one for one in self._survivors.values() if one is not None]
        is_absorbing = np.isin(integers(contacts, "contact_id")[positions], absorbing)
        left, positions = positions[is_absorbing], positions[~is_absorbing]

        def of(name: str) -> Column:
            return _numbers_at(contacts, name, positions)

        contact_id = of("contact_id")
        updated = records.times["updated_at"][positions]
        fields = [
            _filled_in(
                _field(field_id, name, code, "multitext", _VALUE, enum=enum),
                self._hashed(_at(contacts, column, positions)),
            )
            for field_id, name, code, enum, column in (
                (PHONE_FIELD_ID, "Телефон", "PHONE", (50001, "WORK"), "phone"),
                (EMAIL_FIELD_ID, "Email", "EMAIL", (50011, "WORK"), "email"),
            )
        ]
        created_by = of("created_by")
        payloads = json_texts(
            {
                "id": contact_id,
                "name": None,
                "responsible_user_id": of("responsible_user_id"),
                "group_id": 0,
                "created_by": created_by,
                "updated_by": created_by,
                "created_at": of("created_at"),
                "updated_at": numbers(updated),
                "closest_task_at": None,
                "is_deleted": False,
                "custom_fields_values": _list_or_null(fields),
                "account_id": self._account.account_id,
                "first_name": None,
                "last_name": None,
                "_links": self._link("contacts/", contact_id),
                "_embedded": {
                    "tags": [],
                    "companies": self._linked(
                        "companies", _at(contacts, "company_id", positions), {}
                    ),
                    "leads": self._leads_of(positions),
                },
            }
        )
        cursors: Column = pa.array(updated)
        return [Part(contact_id, cursors, payloads)], left

    @cached_property
    def _survivors(self) -> dict[int, int | None]:
        return self._account.survivors(self._now)

    def _holders(self, contacts: Ints) -> Ints:
        """Return who holds now what was these contacts' own."""
        gone = self._survivors
        if not gone:
            return contacts
        ids = np.array(sorted(gone), dtype=np.int64)
        survivors = [gone[one] for one in ids.tolist()]
        into = np.array([_NOBODY if one is None else one for one in survivors], dtype=np.int64)
        place = np.minimum(np.searchsorted(ids, contacts), len(ids) - 1)
        return np.where(ids[place] == contacts, into[place], contacts)

    def _leads_of(self, positions: Ints) -> Column:
        deals = self._tables.deals
        owner = self._holders(integers(deals, "contact_id", _NOBODY))
        shown = np.flatnonzero(
            (owner != _NOBODY)
            & (integers(deals, "created_at") <= self._now)
            & (integers(deals, "merged_at") > self._now)
        )
        ids = integers(self._tables.contacts, "contact_id")
        by_id = np.argsort(ids, kind="stable")
        place = by_id[np.searchsorted(ids[by_id], owner[shown])]
        deal_id = _numbers_at(deals, "deal_id", shown)
        texts = json_texts({"id": deal_id, "_links": self._link("leads/", deal_id)})
        places: Column = pa.array(positions)
        return lists_of(texts, place, len(ids)).take(places)

    def _tasks(self, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        tasks = self._tables.tasks

        def of(name: str) -> Column:
            return _numbers_at(tasks, name, positions)

        task_id, user, author = of("task_id"), of("user_id"), of("created_by")
        updated = records.times["updated_at"][positions]
        is_done = records.times["is_completed"][positions] == 1
        result = _at(tasks, "result_text", positions)
        has_result = compute.and_(
            pa.array(is_done),
            compute.greater(compute.utf8_length(compute.fill_null(result, "")), 0),
        )
        due, pushed_at, pushed_by = (
            column[positions] for column in self._account.task_deadlines(self._now)
        )
        is_meeting = compute.equal(_at(tasks, "task_type", positions), "meeting")
        payloads = json_texts(
            {
                "id": task_id,
                "created_by": author,
                "updated_by": either(
                    is_done, user, either(pushed_at >= 0, numbers(pushed_by), author)
                ),
                "created_at": of("created_at"),
                "updated_at": numbers(updated),
                "responsible_user_id": user,
                "group_id": 0,
                "entity_id": of("deal_id"),
                "entity_type": "leads",
                "duration": 0,
                "is_completed": either(is_done, "true", "false"),
                "task_type_id": either(compute.fill_null(is_meeting, False), "2", "1"),
                "text": None,
                "result": either(has_result, '{"text":null}', "[]"),
                "complete_till": numbers(due),
                "account_id": self._account.account_id,
                "_links": self._link("tasks/", task_id),
            }
        )
        cursors: Column = pa.array(updated)
        return [Part(task_id, cursors, payloads)], positions[:0]

    def _notes(self, entity: str, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        """Return the notes of calls and documents; words are few and left to the other way."""
        calls, documents = self._tables.calls, self._tables.documents
        note_id = records.times["id"][positions]
        is_call, call = _places(integers(calls, "call_id"), note_id)
        is_sent, sent = _places(integers(documents, "document_id"), note_id)
        kinds = []
        if is_call.any():
            values = self._call_values(call)
            user, made = _at(calls, "user_id", call), _at(calls, "called_at", call)
            kinds.append((is_call, user, made, values))
        if is_sent.any():
            service = mapped(
                _at(documents, "kind", sent),
                lambda kind: orjson.dumps(DOCUMENT_SERVICES[kind]).decode(),
            )
            values = {
                "note_type": "extended_service_message",
                "params": {"service": service, "text": None},
            }
            user, made = _at(documents, "sent_by", sent), _at(documents, "sent_at", sent)
            kinds.append((is_sent, user, made, values))
        parts = []
        for chosen, user, made, values in kinds:
            number, author = numbers(note_id[chosen]), numbers(user)
            about = numbers(records.times["entity_id"][positions[chosen]])
            payloads = json_texts(
                {
                    "id": number,
                    "entity_id": about,
                    "created_by": author,
                    "updated_by": author,
                    "created_at": numbers(made),
                    "updated_at": numbers(made),
                    "responsible_user_id": author,
                    "group_id": 0,
                    **values,
                    "account_id": self._account.account_id,
                    "_links": self._link(f"{entity}/", about, "/notes/", number),
                }
            )
            parts.append(Part(number, made, payloads))
        return parts, positions[~(is_call | is_sent)]

    def _call_values(self, row: Ints) -> dict[str, Any]:
        calls = self._tables.calls
        is_incoming = compute.equal(_at(calls, "direction", row), "in")
        responsible = _at(calls, "responsible_text", row)
        is_id = compute.fill_null(compute.utf8_is_digit(responsible), False)
        params = {
            "uniq": mapped(_at(calls, "call_id", row), lambda call: f'"{call:08x}"'),
            "duration": _numbers_at(calls, "duration_seconds", row),
            "source": _repeated('"demo_telephony"', len(row)),
            "link": _repeated(NULL, len(row)),
            "phone": strings(self._correspondents(_at(calls, "phone", row))),
            "call_responsible": either(is_id, strings(responsible), NULL),
        }
        status = mapped(
            _at(calls, "outcome", row),
            lambda name: (
                "" if name is None else f',"call_status":{CALL_STATUS[name]},"call_result":""'
            ),
        )
        return {
            "note_type": either(is_incoming, '"call_in"', '"call_out"'),
            "params": _object(params, status),
        }

    def _invoices(self, records: Records, positions: Ints) -> tuple[list[Part], Ints]:
        invoices, payments = self._tables.invoices, self._tables.payments
        ids = integers(invoices, "invoice_id")
        by_id = np.argsort(ids, kind="stable")
        is_paid = integers(payments, "paid_at") <= self._now
        place = by_id[np.searchsorted(ids[by_id], integers(payments, "invoice_id")[is_paid])]
        part = integers(payments, "amount")[is_paid]
        is_refund = payments.column("is_refund").to_numpy()[is_paid]
        paid = np.zeros(len(ids), dtype=np.int64)
        np.add.at(paid, place, np.where(is_refund, -part, part))
        total, paid = integers(invoices, "amount")[positions], paid[positions]
        # Created, paid in part, paid.
        state = np.where(paid >= total, 2, np.where(paid > 0, 1, 0))

        def by_state(*texts: str) -> Column:
            values: Column = pa.array(texts)
            return values.take(pa.array(state))

        updated = records.times["updated_at"][positions]
        amount, number = numbers(total), _numbers_at(invoices, "invoice_id", positions)
        author = _numbers_at(invoices, "created_by", positions)
        with_point = joined(amount, ".0")
        payer = {
            # The name of a contact: no payer here is anybody else.
            "name": None,
            "entity_id": _numbers_at(invoices, "contact_id", positions),
            "entity_type": "contacts",
        }
        items = {
            "sku": "",
            "product_id": None,
            "description": strings(self._masked(_at(invoices, "description", positions))),
            "unit_price": with_point,
            "unit_type": "шт.",
            "quantity": 1.0,
            "discount": {"type": "amount", "value": 0.0},
            "vat_rate_id": 0,
            "vat_rate_value": 0,
            "external_uid": "",
            "metadata": [],
            "total_sum": with_point,
        }
        status = by_state('"Создан"', '"Частично оплачен"', '"Оплачен"')
        status_id = by_state("1", "3", "2")
        status_code: Any = by_state('"created"', '"partially_paid"', '"paid"')
        fields: list[Any] = [
            _field(1, "Статус", "BILL_STATUS", "select", status, enum=(status_id, status_code)),
            _field(2, "Плательщик", "PAYER", "payer", payer),
            _field(3, "Позиции", "ITEMS", "items", items),
            _field(4, "Итоговая сумма", "BILL_PRICE", "monetary", strings(amount)),
            _field(
                6, "Тип НДС", "BILL_VAT_TYPE", "select", "Не облагается", enum=(9, "vat_exempt")
            ),
        ]
        paid_on = _field(5, "Дата оплаты", "BILL_PAYMENT_DATE", "date_time", numbers(updated))
        with_date = either(state == 2, json_texts([*fields, paid_on]), json_texts(fields))
        catalog = self._account.account["invoices_catalog_id"]
        link = strings(self._masked(joined("https://bills.example/", number)))
        payloads = json_texts(
            {
                "id": number,
                "name": strings(self._masked(_at(invoices, "number", positions))),
                "created_by": author,
                "updated_by": author,
                "created_at": _numbers_at(invoices, "issued_at", positions),
                "updated_at": numbers(updated),
                "is_deleted": False,
                "custom_fields_values": with_date,
                "catalog_id": catalog,
                "account_id": self._account.account_id,
                "currency_id": None,
                "invoice_link": link,
                "_links": self._link(f"catalogs/{catalog}/elements/", number),
            }
        )
        cursors: Column = pa.array(updated)
        return [Part(number, cursors, payloads)], positions[:0]

    def _masked(self, texts: Column) -> Column:
        """Return texts without phones and mail addresses."""
        if self._privacy.keeps:
            return texts
        return changed(texts, _MAY_HOLD_CONTACTS, self._privacy.mask_text)

    def _correspondents(self, phones: Column) -> Column:
        """Return the other side of calls: tokens of numbers, and nothing of names."""
        hash_one = self._privacy.hash_contact_point

        def token(text: str | None) -> str | None:
            if not text:
                return text
            is_reachable = "@" in text or sum(sign.isdigit() for sign in text) >= 5
            return hash_one(text) if is_reachable else None

        return mapped(phones, token)

    def _hashed(self, texts: Column) -> Column:
        """Return phones and mail addresses as their tokens."""
        hash_one = self._privacy.hash_contact_point
        # An empty value is as good as none: no field is written for it.
        return mapped(texts, lambda text: hash_one(text) if text else None)

    def _link(self, *path: Any) -> dict[str, Any]:
        return {"self": {"href": joined(f'"{self._account.host}/api/v4/', *path, '"')}}


def _at(table: pa.Table, name: str, rows: Ints) -> Column:
    column: Column = table.column(name)
    places: Column = pa.array(rows)
    taken = column.take(places)
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _numbers_at(table: pa.Table, name: str, rows: Ints) -> Column:
    return numbers(_at(table, name, rows))


def _filled_in(field: dict[str, Any], values: Column) -> Column:
    """Return a custom field as JSON with each value in it; null where there is none."""
    before, after = orjson.dumps(field).decode().split('"\\u0001"')
    return either(compute.is_valid(values), joined(before, strings(values), after), None)


def _list_or_null(fields: list[Column]) -> Column:
    """Return the fields that a record has as a JSON list; a record without any has null."""
    parts: list[Column] = []
    has_any: Any = np.zeros(len(fields[0]), dtype=np.bool_)
    for field in fields:
        is_there = field.is_valid().to_numpy(zero_copy_only=False)
        parts += [either(is_there & has_any, ",", ""), compute.fill_null(field, "")]
        has_any |= is_there
    return either(has_any, joined("[", *parts, "]"), NULL)


def _object(record: dict[str, Column], rest: Column) -> Column:
    """Return a JSON object of columns, with more keys at its end."""
    parts: list[Any] = []
    for number, (key, value) in enumerate(record.items()):
        parts += [f'{"," if number else "{"}"{key}":', value]
    return joined(*parts, rest, "}")


def _repeated(text: str, count: int) -> Column:
    return pa.repeat(pa.scalar(text), count)


def _places(ids: Ints, wanted: Ints) -> tuple[Flags, Ints]:
    """Return which ids are known, and the rows of those."""
    if not len(ids):
        return np.zeros(len(wanted), dtype=np.bool_), ids
    by_id = np.argsort(ids, kind="stable")
    place = by_id[np.minimum(np.searchsorted(ids[by_id], wanted), len(ids) - 1)]
    is_known = ids[place] == wanted
    return is_known, place[is_known]


def _sorted(positions: list[Ints]) -> Ints:
    return np.sort(np.concatenate(positions)) if positions else np.zeros(0, dtype=np.int64)
