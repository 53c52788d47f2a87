"""The neutral tables: one declaration that validation, the raw schemas and the README follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from ingest.tabular import Column, Kind

DEFAULT_PIPELINE_ID = "default"

OUTCOMES = ("open", "won", "lost")


@dataclass(frozen=True, slots=True)
class NeutralTable:
    """A table of the neutral layout.

    Attributes:
        name: Its name, which is also the name of a file that needs no mapping.
        columns: Its columns by name, in the order they land in.
        unique_by: Columns that together may not repeat; rows without the first of them may.
        names_other_records: Whether rows may belong to deals of another source.
    """

    name: str
    columns: Mapping[str, Column]
    unique_by: tuple[str, ...] = ()
    names_other_records: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """Return the columns every row must fill."""
        return tuple(column.name for column in self.columns.values() if column.required)

    @property
    def record_column(self) -> str | None:
        """Return the column that identifies a row by itself."""
        return self.unique_by[0] if len(self.unique_by) == 1 else None


DEAL_SOURCE_COLUMNS = ("deal_source_system", "deal_source_account_id")


def _text(*names: str) -> list[Column]:
    return [Column(name) for name in names]


def _column(
    name: str,
    kind: Kind = "text",
    *,
    required: bool = False,
    allowed: tuple[str, ...] = (),
    references: str | None = None,
    is_event: bool = False,
) -> Column:
    return Column(name, kind, required, allowed, references, is_event)


def _id(name: str, kind: Kind = "text") -> Column:
    return Column(name, kind, required=True)


def _event(name: str, *, required: bool = False) -> Column:
    return Column(name, "time", required=required, is_event=True)


def _reference(name: str, table: str, *, required: bool = False) -> Column:
    # A person's id in an export is often a phone or an e-mail, so it is treated as one.
    kind: Kind = "person_id" if table in ("persons", "sales_reps") else "text"
    return Column(name, kind, required=required, references=table)


def _table(
    name: str,
    columns: list[Column],
    *,
    unique_by: tuple[str, ...] = (),
    names_other_records: bool = False,
) -> NeutralTable:
    if names_other_records:
        columns = [*columns, *_text(*DEAL_SOURCE_COLUMNS)]
    return NeutralTable(
        name,
        MappingProxyType({column.name: column for column in columns}),
        unique_by,
        names_other_records,
    )


_UTM = tuple(
    Column(name, "tag")
    for name in ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
)

# Referred tables stand before the tables that refer to them: a row that quarantine takes out of a
# table is then missing for every later one.
_TABLES = (
    _table(
        "sales_reps",
        [
            _id("sales_rep_id", "person_id"),
            _column("sales_rep_name", "person_name"),
            _column("team_name"),
            _column("is_active", "boolean"),
        ],
        unique_by=("sales_rep_id",),
    ),
    _table(
        "pipeline_stages",
        [
            _id("stage_id"),
            *_text("pipeline_id", "pipeline_name", "stage_name"),
            _column("stage_position", "integer"),
            _column("stage_category", allowed=OUTCOMES),
            _column("funnel_step"),
        ],
        unique_by=("stage_id", "pipeline_id"),
    ),
    _table(
        "companies",
        [
            _id("company_id"),
            _column("company_name", "company_name"),
            _column("tax_id", "tax_id"),
            _column("segment"),
        ],
        unique_by=("company_id",),
    ),
    _table(
        "persons",
        [
            _id("person_id", "person_id"),
            _reference("company_id", "companies"),
            _column("phone", "phone"),
            _column("email", "email"),
        ],
        unique_by=("person_id",),
    ),
    _table(
        "deals",
        [
            _id("deal_id"),
            _event("created_at", required=True),
            _event("updated_at"),
            _column("name", "free_text"),
            *_text("url", "pipeline_id"),
            _reference("stage_id", "pipeline_stages"),
            _column("outcome", allowed=OUTCOMES),
            _event("closed_at"),
            _column("deal_amount", "money"),
            _column("currency_code"),
            _reference("sales_rep_id", "sales_reps"),
            _reference("person_id", "persons"),
            _reference("company_id", "companies"),
            *_text("segment", "channel"),
            *_UTM,
            _column("client_id"),
            _column("loss_reason", "free_text"),
            _column("loss_text", "free_text"),
            _column("is_deleted", "boolean"),
        ],
        unique_by=("deal_id",),
    ),
    _table(
        "stage_changes",
        [
            _reference("deal_id", "deals", required=True),
            _event("changed_at", required=True),
            _reference("to_stage_id", "pipeline_stages", required=True),
            *_text("change_id", "pipeline_id"),
            _reference("from_stage_id", "pipeline_stages"),
            _reference("changed_by_sales_rep_id", "sales_reps"),
            _column("change_channel"),
        ],
        unique_by=("change_id",),
        names_other_records=True,
    ),
    _table(
        "activities",
        [
            _id("activity_id"),
            _event("occurred_at", required=True),
            _column(
                "activity_type",
                required=True,
                allowed=("call", "message", "email", "meeting", "document", "form"),
            ),
            _reference("deal_id", "deals"),
            _reference("person_id", "persons"),
            _column("phone", "phone"),
            _column("direction", allowed=("in", "out")),
            _column("duration_seconds", "count"),
            _column(
                "outcome",
                allowed=(
                    "conversation",
                    "no_answer",
                    "busy",
                    "wrong_number",
                    "voicemail",
                    "delivered",
                ),
            ),
            _reference("sales_rep_id", "sales_reps"),
            _column("is_automatic", "boolean"),
        ],
        unique_by=("activity_id",),
        names_other_records=True,
    ),
    _table(
        "tasks",
        [
            _id("task_id"),
            _reference("deal_id", "deals"),
            _event("created_at"),
            _column("due_at", "time"),
            _event("completed_at"),
            _reference("sales_rep_id", "sales_reps"),
            _column("is_automatic", "boolean"),
        ],
        unique_by=("task_id",),
        names_other_records=True,
    ),
    _table(
        "invoices",
        [
            _id("invoice_id"),
            _event("issued_at", required=True),
            _column("invoice_amount", "money", required=True),
            _column("invoice_number"),
            _reference("deal_id", "deals"),
            _column("payer_tax_id", "tax_id"),
            _column("due_at", "time"),
            *_text("status", "currency_code"),
        ],
        unique_by=("invoice_id",),
        names_other_records=True,
    ),
    _table(
        "payments",
        [
            _id("payment_id"),
            _event("paid_at", required=True),
            _column("payment_amount", "money", required=True),
            _reference("invoice_id", "invoices"),
            _column("invoice_number"),
            _reference("deal_id", "deals"),
            _column("payer_tax_id", "tax_id"),
            _column("purpose", "free_text"),
            _column("currency_code"),
        ],
        unique_by=("payment_id",),
        names_other_records=True,
    ),
    _table(
        "visits",
        [
            _id("visit_id"),
            _event("visited_at", required=True),
            _reference("person_id", "persons"),
            *_text("client_id", "channel"),
            *_UTM,
            _column("referrer", "free_text"),
            _column("landing_url", "free_text"),
        ],
        unique_by=("visit_id",),
        names_other_records=True,
    ),
    _table(
        "ad_spend",
        [
            Column("spend_date", "date", required=True, is_event=True),
            _column("platform", required=True),
            _column("spend_amount", "money", required=True),
            *_text("account_id", "campaign_id", "campaign_name", "ad_id", "currency_code"),
            _column("vat_mode", allowed=("net", "gross", "unknown")),
            _column("vat_rate", "share"),
            _column("impression_count", "count"),
            _column("click_count", "count"),
            _column("platform_conversion_count", "decimal"),
            _column("channel"),
        ],
    ),
)

NEUTRAL_TABLES: Mapping[str, NeutralTable] = MappingProxyType(
    {table.name: table for table in _TABLES}
)

_NUMBERS = frozenset({"row_number", "line_number"})


def _schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in names])


_IDENTITY = ["source_account_id", "record_id", "row_number"]

QUARANTINE_SCHEMA = _schema(
    [
        "source_account_id",
        "table_name",
        "file_name",
        "line_number",
        "reason",
        "payload",
        "pull_id",
    ]
)

ACCOUNT_SCHEMA = _schema([*_IDENTITY, "time_zone", "currency_code", "observed_until", "pull_id"])

RAW_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {
        **{
            name: _schema([*_IDENTITY, *table.columns, "payload", "pull_id"])
            for name, table in NEUTRAL_TABLES.items()
        },
        "source_accounts": ACCOUNT_SCHEMA,
        "quarantined_rows": QUARANTINE_SCHEMA,
    }
)
