"""amoCRM's records of a simulated firm: what its API would show at one simulated moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from ingest.demo.arrow import Column, compute
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID, CompanyTables

Ints = NDArray[np.int64]
NEVER = int(np.iinfo(np.int64).max)

# Stands in a record where the vendor repeats the page's own query; replaced when the page is put
# together.
QUERY_MARK = "?__page_query__"

CALL_STATUS = {
    "voicemail": 1,
    "call_back": 2,
    "unavailable": 3,
    "conversation": 4,
    "wrong_number": 5,
    "no_answer": 6,
    "busy": 7,
    "undefined": 8,
}
UTM_FIELDS = (
    (7001, "utm_source"), (7002, "utm_medium"), (7003, "utm_campaign"), (7004, "utm_content"),
    (7005, "utm_term"),
    (7006, "_ym_uid"), (7007, "yclid"),
)  # fmt: skip
CRITERION_FIELD_ID = 7103
CRITERION_TITLES = {
    "region": "Другой регион",
    "budget": "Не подходит бюджет",
    "product": "Не наш продукт",
    "spam": "Спам или ошибка",
}
# A document leaves a message of the service that sent it.
DOCUMENT_SERVICES = {
    "offer": "Документы: коммерческое предложение",
    "contract": "Документы: договор",
    "act": "Документы: акт",
}
_TRACKING_COLUMN = {"_ym_uid": "client_id", "yclid": "click_id"}
LENGTH_FIELD_ID, SEGMENT_FIELD_ID = 7101, 7102
PHONE_FIELD_ID, EMAIL_FIELD_ID, POSITION_FIELD_ID = 6101, 6102, 6103
PRODUCTS_CATALOG_OFFSET = 1

_NO_MOVE = ((0, 0), (0, 0))
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def integers(table: pa.Table, name: str, absent: int = NEVER) -> Ints:
    """Return a column as int64, nulls replaced."""
    filled = compute.fill_null(table.column(name), absent)
    return np.ascontiguousarray(filled.to_numpy(), dtype=np.int64)


def event_ids(seed: int, created_at: Ints) -> Column:
    """Return an id per event: its time in front, sixteen arbitrary signs behind (as in a ULID)."""
    signs = np.frombuffer(_CROCKFORD.encode(), dtype=np.uint8)
    count, moment = len(created_at), created_at * 1000
    text = np.empty((count, 26), dtype=np.uint8)
    for place, shift in enumerate(range(45, -1, -5)):
        text[:, place] = signs[(moment >> shift) & 31]
    rng = np.random.Generator(np.random.PCG64(seed))
    text[:, 10:] = signs[rng.integers(0, 32, (count, 16))]
    ends = np.arange(0, 26 * count + 1, 26, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(text.tobytes())]
    made: Column = pa.Array.from_buffers(pa.string(), count, buffers)
    return made


class Lists(dict[str, list[Any]]):
    """The columns of a table as lists, each made when first asked for."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__()
        self._table = table

    def __missing__(self, name: str) -> list[Any]:
        found: list[Any] = self._table.column(name).to_pylist()
        self[name] = found
        return found

    def has(self, name: str) -> bool:
        """Return whether the table has a column, asked for or not."""
        return name in self._table.schema.names


@dataclass
class Records:
    """One list of the API at one moment.

    Attributes:
        times: Vectors to filter and order by, by name ("id", "created_at", ...); NEVER stands for
            null.
        visible: Positions of the records that exist.
        render: Makes a record from its position and the `with` of the request.
        embedded: Their name in `_embedded`.
    """

    embedded: str
    times: dict[str, Ints]
    visible: Ints
    render: Callable[[int, frozenset[str]], bytes]


class Rendered:
    """Record bytes made once: most pages are asked for more than once, and a first load is long."""

    def __init__(self, make: Callable[[int, frozenset[str]], bytes]) -> None:
        self._make = make
        self._known: dict[frozenset[str], dict[int, bytes]] = {}

    def __call__(self, position: int, extras: frozenset[str]) -> bytes:
        """Return the bytes of one record."""
        known = self._known.setdefault(extras, {})
        found = known.get(position)
        if found is None:
            found = known[position] = self._make(position, extras)
        return found


class History:
    """Changes of deals in order, ready to be asked for the last one before a moment."""

    def __init__(self, deal_position: Ints, changed_at: Ints, deal_count: int) -> None:
        self.order = np.lexsort((np.arange(len(changed_at)), changed_at, deal_position))
        self.deal = deal_position[self.order]
        self.changed_at = changed_at[self.order]
        self.count = deal_count
        self.first = np.searchsorted(self.deal, np.arange(deal_count))

    def last(self, now: int) -> Ints:
        """Return, by deal, the row of its last change at or before `now`, or -1."""
        happened = np.bincount(self.deal[self.changed_at <= now], minlength=self.count)
        sorted_place = self.first + happened - 1
        if not len(self.order):
            return np.full(self.count, -1, dtype=np.int64)
        row = self.order[np.maximum(sorted_place, 0)]
        return np.where(happened > 0, row, -1)


