"""The company's own tables, declared once: checks, raw schemas, templates and README follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from ingest.tabular import Column


@dataclass(frozen=True, slots=True)
class CompanyTable:
    """A table that says what something means in this company.

    Attributes:
        name: Its name, and its file's name without `.csv`.
        purpose: One sentence for the template and the README.
        columns: Its columns by name.
        unique_by: Columns that together may not repeat.
        examples: Rows for the template.
    """

    name: str
    purpose: str
    columns: Mapping[str, Column]
    unique_by: tuple[str, ...]
    examples: tuple[str, ...]


def _table(
    name: str,
    purpose: str,
    columns: list[Column],
    unique_by: tuple[str, ...],
    *examples: str,
) -> CompanyTable:
    by_name = MappingProxyType({column.name: column for column in columns})
    return CompanyTable(name, purpose, by_name, unique_by, examples)


def _texts(*names: str) -> list[Column]:
    return [Column(name) for name in names]


def _needed(*names: str) -> list[Column]:
    return [Column(name, required=True) for name in names]


PLANNED_METRICS = ("came", "bought", "sold", "paid", "acquisition_cost", "earned")
"""What the owner's panel compares with a plan; a plan of anything else would never be seen."""

_STAGE_OWNER = _texts("source_system", "source_account_id", "pipeline_id")

