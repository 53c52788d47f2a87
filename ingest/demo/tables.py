"""The tables of a simulated firm, in nobody's protocol: what happened, to whom and when.

The generator fills them, a test writes eight deals by hand, the fake servers render them. All times
are Unix seconds (UTC) in int64, money is whole rubles unless the name says `micros`, ids are
integers because amoCRM's are. A row says what happened; what a reader sees *now* (the stage of a
deal, the status of an invoice) is worked out by the server for the simulated moment, so one table
set serves every day of its history.

Example:
    >>> tables = CompanyTables.build(
    ...     now="2026-01-21T00:00:00+03:00",
    ...     deals=[{"deal_id": 1001, "created_at": "2026-01-01T10:00:00+03:00", "amount": 100}],
    ...     stage_changes=[
    ...         {"deal_id": 1001, "changed_at": "2026-01-02T10:00:00+03:00", "to_stage_id": 2},
    ...         {"deal_id": 1001, "changed_at": "2026-01-05T10:00:00+03:00", "to_stage_id": 142},
    ...     ],
    ... )
    >>> tables.stage_changes.column("from_stage_id").to_pylist()
    [1, 2]
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather

WON_STAGE_ID = 142
LOST_STAGE_ID = 143

Row = Mapping[str, Any]
Instant = int | str | dt.datetime

_I, _S, _B, _D = pa.int64(), pa.string(), pa.bool_(), pa.date32()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SCHEMAS: dict[str, pa.Schema] = {
    # The firm's CRM account; one row.
    "account": _schema(
        account_id=_I,
        name=_S,
        subdomain=_S,
        country=_S,
        time_zone=_S,
        currency_code=_S,
        current_user_id=_I,
        invoices_catalog_id=_I,
    ),
    "pipelines": _schema(pipeline_id=_I, name=_S, position=_I, is_main=_B, is_unsorted_on=_B),
    # stage_kind: unsorted, open, won, lost. A stage is shown with the row that is valid at the
    # moment: a renamed stage has two rows, a removed one a single row that has ended.
    "stages": _schema(
        pipeline_id=_I,
        stage_id=_I,
        name=_S,
        position=_I,
        stage_kind=_S,
        color=_S,
        valid_from_at=_I,
        valid_to_at=_I,
    ),
    "users": _schema(
        user_id=_I,
        name=_S,
        email=_S,
        team_id=_I,
        team_name=_S,
        is_admin=_B,
        is_active=_B,
    ),
    # person_id is the simulation's own truth: two contacts of one person share it. From merged_at
    # on a merged contact is gone; the one that absorbed it has the phones and mail boxes of both.
    "contacts": _schema(
        contact_id=_I,
        first_name=_S,
        last_name=_S,
        phone=_S,
        email=_S,
        company_id=_I,
        responsible_user_id=_I,
        created_by=_I,
        created_at=_I,
        updated_at=_I,
        deleted_at=_I,
        person_id=_I,
        merged_into_contact_id=_I,
        merged_at=_I,
    ),
    "companies": _schema(
        company_id=_I,
        name=_S,
        phone=_S,
        email=_S,
        responsible_user_id=_I,
        created_by=_I,
        created_at=_I,
        updated_at=_I,
    ),
    # pipeline_id, stage_id, amount and responsible_user_id are those at creation; the change tables
    # move them. channel, kind, product, is_target and the moments of hand-over are the simulation's
    # own truth and are never served; failing_criterion (region, budget, product, spam) is served as
    # the field a rep fills in. From merged_at on a merged deal is gone without a trace in the bin.
    # is_purged: a deleted deal that is not in the bin either (a declined request, or a bin emptied
    # after 30 days).
    "deals": _schema(
        deal_id=_I,
        name=_S,
        pipeline_id=_I,
        stage_id=_I,
        amount=_I,
        responsible_user_id=_I,
        contact_id=_I,
        company_id=_I,
        created_by=_I,
        created_at=_I,
        deleted_at=_I,
        is_purged=_B,
        segment=_S,
        source_id=_I,
        source_name=_S,
        utm_source=_S,
        utm_medium=_S,
        utm_campaign=_S,
        utm_content=_S,
        utm_term=_S,
        client_id=_S,
        click_id=_S,
        length_metres=_S,
        tags=_S,
        channel=_S,
        kind=_S,
        product=_S,
        is_target=_B,
        failing_criterion=_S,
        handover_offered_at=_I,
        handover_accepted_at=_I,
        merged_into_deal_id=_I,
        merged_at=_I,
    ),
    # Rows of one deal stand in the order they happened. published_at: when the event feed first
    # shows the change (later than changed_at for a late event, null for one it never shows).
    # changed_by 0: a robot.
    "stage_changes": _schema(
        deal_id=_I,
        changed_at=_I,
        from_pipeline_id=_I,
        from_stage_id=_I,
        to_pipeline_id=_I,
        to_stage_id=_I,
        changed_by=_I,
        loss_reason_id=_I,
        published_at=_I,
    ),
    "amount_changes": _schema(
        deal_id=_I,
        changed_at=_I,
        from_amount=_I,
        to_amount=_I,
        changed_by=_I,
    ),
    "responsible_changes": _schema(
        deal_id=_I,
        changed_at=_I,
        from_user_id=_I,
        to_user_id=_I,
        changed_by=_I,
    ),
    # direction: in, out. outcome: voicemail, call_back, unavailable, conversation, wrong_number,
    # no_answer, busy, undefined, or null (telephony that does not say). With a contact the call
    # hangs on the contact.
    "calls": _schema(
        call_id=_I,
        contact_id=_I,
        deal_id=_I,
        called_at=_I,
        direction=_S,
        duration_seconds=_I,
        outcome=_S,
        user_id=_I,
        phone=_S,
        responsible_text=_S,
    ),
    # Chat messages: who and when, never what. author_id 0: a robot.
    "messages": _schema(
        message_id=_S,
        contact_id=_I,
        deal_id=_I,
        sent_at=_I,
        direction=_S,
        author_id=_I,
    ),
    "notes": _schema(
        note_id=_I,
        entity_type=_S,
        entity_id=_I,
        note_type=_S,
        text=_S,
        created_by=_I,
        created_at=_I,
    ),
    # What was sent to the client: evidence of a stage beside the card. kind: offer, contract, act.
    "documents": _schema(document_id=_I, deal_id=_I, kind=_S, sent_at=_I, sent_by=_I),
    # task_type: call, meeting. created_by 0: a robot. due_at is that at creation; the next table
    # moves it.
    "tasks": _schema(
        task_id=_I,
        deal_id=_I,
        task_type=_S,
        text=_S,
        result_text=_S,
        user_id=_I,
        created_by=_I,
        created_at=_I,
        due_at=_I,
        completed_at=_I,
    ),
    "task_deadline_changes": _schema(
        task_id=_I, changed_at=_I, from_due_at=_I, to_due_at=_I, changed_by=_I
    ),
    # category: forms, sip, mail, chats. resolved_at: accepted or declined, and gone from the list.
    "unsorted": _schema(
        uid=_S,
        deal_id=_I,
        contact_id=_I,
        pipeline_id=_I,
        category=_S,
        source_name=_S,
        phone=_S,
        form_page=_S,
        referer=_S,
        created_at=_I,
        resolved_at=_I,
        is_accepted=_B,
    ),
    "loss_reasons": _schema(loss_reason_id=_I, name=_S, position=_I, created_at=_I),
    # payment_state_hint is not stored: created, partially_paid, paid follow from payments.
    "invoices": _schema(
        invoice_id=_I,
        number=_S,
        deal_id=_I,
        contact_id=_I,
        payer_name=_S,
        amount=_I,
        description=_S,
        is_advance=_B,
        created_by=_I,
        issued_at=_I,
        deleted_at=_I,
    ),
    # A refund is a payment back: its amount is positive too.
    "payments": _schema(payment_id=_I, invoice_id=_I, paid_at=_I, amount=_I, is_refund=_B),
    # Visits of the firm's site. client_id names a browser (the _ym_uid of a deal it sends),
    # click_id is the yclid of an advertisement. person_id (null: never asked for anything), channel
    # and campaign_id are the simulation's own truth. goals: "[1,2]". known_from_at: when the
    # counter first shows the visit.
    "visits": _schema(
        visit_id=_S,
        client_id=_S,
        person_id=_I,
        device=_S,
        visited_at=_I,
        duration_seconds=_I,
        page_views=_I,
        is_new_user=_B,
        is_bounce=_B,
        start_url=_S,
        end_url=_S,
        referer=_S,
        traffic_source=_S,
        adv_engine=_S,
        utm_source=_S,
        utm_medium=_S,
        utm_campaign=_S,
        utm_content=_S,
        utm_term=_S,
        click_id=_S,
        goals=_S,
        channel=_S,
        campaign_id=_I,
        known_from_at=_I,
    ),
    # platform: yandex_direct (campaign_id is the campaign's), vk_ads (the ad plan's).
    "ad_campaigns": _schema(
        platform=_S,
        account_login=_S,
        campaign_id=_I,
        name=_S,
        campaign_type=_S,
        channel=_S,
        currency_code=_S,
        started_on=_D,
    ),
    # A ledger of versions: the figures of a campaign day as the platform told them from
    # known_from_at until known_to_at (null: still). A day without a version at a moment has no row
    # then: rows may vanish.
    "ad_spend": _schema(
        platform=_S,
        campaign_id=_I,
        spend_date=_D,
        impressions=_I,
        clicks=_I,
        cost_micros=_I,
        vat_rate_percent=_I,
        known_from_at=_I,
        known_to_at=_I,
    ),
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "pipelines": {"is_main": False, "is_unsorted_on": False},
    "stages": {"color": "#99ccff", "stage_kind": "open", "valid_from_at": 0},
    "users": {"is_admin": False, "is_active": True},
    "deals": {
        "amount": 0,
        "created_by": 0,
        "is_purged": False,
        "kind": "new",
        "is_target": True,
    },
    "stage_changes": {"changed_by": 0},
    "amount_changes": {"changed_by": 0},
    "responsible_changes": {"changed_by": 0},
    "contacts": {"created_by": 0},
    "companies": {"created_by": 0},
    "calls": {"direction": "out", "duration_seconds": 0},
    "messages": {"direction": "in", "author_id": 0},
    "notes": {"entity_type": "lead", "note_type": "common", "created_by": 0},
    "documents": {"kind": "offer", "sent_by": 0},
    "task_deadline_changes": {"changed_by": 0},
    "tasks": {"task_type": "call", "created_by": 0, "text": ""},
    "unsorted": {"category": "forms"},
    "invoices": {"is_advance": False, "created_by": 0},
    "payments": {"is_refund": False},
    "visits": {
        "device": "desktop",
        "duration_seconds": 60,
        "page_views": 2,
        "is_new_user": True,
        "is_bounce": False,
        "start_url": "https://demo.example/",
        "traffic_source": "direct",
        "goals": "[]",
    },
    "ad_campaigns": {
        "platform": "yandex_direct",
        "account_login": "demo",
        "campaign_type": "TEXT_CAMPAIGN",
        "currency_code": "RUB",
    },
    "ad_spend": {
        "platform": "yandex_direct",
        "impressions": 0,
        "clicks": 0,
        "vat_rate_percent": 22,
        "known_from_at": 0,
    },
}

DEFAULT_USER_ID = 501
DEFAULT_PIPELINES: tuple[dict[str, Any], ...] = (
    {
        "pipeline_id": 3001,
        "name": "Продажи",
        "stages": tuple({"stage_id": number, "name": f"Этап {number}"} for number in range(1, 5)),
    },
)


def unix_seconds(moment: Instant) -> int:
    """Return a moment as Unix seconds.

    Args:
        moment: Unix seconds, an aware datetime, or ISO 8601 text with an offset.

    Raises:
        ValueError: The moment has no offset, so it is not a moment.
    """
    if isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no offset from UTC; write one, such as +03:00")
    return int(moment.timestamp())


def _table(name: str, rows: Iterable[Row]) -> pa.Table:
    schema = SCHEMAS[name]
    defaults = _DEFAULTS.get(name, {})
    complete = []
    for row in rows:
        unknown = set(row) - set(schema.names)
        if unknown:
            raise ValueError(f"{name} has no column {', '.join(sorted(unknown))}")
        merged = {**defaults, **row}
        for column in schema.names:
            if column.endswith("_at") and merged.get(column) is not None:
                merged[column] = unix_seconds(merged[column])
        complete.append({column: merged.get(column) for column in schema.names})
    return pa.Table.from_pylist(complete, schema=schema)


@dataclass(frozen=True)
class CompanyTables:
    """Everything that happened in a firm up to `now`; columns are described in `SCHEMAS`."""

    now: int
    account: pa.Table
    pipelines: pa.Table
    stages: pa.Table
    users: pa.Table
    contacts: pa.Table
    companies: pa.Table
    deals: pa.Table
    stage_changes: pa.Table
    amount_changes: pa.Table
    responsible_changes: pa.Table
    calls: pa.Table
    messages: pa.Table
    notes: pa.Table
    documents: pa.Table
    tasks: pa.Table
    task_deadline_changes: pa.Table
    unsorted: pa.Table
    loss_reasons: pa.Table
    invoices: pa.Table
    payments: pa.Table
    visits: pa.Table
    ad_campaigns: pa.Table
    ad_spend: pa.Table

    def __post_init__(self) -> None:
        for name, table in self.items():
            if table.schema != SCHEMAS[name]:
                raise ValueError(f"table {name} does not have the columns of SCHEMAS")

    def items(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield each table with its name."""
        for field in fields(self):
            if field.name != "now":
                yield field.name, getattr(self, field.name)

    def save(self, folder: Path) -> None:
        """Write the tables to a folder, one Arrow file each."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "now").write_text(str(self.now), encoding="ascii")
        for name, table in self.items():
            feather.write_feather(table, folder / f"{name}.arrow", compression="uncompressed")

    @classmethod
    def load(cls, folder: Path) -> CompanyTables:
        """Return the tables that `save` wrote."""
        read = {name: feather.read_table(folder / f"{name}.arrow") for name in SCHEMAS}
        return cls(now=int((folder / "now").read_text(encoding="ascii")), **read)

    @classmethod
    def build(
        cls,
        *,
        now: Instant,
        deals: Sequence[Row] = (),
        stage_changes: Sequence[Row] = (),
        pipelines: Sequence[Row] = DEFAULT_PIPELINES,
        account: Row | None = None,
        users: Sequence[Row] | None = None,
        **others: Sequence[Row],
    ) -> CompanyTables:
        """Return a firm written by hand; whatever is left out gets a sensible default.

        Args:
            now: The simulated moment up to which the server shows things.
            deals: At least `deal_id` and `created_at`; a deal starts in the first stage of the
                first pipeline unless it says otherwise, `amount` is its sum from the start.
            stage_changes: At least `deal_id`, `changed_at`, `to_stage_id`, in the order they
                happened; the from-side is chained from the stage before, the pipeline stays unless
                it is named.
            pipelines: Dicts with `pipeline_id`, `name` and `stages` (each `stage_id`, `name`,
                optionally `stage_kind` and `color`); 142 and 143 are added where they are missing.
            account: Overrides of account columns.
            users: Sales reps and others; by default one administrator.
            **others: Rows of any other table of `SCHEMAS`.

        Raises:
            ValueError: An unknown table or column, or a time without an offset.
        """
        unknown = set(others) - set(SCHEMAS)
        if unknown:
            raise ValueError(f"no table is called {', '.join(sorted(unknown))}")
        moment = unix_seconds(now)
        pipeline_rows, stage_rows = _pipeline_rows(pipelines)
        first_stage: dict[int, int] = {}
        for stage in stage_rows:
            first_stage.setdefault(stage["pipeline_id"], stage["stage_id"])
        main_pipeline = pipeline_rows[0]["pipeline_id"]
        user_rows = users or (
            {
                "user_id": DEFAULT_USER_ID,
                "name": "Администратор",
                "email": "admin@demo.example",
                "is_admin": True,
            },
        )
        deal_rows = []
        for deal in deals:
            pipeline = deal.get("pipeline_id", main_pipeline)
            deal_rows.append(
                {
                    "name": f"Сделка {deal['deal_id']}",
                    "stage_id": first_stage[pipeline],
                    "responsible_user_id": user_rows[0]["user_id"],
                    **deal,
                    "pipeline_id": pipeline,
                }
            )
        account_row = {
            "account_id": 900,
            "name": "Demo",
            "subdomain": "demo",
            "country": "RU",
            "time_zone": "Europe/Moscow",
            "currency_code": "RUB",
            "current_user_id": user_rows[0]["user_id"],
            "invoices_catalog_id": 1209,
            **(account or {}),
        }
        rows: dict[str, Sequence[Row]] = {
            **{name: _completed(name, given) for name, given in others.items()},
            "account": [account_row],
            "pipelines": pipeline_rows,
            "stages": stage_rows,
            "users": user_rows,
            "deals": deal_rows,
            "stage_changes": _chained(deal_rows, stage_changes),
        }
        return cls(now=moment, **{name: _table(name, rows.get(name, ())) for name in SCHEMAS})


def _pipeline_rows(pipelines: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    pipeline_rows: list[dict[str, Any]] = []
    stage_rows: list[dict[str, Any]] = []
    for position, given in enumerate(pipelines, start=1):
        pipeline = dict(given)
        stages = [dict(stage) for stage in pipeline.pop("stages")]
        present = {stage["stage_id"] for stage in stages}
        if WON_STAGE_ID not in present:
            stages.append({"stage_id": WON_STAGE_ID, "name": "Успешно реализовано"})
        if LOST_STAGE_ID not in present:
            stages.append({"stage_id": LOST_STAGE_ID, "name": "Закрыто и не реализовано"})
        for number, stage in enumerate(stages, start=1):
            kind = {WON_STAGE_ID: "won", LOST_STAGE_ID: "lost"}.get(stage["stage_id"], "open")
            fixed = {WON_STAGE_ID: 10000, LOST_STAGE_ID: 11000}.get(stage["stage_id"], number * 10)
            stage_rows.append(
                {
                    "position": fixed,
                    "stage_kind": kind,
                    **stage,
                    "pipeline_id": pipeline["pipeline_id"],
                }
            )
        has_unsorted = any(stage.get("stage_kind") == "unsorted" for stage in stages)
        pipeline_rows.append(
            {
                "position": position,
                "is_main": position == 1,
                "is_unsorted_on": has_unsorted,
                **pipeline,
            }
        )
    return pipeline_rows, stage_rows


def _chained(deals: Sequence[Row], changes: Sequence[Row]) -> list[dict[str, Any]]:
    place = {deal["deal_id"]: (deal["pipeline_id"], deal["stage_id"]) for deal in deals}
    chained = []
    for change in changes:
        pipeline, stage = place[change["deal_id"]]
        row = {
            "from_pipeline_id": pipeline,
            "from_stage_id": stage,
            "to_pipeline_id": pipeline,
            "published_at": change["changed_at"],
            **change,
        }
        place[change["deal_id"]] = (row["to_pipeline_id"], row["to_stage_id"])
        chained.append(row)
    return chained


def _completed(name: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    complete = []
    for row in rows:
        merged = dict(row)
        if "updated_at" in SCHEMAS[name].names and "created_at" in merged:
            merged.setdefault("updated_at", merged["created_at"])
        if name == "visits" and "visited_at" in merged:
            merged.setdefault("known_from_at", merged["visited_at"])
        complete.append(merged)
    return complete