class Account:
    """A firm's tables in the words of amoCRM."""

    def __init__(self, tables: CompanyTables, *, links_echo_query: bool = False) -> None:
        self.tables = tables
        account = tables.account.to_pylist()[0]
        self.account: dict[str, Any] = account
        self.account_id = int(account["account_id"])
        # Hrefs inside records name the account's own host whatever port serves them, so that one
        # firm's payloads are equal from run to run.
        self.host = f"https://{account['subdomain']}.amocrm.ru"
        self._mark = QUERY_MARK if links_echo_query else ""
        self._deals = _Deals(tables)
        self.events = _Events(tables, self._deals, self.account_id, self.host)
        self._columns: dict[str, Lists] = {}

    def _rows(self, name: str) -> Lists:
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = Lists(getattr(self.tables, name))
        return found

    def _self_link(self, path: str) -> dict[str, Any]:
        return {"self": {"href": f"{self.host}/api/v4/{path}{self._mark}"}}

    def account_record(self, extras: frozenset[str], *, filters_on: bool) -> bytes:
        """Return the answer of GET /account."""
        account = self.account
        record: dict[str, Any] = {
            "id": self.account_id,
            "name": account["name"],
            "subdomain": account["subdomain"],
            "created_at": 1_577_836_800,
            "created_by": 0,
            "updated_at": 1_577_836_800,
            "updated_by": 0,
            "current_user_id": account["current_user_id"],
            "country": account["country"],
            "currency": account["currency_code"],
            "currency_symbol": "₽"
            if account["currency_code"] == "RUB"
            else account["currency_code"],
            "customers_mode": "unavailable",
            "is_unsorted_on": True,
            "is_loss_reason_enabled": True,
            "is_helpbot_enabled": False,
            "is_technical_account": False,
            "contact_name_display_order": 1,
        }
        embedded: dict[str, Any] = {}
        if "is_api_filter_enabled" in extras:
            record["is_api_filter_enabled"] = filters_on
        if "version" in extras:
            record["version"] = 14
        if "amojo_id" in extras:
            record["amojo_id"] = "00000000-0000-4000-a000-000000000000"
        if "invoices_settings" in extras:
            record["invoices_settings"] = {
                "lang": "ru",
                "is_enabled": True,
                "invoices_catalog_id": account["invoices_catalog_id"],
            }
        if "datetime_settings" in extras:
            embedded["datetime_settings"] = {
                "date_pattern": "d.m.Y H:i",
                "short_date_pattern": "d.m.Y",
                "short_time_pattern": "H:i",
                "date_formant": "d.m.Y",
                "time_format": "H:i:s",
                "timezone": account["time_zone"],
                "timezone_offset": "+03:00"
                if account["time_zone"] == "Europe/Moscow"
                else "+00:00",
            }
        if "task_types" in extras:
            embedded["task_types"] = [
                {"id": 1, "name": "Связаться", "color": None, "icon_id": None, "code": "FOLLOW_UP"},
                {"id": 2, "name": "Встреча", "color": None, "icon_id": None, "code": "MEETING"},
            ]
        if "users_groups" in extras:
            teams = dict(
                zip(*(self._rows("users")[c] for c in ("team_id", "team_name")), strict=True)
            )
            embedded["users_groups"] = [
                {"id": team or 0, "name": name or "Отдел продаж", "uuid": None}
                for team, name in teams.items()
            ]
        record["_links"] = self._self_link("account")
        if embedded:
            record["_embedded"] = embedded
        return orjson.dumps(record)

    def pipelines(self, now: int) -> list[dict[str, Any]]:
        """Return the pipelines with their stages as they are called at a moment."""
        stages: dict[int, list[dict[str, Any]]] = {}
        for stage in self.tables.stages.to_pylist():
            begins, ends = stage["valid_from_at"], stage["valid_to_at"]
            if (begins is not None and begins > now) or (ends is not None and ends <= now):
                continue
            stages.setdefault(stage["pipeline_id"], []).append(
                {
                    "id": stage["stage_id"],
                    "name": stage["name"],
                    "sort": stage["position"],
                    "is_editable": stage["stage_kind"] == "open",
                    "pipeline_id": stage["pipeline_id"],
                    "color": stage["color"],
                    "type": 1 if stage["stage_kind"] == "unsorted" else 0,
                    "account_id": self.account_id,
                    "_links": self._self_link(
                        f"leads/pipelines/{stage['pipeline_id']}/statuses/{stage['stage_id']}"
                    ),
                }
            )
        return [
            {
                "id": pipeline["pipeline_id"],
                "name": pipeline["name"],
                "sort": pipeline["position"],
                "is_main": pipeline["is_main"],
                "is_unsorted_on": pipeline["is_unsorted_on"],
                "is_archive": False,
                "account_id": self.account_id,
                "_links": self._self_link(f"leads/pipelines/{pipeline['pipeline_id']}"),
                "_embedded": {
                    "statuses": sorted(
                        stages.get(pipeline["pipeline_id"], []),
                        key=lambda stage: int(stage["sort"]),
                    )
                },
            }
            for pipeline in self.tables.pipelines.to_pylist()
        ]

    def catalogs(self) -> list[dict[str, Any]]:
        """Return the lists: goods and invoices."""
        invoices = self.account["invoices_catalog_id"]
        return [
            {
                "id": catalog_id,
                "name": name,
                "created_by": self.account["current_user_id"],
                "updated_by": self.account["current_user_id"],
                "created_at": 1_577_836_800,
                "updated_at": 1_577_836_800,
                "sort": sort,
                "type": kind,
                "can_add_elements": True,
                "can_show_in_cards": kind == "invoices",
                "can_link_multiple": True,
                "can_be_deleted": False,
                "sdk_widget_code": None,
                "account_id": self.account_id,
                "_links": self._self_link(f"catalogs/{catalog_id}"),
            }
            for catalog_id, name, kind, sort in (
                (invoices + PRODUCTS_CATALOG_OFFSET, "Товары", "products", 10),
                (invoices, "Счета/Покупки", "invoices", 20),
            )
        ]

    def users(self) -> Records:
        """Return the list of users."""
        rows = self._rows("users")

        def make(position: int, extras: frozenset[str]) -> bytes:
            team = rows["team_id"][position]
            name = rows["team_name"][position]
            allowed = "A" if rows["is_admin"][position] else "G"
            entity = dict.fromkeys(("view", "edit", "add", "delete", "export"), allowed)
            record: dict[str, Any] = {
                "id": rows["user_id"][position],
                "name": rows["name"][position],
                "email": rows["email"][position],
                "lang": "ru",
                "rights": {
                    "leads": entity,
                    "contacts": entity,
                    "companies": entity,
                    "tasks": {"edit": allowed, "delete": allowed},
                    "mail_access": False,
                    "catalog_access": rows["is_admin"][position],
                    "status_rights": [],
                    "is_admin": rows["is_admin"][position],
                    "is_free": False,
                    "is_active": rows["is_active"][position],
                    "group_id": team,
                    "role_id": None,
                },
                "_links": self._self_link(f"users/{rows['user_id'][position]}"),
                "_embedded": {
                    "roles": [],
                    "groups": [] if team is None else [{"id": team, "name": name, "uuid": None}],
                },
            }
            return orjson.dumps(record)

        ids = integers(self.tables.users, "user_id")
        return Records("users", {"id": ids}, np.arange(len(ids)), Rendered(make))

    def loss_reasons(self) -> Records:
        """Return the list of loss reasons."""
        rows = self._rows("loss_reasons")

        def make(position: int, extras: frozenset[str]) -> bytes:
            return orjson.dumps(self._loss_reason(position, rows))

        ids = integers(self.tables.loss_reasons, "loss_reason_id")
        return Records("loss_reasons", {"id": ids}, np.arange(len(ids)), Rendered(make))

    def _loss_reason(self, position: int, rows: dict[str, list[Any]]) -> dict[str, Any]:
        created = rows["created_at"][position] or 0
        return {
            "id": rows["loss_reason_id"][position],
            "name": rows["name"][position],
            "sort": rows["position"][position] or 0,
            "created_at": created,
            "updated_at": created,
            "_links": self._self_link(f"leads/loss_reasons/{rows['loss_reason_id'][position]}"),
        }

    def survivors(self, now: int) -> dict[int, int | None]:
        """Return the contacts gone at a moment: into whom each was merged, None: deleted."""
        rows = self._rows("contacts")
        into: dict[int, int | None] = {
            contact: survivor
            for contact, survivor, at in zip(
                rows["contact_id"], rows["merged_into_contact_id"], rows["merged_at"], strict=True
            )
            if at is not None and at <= now
        }
        into.update(
            (contact, None)
            for contact, at in zip(rows["contact_id"], rows["deleted_at"], strict=True)
            if at is not None and at <= now
        )

        def last(survivor: int | None) -> int | None:
            while survivor is not None and survivor in into:
                survivor = into[survivor]
            return survivor

        return {contact: last(survivor) for contact, survivor in into.items()}

    def contacts(self, now: int) -> Records:
        """Return the contacts that exist at a moment."""
        rows = self._rows("contacts")
        created = integers(self.tables.contacts, "created_at")
        updated = self._seen_update(created, integers(self.tables.contacts, "updated_at"), now)
        ids = integers(self.tables.contacts, "contact_id")
        gone = self.survivors(now)
        deals_of = cache(lambda: self._deals_of_contacts(now, gone))
        place = {int(contact): position for position, contact in enumerate(ids)}
        absorbed: dict[int, list[int]] = {}
        for contact, survivor in gone.items():
            if survivor is not None:
                absorbed.setdefault(place[survivor], []).append(place[contact])
        for survivor, others in absorbed.items():
            merged_at = max(rows["merged_at"][other] for other in others)
            updated[survivor] = max(updated[survivor], merged_at)

        def make(position: int, extras: frozenset[str]) -> bytes:
            first, last = rows["first_name"][position] or "", rows["last_name"][position] or ""
            company = rows["company_id"][position]
            embedded: dict[str, Any] = {
                "tags": [],
                "companies": []
                if company is None
                else [{"id": company, "_links": self._self_link(f"companies/{company}")}],
            }
            if "leads" in extras:
                embedded["leads"] = [
                    {"id": deal, "_links": self._self_link(f"leads/{deal}")}
                    for deal, born in deals_of().get(rows["contact_id"][position], ())
                    if born <= now
                ]
            record = self._party(
                rows,
                position,
                f"{first} {last}".strip(),
                int(updated[position]),
                absorbed.get(position, ()),
            )
            record["first_name"], record["last_name"] = first, last
            record["_links"] = self._self_link(f"contacts/{rows['contact_id'][position]}")
            record["_embedded"] = embedded
            return orjson.dumps(record)

        return Records(
            "contacts",
            {
                "id": ids,
                "created_at": created,
                "updated_at": updated,
                "responsible_user_id": integers(self.tables.contacts, "responsible_user_id"),
            },
            np.flatnonzero(
                (created <= now)
                & (integers(self.tables.contacts, "deleted_at") > now)
                & (integers(self.tables.contacts, "merged_at") > now)
            ),
            Rendered(make),
        )

    def companies(self, now: int) -> Records:
        """Return the companies that exist at a moment."""
        rows = self._rows("companies")
        created = integers(self.tables.companies, "created_at")
        updated = self._seen_update(created, integers(self.tables.companies, "updated_at"), now)
        ids = integers(self.tables.companies, "company_id")

        def make(position: int, extras: frozenset[str]) -> bytes:
            record = self._party(rows, position, rows["name"][position], int(updated[position]))
            record["id"] = rows["company_id"][position]
            record["_links"] = self._self_link(f"companies/{rows['company_id'][position]}")
            record["_embedded"] = {"tags": []}
            return orjson.dumps(record)

        return Records(
            "companies",
            {
                "id": ids,
                "created_at": created,
                "updated_at": updated,
                "responsible_user_id": integers(self.tables.companies, "responsible_user_id"),
            },
            np.flatnonzero(created <= now),
            Rendered(make),
        )

    def _party(
        self,
        rows: Lists,
        position: int,
        name: str,
        updated_at: int,
        absorbed: Sequence[int] = (),
    ) -> dict[str, Any]:
        fields: list[dict[str, Any]] = []
        for column, field_id, title, enum in (
            ("phone", PHONE_FIELD_ID, "Телефон", (50001, "WORK")),
            ("email", EMAIL_FIELD_ID, "Email", (50011, "WORK")),
        ):
            # A card that absorbed others has the points of all, each once.
            values = [rows[column][one] for one in (position, *absorbed)]
            distinct = list(dict.fromkeys(value for value in values if value))
            if distinct:
                field = _field(field_id, title, column.upper(), "multitext", distinct[0], enum=enum)
                field["values"] += [
                    {"value": value, "enum_id": enum[0], "enum_code": enum[1]}
                    for value in distinct[1:]
                ]
                fields.append(field)
        return {
            "id": rows["contact_id"][position] if rows.has("contact_id") else None,
            "name": name,
            "responsible_user_id": rows["responsible_user_id"][position],
            "group_id": 0,
            "created_by": rows["created_by"][position],
            "updated_by": rows["created_by"][position],
            "created_at": rows["created_at"][position],
            "updated_at": updated_at,
            "closest_task_at": None,
            "is_deleted": False,
            "custom_fields_values": fields or None,
            "account_id": self.account_id,
        }

    @staticmethod
    def _seen_update(created: Ints, updated: Ints, now: int) -> Ints:
        return np.where(updated <= now, updated, created)

    def _deals_of_contacts(
        self, now: int, gone: Mapping[int, int | None]
    ) -> dict[int, list[tuple[int, int]]]:
        rows = self._rows("deals")
        found: dict[int, list[tuple[int, int]]] = {}
        for deal, contact, created, merged in zip(
            *(rows[name] for name in ("deal_id", "contact_id", "created_at", "merged_at")),
            strict=True,
        ):
            holder = gone.get(contact, contact)
            if holder is not None and (merged is None or merged > now):
                found.setdefault(holder, []).append((deal, created))
        return found

    def leads(self, now: int, *, with_unsorted: bool) -> tuple[Records, Records]:
        """Return the deals that exist at a moment, and those in the bin."""
        deals = self._deals
        state = deals.at(now)
        # Python integers: reading one from a numpy vector costs ten times as much.
        seen = {name: column.tolist() for name, column in vars(state).items()}
        rows = self._rows("deals")
        reasons = self._rows("loss_reasons")
        reason_place = {code: place for place, code in enumerate(reasons["loss_reason_id"])}
        invoices = cache(deals.invoices_of)
        invoice_rows = self._rows("invoices")
        catalog = self.account["invoices_catalog_id"]
        account_id, link = self.account_id, self._self_link
        gone_contacts = self.survivors(now)

        def make(position: int, extras: frozenset[str]) -> bytes:
            deal_id = rows["deal_id"][position]
            reason = seen["loss_reason"][position]
            contact, company = rows["contact_id"][position], rows["company_id"][position]
            contact = gone_contacts.get(contact, contact)
            tags = rows["tags"][position]
            embedded: dict[str, Any] = {
                "tags": []
                if not tags
                else [{"id": _tag_id(tag), "name": tag, "color": None} for tag in tags.split("|")],
                "companies": []
                if company is None
                else [{"id": company, "_links": link(f"companies/{company}")}],
            }
            if "contacts" in extras:
                embedded["contacts"] = (
                    []
                    if contact is None
                    else [{"id": contact, "is_main": True, "_links": link(f"contacts/{contact}")}]
                )
            if "loss_reason" in extras:
                place = reason_place.get(reason)
                embedded["loss_reason"] = (
                    [] if place is None else [self._loss_reason(place, reasons)]
                )
            if "catalog_elements" in extras:
                embedded["catalog_elements"] = [
                    {
                        "id": invoice_rows["invoice_id"][row],
                        "metadata": {"quantity": 1, "catalog_id": catalog, "price_id": None},
                    }
                    for row in invoices().get(deal_id, ())
                    if invoice_rows["issued_at"][row] <= now
                ]
            if "source" in extras and rows["source_id"][position] is not None:
                embedded["source"] = {
                    "id": rows["source_id"][position],
                    "name": rows["source_name"][position],
                }
            closed, closest = int(state.closed_at[position]), int(state.closest_task_at[position])
            record: dict[str, Any] = {
                "id": deal_id,
                "name": rows["name"][position],
                "price": seen["amount"][position],
                "responsible_user_id": seen["responsible"][position],
                "group_id": 0,
                "status_id": seen["stage"][position],
                "pipeline_id": seen["pipeline"][position],
                "loss_reason_id": None if reason < 0 else reason,
                "created_by": rows["created_by"][position],
                "updated_by": seen["updated_by"][position],
                "created_at": rows["created_at"][position],
                "updated_at": seen["updated_at"][position],
                "closed_at": None if closed == NEVER else closed,
                "closest_task_at": None if closest == NEVER else closest,
                "is_deleted": False,
                "custom_fields_values": self._lead_fields(
                    rows, position, is_lost=seen["stage"][position] == LOST_STAGE_ID
                ),
                "score": None,
                "account_id": account_id,
                "labor_cost": None,
            }
            if "source_id" in extras:
                record["source_id"] = rows["source_id"][position]
            if "is_price_modified_by_robot" in extras:
                record["is_price_modified_by_robot"] = False
            record["_links"] = link(f"leads/{deal_id}")
            record["_embedded"] = embedded
            return orjson.dumps(record)

        def make_deleted(position: int, extras: frozenset[str]) -> bytes:
            deal_id = rows["deal_id"][position]
            return orjson.dumps(
                {
                    "id": deal_id,
                    "updated_at": int(deals.deleted_at[position]),
                    "updated_by": rows["responsible_user_id"][position],
                    "is_deleted": True,
                    "_links": link(f"leads/{deal_id}"),
                }
            )

        exists = (deals.created_at <= now) & (deals.deleted_at > now) & (deals.merged_at > now)
        if not with_unsorted:
            exists &= ~deals.is_waiting(now)
        in_bin = (deals.deleted_at <= now) & ~deals.is_purged
        times = {
            "id": deals.ids,
            "created_at": deals.created_at,
            "updated_at": state.updated_at,
            "closed_at": state.closed_at,
            "closest_task_at": state.closest_task_at,
            "price": state.amount,
            "responsible_user_id": state.responsible,
            "pipeline_id": state.pipeline,
            "status_id": state.stage,
            "created_by": deals.created_by,
        }
        live = Records("leads", times, np.flatnonzero(exists), Rendered(make))
        gone = Records(
            "leads",
            {**times, "updated_at": deals.deleted_at},
            np.flatnonzero(in_bin),
            Rendered(make_deleted),
        )
        return live, gone

    def _lead_fields(
        self, rows: dict[str, list[Any]], position: int, *, is_lost: bool
    ) -> list[dict[str, Any]] | None:
        fields = []
        for field_id, name in UTM_FIELDS:
            value = rows[_TRACKING_COLUMN.get(name, name)][position]
            if value is not None:
                fields.append(_field(field_id, name, name.upper(), "tracking_data", value))
        length = rows["length_metres"][position]
        if length is not None:
            # Numeric fields come as text.
            fields.append(_field(LENGTH_FIELD_ID, "Длина гарнитура, м", None, "numeric", length))
        segment = rows["segment"][position]
        if segment is not None:
            fields.append(
                _field(
                    SEGMENT_FIELD_ID,
                    "Тип клиента",
                    None,
                    "select",
                    segment,
                    enum=(_tag_id(segment), None),
                )
            )
        criterion = rows["failing_criterion"][position]
        if is_lost and criterion is not None:
            title = CRITERION_TITLES[criterion]
            fields.append(
                _field(
                    CRITERION_FIELD_ID,
                    "Причина нецелевого",
                    None,
                    "select",
                    title,
                    enum=(_tag_id(title), None),
                )
            )
        return fields or None

    def unsorted(self, now: int) -> Records:
        """Return the requests nobody has taken yet."""
        rows = self._rows("unsorted")
        table = self.tables.unsorted
        created, resolved = integers(table, "created_at"), integers(table, "resolved_at")

        def make(position: int, extras: frozenset[str]) -> bytes:
            category = rows["category"][position]
            phone = rows["phone"][position]
            created_at = rows["created_at"][position]
            uid = rows["uid"][position]
            if category == "sip":
                digits = "".join(sign for sign in phone or "" if sign.isdigit())
                metadata: dict[str, Any] = {
                    "from": digits or None,
                    # The vendor's own example has a number here.
                    "phone": int(digits) if digits else None,
                    "called_at": created_at,
                    "duration": "0",
                    "link": None,
                    "service_code": "demo_telephony",
                    "is_call_event_needed": True,
                }
            else:
                metadata = {
                    "form_id": "281",
                    "form_name": f"Заявка {phone}"
                    if phone and position % 5 == 0
                    else "Заявка с сайта",
                    "form_page": rows["form_page"][position],
                    "ip": "192.0.2.1",
                    "form_sent_at": str(created_at) if position % 2 else created_at,
                    "referer": rows["referer"][position],
                    "visitor_uid": uid[:36],
                }
            deal, contact = rows["deal_id"][position], rows["contact_id"][position]
            record = {
                "uid": uid,
                "source_uid": None,
                "source_name": rows["source_name"][position],
                "category": category,
                "pipeline_id": rows["pipeline_id"][position],
                "created_at": created_at,
                "metadata": metadata,
                "account_id": self.account_id,
                "_links": self._self_link(f"leads/unsorted/{uid}"),
                "_embedded": {
                    "contacts": []
                    if contact is None
                    else [{"id": contact, "_links": self._self_link(f"contacts/{contact}")}],
                    "leads": [{"id": deal, "_links": self._self_link(f"leads/{deal}")}],
                    "companies": [],
                },
            }
            return orjson.dumps(record)

        return Records(
            "unsorted",
            {
                "id": np.arange(len(created)),
                "created_at": created,
                "updated_at": created,
                "pipeline_id": integers(table, "pipeline_id"),
            },
            np.flatnonzero((created <= now) & (resolved > now)),
            Rendered(make),
        )

    def unsorted_text(self, name: str) -> NDArray[np.object_]:
        """Return a text column of the unsorted requests, to filter by."""
        return np.array(self._rows("unsorted")[name], dtype=object)

    def task_deadlines(self, now: int) -> tuple[Ints, Ints, Ints]:
        """Return, by task, its deadline at a moment, and when (-1: never) and by whom it moved."""
        return self._deals.deadlines(now)

    def tasks(self, now: int) -> Records:
        """Return the tasks that exist at a moment."""
        rows = self._rows("tasks")
        table = self.tables.tasks
        created, completed = integers(table, "created_at"), integers(table, "completed_at")
        is_done = completed <= now
        due, pushed_at, pushed_by = self.task_deadlines(now)
        updated = np.where(is_done, completed, np.maximum(created, pushed_at))

        def make(position: int, extras: frozenset[str]) -> bytes:
            done = bool(is_done[position])
            result = rows["result_text"][position]
            return orjson.dumps(
                {
                    "id": rows["task_id"][position],
                    "created_by": rows["created_by"][position],
                    "updated_by": rows["user_id"][position]
                    if done
                    else int(pushed_by[position])
                    if pushed_at[position] >= 0
                    else rows["created_by"][position],
                    "created_at": rows["created_at"][position],
                    "updated_at": int(updated[position]),
                    "responsible_user_id": rows["user_id"][position],
                    "group_id": 0,
                    "entity_id": rows["deal_id"][position],
                    "entity_type": "leads",
                    "duration": 0,
                    "is_completed": done,
                    "task_type_id": 2 if rows["task_type"][position] == "meeting" else 1,
                    "text": rows["text"][position],
                    # An empty result is a list, a filled one an object.
                    "result": {"text": result} if done and result else [],
                    "complete_till": int(due[position]),
                    "account_id": self.account_id,
                    "_links": self._self_link(f"tasks/{rows['task_id'][position]}"),
                }
            )

        return Records(
            "tasks",
            {
                "id": integers(table, "task_id"),
                "created_at": created,
                "updated_at": updated,
                "complete_till": due,
                "responsible_user_id": integers(table, "user_id"),
                "is_completed": is_done.astype(np.int64),
                "entity_id": integers(table, "deal_id"),
            },
            np.flatnonzero(created <= now),
            Rendered(make),
        )

    def notes(self, entity: str, now: int) -> Records:
        """Return the notes of leads, contacts or companies: words, calls and documents in one."""
        notes, calls, sent = (self._rows(name) for name in ("notes", "calls", "documents"))
        entity_type = {"leads": "lead", "contacts": "contact", "companies": "company"}[entity]
        written = np.flatnonzero(np.array(notes["entity_type"], dtype=object) == entity_type)
        has_contact = integers(self.tables.calls, "contact_id", -1) >= 0
        if entity == "contacts":
            spoken = np.flatnonzero(has_contact)
        elif entity == "leads":
            spoken = np.flatnonzero(
                ~has_contact & (integers(self.tables.calls, "deal_id", -1) >= 0)
            )
        else:
            spoken = np.zeros(0, dtype=np.int64)
        documents = np.arange(self.tables.documents.num_rows if entity == "leads" else 0)
        parts: tuple[tuple[pa.Table, Ints, str, str, str], ...] = (
            (self.tables.notes, written, "note_id", "created_at", "entity_id"),
            (
                self.tables.calls,
                spoken,
                "call_id",
                "called_at",
                "contact_id" if entity == "contacts" else "deal_id",
            ),
            (self.tables.documents, documents, "document_id", "sent_at", "deal_id"),
        )
        note_id = np.concatenate([integers(table, name)[at] for table, at, name, _, _ in parts])
        created = np.concatenate([integers(table, name)[at] for table, at, _, name, _ in parts])
        entity_ids = np.concatenate([integers(table, name)[at] for table, at, _, _, name in parts])
        if entity == "contacts":
            # What hung on a contact that was merged hangs on the survivor.
            survivors = self.survivors(now)
            entity_ids = np.array(
                [survivors.get(one) or one for one in entity_ids.tolist()], dtype=np.int64
            )
        places = [(kind, place) for kind, part in enumerate(parts) for place in part[1].tolist()]

        def make(position: int, extras: frozenset[str]) -> bytes:
            part, place = places[position]
            user = (
                notes["created_by"],
                calls["user_id"],
                sent["sent_by"],
            )[part][place]
            if part == 2:
                kind = "extended_service_message"
                service = DOCUMENT_SERVICES[sent["kind"][place]]
                params: dict[str, Any] = {"service": service, "text": "Отправлено клиенту"}
            elif part == 1:
                kind = "call_in" if calls["direction"][place] == "in" else "call_out"
                params = {
                    "uniq": f"{calls['call_id'][place]:08x}",
                    "duration": calls["duration_seconds"][place],
                    "source": "demo_telephony",
                    "link": f"https://records.example/{calls['call_id'][place]}.mp3",
                    "phone": calls["phone"][place],
                    "call_responsible": calls["responsible_text"][place],
                }
                outcome = calls["outcome"][place]
                if outcome is not None:
                    params["call_status"] = CALL_STATUS[outcome]
                    params["call_result"] = ""
            else:
                kind = notes["note_type"][place]
                params = {"text": notes["text"][place]}
                if kind == "service_message":
                    params["service"] = "Дубрава"
            made = int(created[position])
            number = int(note_id[position])
            return orjson.dumps(
                {
                    "id": number,
                    "entity_id": int(entity_ids[position]),
                    "created_by": user,
                    "updated_by": user,
                    "created_at": made,
                    "updated_at": made,
                    "responsible_user_id": user,
                    "group_id": 0,
                    "note_type": kind,
                    "params": params,
                    "account_id": self.account_id,
                    "_links": self._self_link(
                        f"{entity}/{int(entity_ids[position])}/notes/{number}"
                    ),
                }
            )

        return Records(
            "notes",
            {"id": note_id, "created_at": created, "updated_at": created, "entity_id": entity_ids},
            np.flatnonzero(created <= now),
            Rendered(make),
        )

    def note_types(self, entity: str) -> NDArray[np.object_]:
        """Return the note type of every note of a list, in its order."""
        notes, calls = self._rows("notes"), self._rows("calls")
        entity_type = {"leads": "lead", "contacts": "contact", "companies": "company"}[entity]
        written = [
            kind
            for kind, of in zip(notes["note_type"], notes["entity_type"], strict=True)
            if of == entity_type
        ]
        spoken = [
            "call_in" if direction == "in" else "call_out"
            for direction, contact, deal in zip(
                calls["direction"], calls["contact_id"], calls["deal_id"], strict=True
            )
            if (entity == "contacts" and contact is not None)
            or (entity == "leads" and contact is None and deal is not None)
        ]
        documents = self.tables.documents.num_rows if entity == "leads" else 0
        return np.array(
            [*written, *spoken, *["extended_service_message"] * documents], dtype=object
        )

    def invoices(self, now: int) -> Records:
        """Return the elements of the invoices list."""
        rows = self._rows("invoices")
        table = self.tables.invoices
        issued, deleted = integers(table, "issued_at"), integers(table, "deleted_at")
        ids = integers(table, "invoice_id")
        place = {int(number): position for position, number in enumerate(ids)}
        paid = np.zeros(len(ids), dtype=np.int64)
        updated = issued.copy()
        for invoice, at, part, is_refund in zip(
            *(self._rows("payments")[c] for c in ("invoice_id", "paid_at", "amount", "is_refund")),
            strict=True,
        ):
            if at <= now:
                paid[place[invoice]] += -part if is_refund else part
                updated[place[invoice]] = max(updated[place[invoice]], at)

        def make(position: int, extras: frozenset[str]) -> bytes:
            amount, received = rows["amount"][position], int(paid[position])
            if received >= amount:
                status = ("Оплачен", 2, "paid")
            elif received > 0:
                status = ("Частично оплачен", 3, "partially_paid")
            else:
                status = ("Создан", 1, "created")
            contact = rows["contact_id"][position]
            fields: list[dict[str, Any]] = [
                _field(1, "Статус", "BILL_STATUS", "select", status[0], enum=status[1:]),
                _field(
                    2,
                    "Плательщик",
                    "PAYER",
                    "payer",
                    {
                        "name": rows["payer_name"][position],
                        "entity_id": contact,
                        "entity_type": "contacts",
                    },
                ),
                _field(
                    3,
                    "Позиции",
                    "ITEMS",
                    "items",
                    {
                        "sku": "",
                        "product_id": None,
                        "description": rows["description"][position],
                        "unit_price": float(amount),
                        "unit_type": "шт.",
                        "quantity": 1.0,
                        "discount": {"type": "amount", "value": 0.0},
                        "vat_rate_id": 0,
                        "vat_rate_value": 0,
                        "external_uid": "",
                        "metadata": [],
                        "total_sum": float(amount),
                    },
                ),
                _field(4, "Итоговая сумма", "BILL_PRICE", "monetary", str(amount)),
                _field(
                    6, "Тип НДС", "BILL_VAT_TYPE", "select", "Не облагается", enum=(9, "vat_exempt")
                ),
            ]
            # The date is set when an invoice is paid up; a first part alone leaves it empty.
            if status[2] == "paid":
                fields.append(
                    _field(
                        5, "Дата оплаты", "BILL_PAYMENT_DATE", "date_time", int(updated[position])
                    )
                )
            catalog = self.account["invoices_catalog_id"]
            record: dict[str, Any] = {
                "id": rows["invoice_id"][position],
                "name": rows["number"][position],
                "created_by": rows["created_by"][position],
                "updated_by": rows["created_by"][position],
                "created_at": rows["issued_at"][position],
                "updated_at": int(updated[position]),
                "is_deleted": None if "nulls" in extras else False,
                "custom_fields_values": fields,
                "catalog_id": catalog,
                "account_id": self.account_id,
                "currency_id": None,
            }
            if "invoice_link" in extras:
                record["invoice_link"] = f"https://bills.example/{rows['invoice_id'][position]}"
            record["_links"] = self._self_link(
                f"catalogs/{catalog}/elements/{rows['invoice_id'][position]}"
            )
            return orjson.dumps(record)

        return Records(
            "elements",
            {"id": ids, "created_at": issued, "updated_at": updated},
            np.flatnonzero((issued <= now) & (deleted > now)),
            Rendered(make),
        )