_TABLES = (
    _table(
        "stage_map",
        "What a stage of a pipeline means; empty or * is any; the rule that names most decides.",
        [
            *_STAGE_OWNER,
            *_needed("stage_id"),
            Column("stage_category", allowed=("open", "won", "lost")),
            Column("funnel_step"),
        ],
        ("source_system", "source_account_id", "pipeline_id", "stage_id"),
        "amocrm,31415926,5001,71001,open,qualified",
        "amocrm,31415926,5001,142,won,sold",
    ),
    _table(
        "pipeline_roles",
        "What a pipeline is for, so that repeat orders and service are no new sales; * is any.",
        [
            *_texts("source_system", "source_account_id"),
            *_needed("pipeline_id"),
            Column(
                "pipeline_role",
                required=True,
                allowed=("qualification", "sales", "fulfilment", "repeat", "service", "ignore"),
            ),
        ],
        ("source_system", "source_account_id", "pipeline_id"),
        "amocrm,31415926,5001,sales",
        "amocrm,31415926,5002,repeat",
    ),
    _table(
        "loss_reason_map",
        "Which category a loss reason belongs to; % in a reason stands for any text.",
        _needed("reason", "reason_category"),
        ("reason",),
        "Не берет трубку,no_answer",
        "Дорого,price",
    ),
    _table(
        "channel_map",
        "Which channel a record belongs to; * stands for anything, the smallest priority wins.",
        [
            *_texts("utm_source", "utm_medium", "utm_campaign", "declared_channel"),
            *_needed("channel"),
            Column("is_paid", "boolean"),
            Column("priority", "integer"),
        ],
        ("utm_source", "utm_medium", "utm_campaign", "declared_channel"),
        "yandex,cpc,*,*,yandex_direct,true,10",
        "*,email,*,*,email,false,20",
    ),
    _table(
        "working_calendar",
        "Days that differ from Monday to Friday 9-18: holidays, moved and shortened days.",
        [
            Column("date_day", "date", required=True),
            Column("is_business_day", "boolean", required=True),
            Column("opens_at", "clock"),
            Column("closes_at", "clock"),
        ],
        ("date_day",),
        "2026-11-04,false,,",
        "2026-11-03,true,09:00,17:00",
    ),
    _table(
        "sla_rules",
        "How fast somebody must react, in working minutes.",
        [
            *_needed("sla_id"),
            Column(
                "clock",
                required=True,
                allowed=("first_attempt", "first_conversation", "handover"),
            ),
            *_texts("channel", "segment"),
            Column("sla_minutes", "count", required=True),
            Column("valid_from_date", "date"),
        ],
        ("sla_id", "valid_from_date"),
        "site_forms,first_attempt,*,*,15,2026-01-01",
    ),
    _table(
        "qualification_criteria",
        "What makes a lead a target lead; a change of a rule is a new version.",
        [
            *_needed("criterion_id"),
            Column("criterion_version", "count", required=True),
            *_needed("criterion_text"),
            Column("criterion_type", required=True, allowed=("must", "score")),
            Column("priority", "integer"),
            *_texts("field_name"),
            Column(
                "operator",
                allowed=("equals", "not_equals", "at_least", "at_most", "one_of", "filled"),
            ),
            *_texts("field_value"),
            Column("valid_from_date", "date"),
            Column("valid_to_date", "date"),
        ],
        ("criterion_id", "criterion_version"),
        "budget,1,Budget of 100 000 or more,must,1,budget,at_least,100000,2026-01-01,",
    ),
    _table(
        "handover_rules",
        "Which move hands a lead over from marketing to sales, and how soon sales must answer.",
        [
            *_needed("rule_id"),
            *_texts("source_system", "source_account_id", "from_pipeline_id", "from_stage_id"),
            *_texts("to_pipeline_id"),
            *_needed("to_stage_id"),
            Column("accept_minutes", "count"),
            Column("valid_from_date", "date"),
        ],
        ("rule_id", "valid_from_date"),
        "to_sales,amocrm,31415926,5001,71001,5001,71002,60,2026-01-01",
    ),
    _table(
        "stage_evidence",
        "What must have happened for a stage to be believed.",
        [
            *_STAGE_OWNER,
            *_needed("stage_id"),
            Column(
                "evidence_type",
                required=True,
                allowed=(
                    "call",
                    "message",
                    "email",
                    "meeting",
                    "document",
                    "form",
                    "task",
                    "invoice",
                    "payment",
                    "field",
                ),
            ),
            Column("minimum_count", "count"),
            *_texts("field_name"),
        ],
        (
            "source_system",
            "source_account_id",
            "pipeline_id",
            "stage_id",
            "evidence_type",
            "field_name",
        ),
        "amocrm,31415926,5001,71003,document,1,",
    ),
    _table(
        "tax_regimes",
        "Whether and at what rate the company pays VAT, from which day on.",
        [
            Column("valid_from_date", "date", required=True),
            Column("vat_rate", "share", required=True),
            Column("is_vat_payer", "boolean", required=True),
        ],
        ("valid_from_date",),
        "2026-01-01,0.22,true",
    ),
    _table(
        "exchange_rates",
        "Price of one unit of a currency in the reporting currency; a rate holds until the next, "
        "and data trust says when the newest sums were converted at one more than a month old.",
        [
            Column("rate_date", "date", required=True),
            *_needed("currency_code"),
            Column("rate", "positive", required=True),
        ],
        ("rate_date", "currency_code"),
        "2026-11-01,USD,81.13",
    ),
    _table(
        "costs",
        "Costs that no advertising account knows: salaries, tools, production, commissions.",
        [
            Column("period_start_date", "date", required=True),
            Column(
                "period_type", required=True, allowed=("day", "week", "month", "quarter", "year")
            ),
            *_needed("cost_category"),
            *_texts("channel", "segment"),
            Column("cost_amount", "money", required=True),
            *_texts("currency_code"),
        ],
        ("period_start_date", "period_type", "cost_category", "channel", "segment"),
        "2026-11-01,month,sales_payroll,,,450000,RUB",
    ),
    _table(
        "segments",
        "Segments of customers by the sum of a deal: from min_amount to below max_amount.",
        [
            *_needed("segment"),
            Column("min_amount", "money"),
            Column("max_amount", "money"),
        ],
        ("segment",),
        "small,0,100000",
        "large,100000,",
    ),
    _table(
        "identity_exceptions",
        "Keys that do not tell who a person is: a row undoes the merges they made.",
        [
            *_texts("source_system", "source_account_id"),
            *_needed("person_id"),
            Column("identifier_kind", allowed=("phone", "email", "client_id", "company")),
        ],
        ("source_system", "source_account_id", "person_id", "identifier_kind"),
        "amocrm,31415926,7001,client_id",
        "amocrm,31415926,7002,",
    ),
    _table(
        "sales_plans",
        "Planned values of metrics by period.",
        [
            Column("period_type", required=True, allowed=("week", "month")),
            Column("period_start_date", "date", required=True),
            Column("metric_id", required=True, allowed=PLANNED_METRICS),
            Column("plan_value", "money", required=True),
        ],
        ("period_type", "period_start_date", "metric_id"),
        "month,2026-11-01,sold,3000000",
    ),
    _table(
        "hypotheses",
        "What was changed in the process, when, and which number it should move.",
        [
            *_needed("hypothesis_id", "hypothesis_text"),
            *_texts("metric_id"),
            Column("expected_direction", allowed=("up", "down")),
            Column("started_date", "date", required=True),
            Column("ended_date", "date"),
        ],
        ("hypothesis_id",),
        "call_in_15,Call every form within 15 minutes,win_rate_created,up,2026-10-01,",
    ),
)

COMPANY_TABLES: Mapping[str, CompanyTable] = MappingProxyType(
    {table.name: table for table in _TABLES}
)


def _raw_schema(table: CompanyTable) -> pa.Schema:
    names = ["source_account_id", "record_id", "row_number", *table.columns, "payload", "pull_id"]
    # In stage_map and its kin source_account_id is the table's own: the account a rule is for.
    names = list(dict.fromkeys(names))
    return pa.schema(
        [(name, pa.int64() if name == "row_number" else pa.string()) for name in names]
    )


RAW_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {name: _raw_schema(table) for name, table in COMPANY_TABLES.items()}
)