def _tag_id(name: str) -> int:
    return 100_000 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=3).digest(), "big")


def _field(
    field_id: int,
    name: str,
    code: str | None,
    kind: str,
    value: Any,
    enum: tuple[int, str | None] | None = None,
) -> dict[str, Any]:
    item: dict[str, Any] = {"value": value}
    if enum is not None:
        item["enum_id"] = enum[0]
        if enum[1] is not None:
            item["enum_code"] = enum[1]
    return {
        "field_id": field_id,
        "field_name": name,
        "field_code": code,
        "field_type": kind,
        "values": [item],
    }


@dataclass(frozen=True)
class DealState:
    """Where every deal stands at one moment, by its position in the deals table."""

    pipeline: Ints
    stage: Ints
    amount: Ints
    responsible: Ints
    loss_reason: Ints
    closed_at: Ints
    closest_task_at: Ints
    updated_at: Ints
    updated_by: Ints


class _Deals:
    """Deals and their changes as vectors."""

    def __init__(self, tables: CompanyTables) -> None:
        deals = tables.deals
        self.ids = integers(deals, "deal_id")
        self.count = len(self.ids)
        self._by_id = np.argsort(self.ids, kind="stable")
        self._sorted_ids = self.ids[self._by_id]
        self.created_at = integers(deals, "created_at")
        self.created_by = integers(deals, "created_by", 0)
        self.deleted_at = integers(deals, "deleted_at")
        self.merged_at = integers(deals, "merged_at")
        self.is_purged = np.asarray(deals.column("is_purged").to_numpy(), dtype=np.bool_)
        self._pipeline = integers(deals, "pipeline_id")
        self._stage = integers(deals, "stage_id")
        self._amount = integers(deals, "amount", 0)
        self._responsible = integers(deals, "responsible_user_id", 0)

        stage, amount = tables.stage_changes, tables.amount_changes
        owner, tasks = tables.responsible_changes, tables.tasks
        self._stage_history = self._history(stage, "changed_at")
        self._to_pipeline = integers(stage, "to_pipeline_id")
        self._to_stage = integers(stage, "to_stage_id")
        self._reason = integers(stage, "loss_reason_id", -1)
        self._stage_at = integers(stage, "changed_at")
        self._amount_history = self._history(amount, "changed_at")
        self._to_amount = integers(amount, "to_amount")
        self._owner_history = self._history(owner, "changed_at")
        self._to_owner = integers(owner, "to_user_id")

        self._task_deal = self.position(integers(tasks, "deal_id"))
        self._task_created = integers(tasks, "created_at")
        self._task_completed = integers(tasks, "completed_at")
        self._task_due = integers(tasks, "due_at")
        pushes = tables.task_deadline_changes
        task_ids = integers(tasks, "task_id")
        by_id = np.argsort(task_ids, kind="stable")
        self._push_task = by_id[
            np.searchsorted(task_ids[by_id], integers(pushes, "task_id"))
        ].astype(np.int64)
        self._push_at = integers(pushes, "changed_at")
        self._push_due = integers(pushes, "to_due_at")
        self._push_by = integers(pushes, "changed_by", 0)
        # Everything that touches a deal and so moves its updated_at, with who did it.
        done = self._task_completed != NEVER
        invoices = tables.invoices
        absorbed = np.flatnonzero(self.merged_at != NEVER)
        self._touch_by = np.concatenate(
            [
                integers(stage, "changed_by", 0),
                integers(amount, "changed_by", 0),
                integers(owner, "changed_by", 0),
                integers(tasks, "created_by", 0),
                integers(tasks, "user_id", 0)[done],
                integers(invoices, "created_by", 0),
                self._responsible[absorbed],
            ]
        )
        touch_at = np.concatenate(
            [
                self._stage_at,
                integers(amount, "changed_at"),
                integers(owner, "changed_at"),
                self._task_created,
                self._task_completed[done],
                integers(invoices, "issued_at"),
                self.merged_at[absorbed],
            ]
        )
        touched = np.concatenate(
            [
                self.position(integers(stage, "deal_id")),
                self.position(integers(amount, "deal_id")),
                self.position(integers(owner, "deal_id")),
                self._task_deal,
                self._task_deal[done],
                self.position(integers(invoices, "deal_id")),
                self.position(integers(deals, "merged_into_deal_id")[absorbed]),
            ]
        )
        self._touch_at = touch_at
        self._touch_history = History(touched, touch_at, self.count)

        waiting = tables.unsorted
        self._waits_until = np.full(self.count, -1, dtype=np.int64)
        self._waits_until[self.position(integers(waiting, "deal_id"))] = integers(
            waiting, "resolved_at"
        )
        self._invoice_deals = invoices.column("deal_id").to_pylist()

    def _history(self, table: pa.Table, column: str) -> History:
        return History(
            self.position(integers(table, "deal_id")), integers(table, column), self.count
        )

    def deadlines(self, now: int) -> tuple[Ints, Ints, Ints]:
        """Return, by task, its deadline at a moment, and when and by whom it was moved last."""
        due = self._task_due.copy()
        moved_at = np.full(len(due), -1, dtype=np.int64)
        moved_by = np.zeros(len(due), dtype=np.int64)
        known = np.flatnonzero(self._push_at <= now)
        # Rows stand in time order: the last one written stays.
        known = known[np.argsort(self._push_at[known], kind="stable")]
        task = self._push_task[known]
        due[task] = self._push_due[known]
        moved_at[task] = self._push_at[known]
        moved_by[task] = self._push_by[known]
        return due, moved_at, moved_by

    def position(self, deal_ids: Ints) -> Ints:
        """Return the positions of deal ids in the deals table."""
        if not len(deal_ids):
            return np.zeros(0, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._sorted_ids, deal_ids), max(0, self.count - 1))
        if not self.count or (self._sorted_ids[place] != deal_ids).any():
            raise ValueError("a table names a deal that the deals table does not have")
        return self._by_id[place]

    def is_waiting(self, now: int) -> NDArray[np.bool_]:
        """Return whether each deal still lies among the unsorted requests."""
        found: NDArray[np.bool_] = self._waits_until > now
        return found

    def invoices_of(self) -> dict[int, list[int]]:
        """Return the rows of the invoices of each deal."""
        found: dict[int, list[int]] = {}
        for row, deal in enumerate(self._invoice_deals):
            if deal is not None:
                found.setdefault(deal, []).append(row)
        return found

    def at(self, now: int) -> DealState:
        """Return where every deal stands at a moment."""

        def latest(history: History, values: Ints, first: Ints) -> Ints:
            row = history.last(now)
            if not len(values):
                return first
            return np.where(row >= 0, values[np.maximum(row, 0)], first)

        nothing = np.full(self.count, NEVER, dtype=np.int64)
        stage = latest(self._stage_history, self._to_stage, self._stage)
        moved_at = latest(self._stage_history, self._stage_at, self.created_at)
        reason = latest(self._stage_history, self._reason, np.full(self.count, -1, dtype=np.int64))
        is_over = (stage == WON_STAGE_ID) | (stage == LOST_STAGE_ID)
        open_task = (self._task_created <= now) & (self._task_completed > now)
        closest = nothing.copy()
        due, _, _ = self.deadlines(now)
        np.minimum.at(closest, self._task_deal[open_task], due[open_task])
        return DealState(
            pipeline=latest(self._stage_history, self._to_pipeline, self._pipeline),
            stage=stage,
            amount=latest(self._amount_history, self._to_amount, self._amount),
            responsible=latest(self._owner_history, self._to_owner, self._responsible),
            loss_reason=np.where(stage == LOST_STAGE_ID, reason, -1),
            closed_at=np.where(is_over, moved_at, NEVER),
            closest_task_at=closest,
            updated_at=latest(self._touch_history, self._touch_at, self.created_at),
            updated_by=latest(self._touch_history, self._touch_by, self.created_by),
        )


class _Events:
    """The event feed: every change of the tables as an event, rendered when first asked for."""

    TYPES = (
        "lead_added", "lead_status_changed", "sale_field_changed",
        "entity_responsible_changed", "lead_deleted",
        "contact_added", "company_added", "incoming_call", "outgoing_call", "task_added",
        "task_completed",
        "incoming_chat_message", "outgoing_chat_message", "common_note_added", "entity_merged",
        "contact_deleted", "task_deadline_changed",
    )  # fmt: skip
    ENTITIES = ("lead", "contact", "company", "task")
    CHATS = (11, 12)
    DEADLINE = 16
    CALLS = (7, 8)

    def __init__(self, tables: CompanyTables, deals: _Deals, account_id: int, host: str) -> None:
        self._account_id, self._host = account_id, host
        parts: list[tuple[int, int | Ints, Ints, Ints, Ints, Ints, Ints]] = []
        stage, amount, owner = (
            tables.stage_changes,
            tables.amount_changes,
            tables.responsible_changes,
        )
        self._stage, self._amount, self._owner = Lists(stage), Lists(amount), Lists(owner)
        self._due = Lists(tables.task_deadline_changes)
        self._notes, self._calls = Lists(tables.notes), Lists(tables.calls)
        self._messages = Lists(tables.messages)

        def add(
            kind: str,
            entity: str | Ints,
            table: pa.Table,
            id_column: str,
            by: str | None,
            at: str,
            keep: Any = None,
            shown: str | None = None,
        ) -> None:
            count = table.num_rows
            rows = np.arange(count) if keep is None else np.flatnonzero(keep)
            entity_code = self.ENTITIES.index(entity) if isinstance(entity, str) else entity[rows]
            author = np.zeros(count, dtype=np.int64) if by is None else integers(table, by, 0)
            created = integers(table, at)
            published = created if shown is None else np.maximum(created, integers(table, shown))
            parts.append(
                (
                    self.TYPES.index(kind),
                    entity_code,
                    integers(table, id_column, 0)[rows],
                    author[rows],
                    created[rows],
                    published[rows],
                    rows,
                )
            )

        add("lead_added", "lead", tables.deals, "deal_id", "created_by", "created_at")
        add(
            "lead_status_changed",
            "lead",
            stage,
            "deal_id",
            "changed_by",
            "changed_at",
            shown="published_at",
        )
        add("sale_field_changed", "lead", amount, "deal_id", "changed_by", "changed_at")
        add("entity_responsible_changed", "lead", owner, "deal_id", "changed_by", "changed_at")
        deleted = tables.deals.column("deleted_at").is_valid().to_numpy()
        add(
            "lead_deleted",
            "lead",
            tables.deals,
            "deal_id",
            "responsible_user_id",
            "deleted_at",
            deleted,
        )
        # The event of a merge names the card that is gone, and not the one that is left.
        for entity, table, id_column in (
            ("lead", tables.deals, "deal_id"),
            ("contact", tables.contacts, "contact_id"),
        ):
            merged = table.column("merged_at").is_valid().to_numpy()
            add(
                "entity_merged",
                entity,
                table,
                id_column,
                "responsible_user_id",
                "merged_at",
                merged,
            )
        gone = tables.contacts.column("deleted_at").is_valid().to_numpy()
        add(
            "contact_deleted",
            "contact",
            tables.contacts,
            "contact_id",
            "responsible_user_id",
            "deleted_at",
            gone,
        )
        add("contact_added", "contact", tables.contacts, "contact_id", "created_by", "created_at")
        add("company_added", "company", tables.companies, "company_id", "created_by", "created_at")
        incoming = compute.equal(tables.calls.column("direction"), "in").to_numpy()
        on_contact = tables.calls.column("contact_id").is_valid().to_numpy()
        for kind, direction in (("incoming_call", incoming), ("outgoing_call", ~incoming)):
            add(
                kind,
                "contact",
                tables.calls,
                "contact_id",
                "user_id",
                "called_at",
                direction & on_contact,
            )
            add(
                kind,
                "lead",
                tables.calls,
                "deal_id",
                "user_id",
                "called_at",
                direction & ~on_contact,
            )
        add(
            "task_deadline_changed",
            "task",
            tables.task_deadline_changes,
            "task_id",
            "changed_by",
            "changed_at",
        )
        add("task_added", "task", tables.tasks, "task_id", "created_by", "created_at")
        done = tables.tasks.column("completed_at").is_valid().to_numpy()
        add("task_completed", "task", tables.tasks, "task_id", "user_id", "completed_at", done)
        asked = compute.equal(tables.messages.column("direction"), "in").to_numpy()
        add(
            "incoming_chat_message",
            "lead",
            tables.messages,
            "deal_id",
            "author_id",
            "sent_at",
            asked,
        )
        add(
            "outgoing_chat_message",
            "lead",
            tables.messages,
            "deal_id",
            "author_id",
            "sent_at",
            ~asked,
        )
        note_of = np.array(
            [self.ENTITIES.index(kind) for kind in tables.notes.column("entity_type").to_pylist()],
            dtype=np.int64,
        )
        common = compute.equal(tables.notes.column("note_type"), "common").to_numpy()
        add(
            "common_note_added",
            note_of,
            tables.notes,
            "entity_id",
            "created_by",
            "created_at",
            common,
        )

        kinds = np.concatenate([np.full(len(part[6]), part[0]) for part in parts])
        entities = np.concatenate(
            [
                np.full(len(part[6]), part[1]) if isinstance(part[1], int) else part[1]
                for part in parts
            ]
        )
        entity_id, author, created, published, rows = (
            np.concatenate([part[place] for part in parts]) for place in range(2, 7)
        )
        order = np.lexsort((rows, kinds, created))
        self.kind = kinds[order].astype(np.int64)
        self.entity = entities[order].astype(np.int64)
        self.entity_id, self.created_by = entity_id[order], author[order]
        self.created_at, self.published_at = created[order], published[order]
        self.row = rows[order]
        self._deleted_at = deals.deleted_at
        self.id_texts = event_ids(account_id, self.created_at)
        self.render = Rendered(self._make)

    @cached_property
    def ids(self) -> list[str]:
        """Return the ids as Python's own texts."""
        found: list[str] = self.id_texts.to_pylist()
        return found

    @cached_property
    def _lists(self) -> tuple[list[int], ...]:
        # Python integers are several times quicker to print than numpy's.
        return tuple(
            column.tolist()
            for column in (
                self.kind,
                self.entity,
                self.entity_id,
                self.created_by,
                self.created_at,
                self.row,
            )
        )

    def records(self, now: int) -> Records:
        """Return the events that the feed shows at a moment."""
        times = {
            "id": np.arange(len(self.created_at)),
            "created_at": self.created_at,
            "entity_id": self.entity_id,
            "created_by": self.created_by,
            "type": self.kind,
            "entity": self.entity,
        }
        visible = np.flatnonzero((self.created_at <= now) & (self.published_at <= now))
        return Records("events", times, visible, self.render)

    def stages(self, position: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return (pipeline, stage) before and after a status change; None for other events."""
        if self.TYPES[self._lists[0][position]] != "lead_status_changed":
            return None
        row, stage = self._lists[5][position], self._stage
        return (
            (stage["from_pipeline_id"][row], stage["from_stage_id"][row]),
            (stage["to_pipeline_id"][row], stage["to_stage_id"][row]),
        )

    def _make(self, position: int, extras: frozenset[str]) -> bytes:
        kind, entity, entity_id, author, created, row = (column[position] for column in self._lists)
        name = self.TYPES[kind]
        before = after = "[]"
        extra = ""
        if kind == 1:
            (from_pipeline, from_stage), (to_pipeline, to_stage) = self.stages(position) or _NO_MOVE
            after = f'[{{"lead_status":{{"id":{to_stage},"pipeline_id":{to_pipeline}}}}}]'
            before = f'[{{"lead_status":{{"id":{from_stage},"pipeline_id":{from_pipeline}}}}}]'
        elif kind == 2:
            after = f'[{{"sale_field_value":{{"sale":{self._amount["to_amount"][row]}}}}}]'
            before = f'[{{"sale_field_value":{{"sale":{self._amount["from_amount"][row]}}}}}]'
        elif kind == 3:
            after = f'[{{"responsible_user":{{"id":{self._owner["to_user_id"][row]}}}}}]'
            before = f'[{{"responsible_user":{{"id":{self._owner["from_user_id"][row]}}}}}]'
        elif kind in self.CALLS:
            after = f'[{{"note":{{"id":{self._calls["call_id"][row]}}}}}]'
        elif kind in self.CHATS:
            after = f'[{{"message":{{"id":"{self._messages["message_id"][row]}"}}}}]'
            # A chat belongs to a contact, is shown at the deal, and is found only by the contact.
            contact = self._messages["contact_id"][row]
            extra = f'"linked_talk_contact_id":{"null" if contact is None else contact},'
        elif kind == self.DEADLINE:
            after = f'[{{"task_deadline":{{"timestamp":{self._due["to_due_at"][row]}}}}}]'
            before = f'[{{"task_deadline":{{"timestamp":{self._due["from_due_at"][row]}}}}}]'
        elif kind == 13:
            after = f'[{{"note":{{"id":{self._notes["note_id"][row]}}}}}]'
        entity_name = self.ENTITIES[entity]
        plural = ("leads", "contacts", "companies", "tasks")[entity]
        number = self.ids[position]
        return (
            f'{{"id":"{number}","type":"{name}","entity_id":{entity_id},"entity_type":"{entity_name}",'
            f'"created_by":{author},"created_at":{created},"value_after":{after},"value_before":{before},'
            f'{extra}"account_id":{self._account_id},'
            f'"_links":{{"self":{{"href":"{self._host}/api/v4/events/{number}"}}}},'
            f'"_embedded":{{"entity":{{"id":{entity_id},'
            f'"_links":{{"self":{{"href":"{self._host}/api/v4/{plural}/{entity_id}"}}}}}}}}}}'
        ).encode()
