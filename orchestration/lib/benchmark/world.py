"""The truth of a simulated company, written beside its raw data; the pipeline never reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from orchestration.lib.errors import BenchmarkError

if TYPE_CHECKING:
    from ingest.config import Home
    from ingest.demo.planted import PlantedCompany
    from ingest.demo.tables import CompanyTables

# What happened, as tables with times in UTC and ids as text, as they stand in the marts. Rows of a
# deal stand in the order they happened, so a row's number ends a tie.
_WORLD = {
    "clock": "select make_timestamp({now}::bigint * 1000000) as now_at",
    # What becomes of a deal: its last stage, sum and pipeline. is_gone: the API shows it nowhere.
    # is_waiting: a request nobody has accepted yet, which the API shows without a card.
    "deals": """
        with moved as (
            select
                deal_id,
                arg_max(to_pipeline_id, row_number) as pipeline_id,
                arg_max(to_stage_id, row_number) as stage_id,
                max(changed_at) as moved_at
            from (select *, row_number() over () as row_number from stage_changes)
            group by deal_id
        ),

        priced as (
            select deal_id, arg_max(to_amount, row_number) as amount
            from (select *, row_number() over () as row_number from amount_changes)
            group by deal_id
        )

        select
            deals.deal_id::varchar as deal_id,
            contacts.person_id::varchar as person_id,
            deals.contact_id::varchar as contact_id,
            deals.responsible_user_id::varchar as responsible_user_id,
            deals.kind,
            deals.channel,
            deals.client_id,
            deals.click_id,
            deals.segment,
            deals.is_target,
            deals.failing_criterion,
            coalesce(moved.pipeline_id, deals.pipeline_id)::varchar as pipeline_id,
            coalesce(moved.stage_id, deals.stage_id)::varchar as stage_id,
            case coalesce(moved.stage_id, deals.stage_id)
                when 142 then 'won'
                when 143 then 'lost'
                else 'open'
            end as outcome,
            coalesce(priced.amount, deals.amount)::decimal(18, 2) as amount,
            make_timestamp(deals.created_at * 1000000) as created_at,
            case
                when coalesce(moved.stage_id, deals.stage_id) in (142, 143)
                    then make_timestamp(coalesce(moved.moved_at, deals.created_at) * 1000000)
            end as closed_at,
            deals.deleted_at is not null as is_deleted,
            deals.is_purged or deals.merged_at is not null as is_gone,
            deals.deal_id in (
                select unsorted.deal_id from unsorted
                where unsorted.deal_id is not null and unsorted.resolved_at is null
            ) as is_waiting
        from deals
        left join contacts on deals.contact_id = contacts.contact_id
        left join moved on deals.deal_id = moved.deal_id
        left join priced on deals.deal_id = priced.deal_id
    """,
    "stage_changes": """
        select
            stage_changes.deal_id::varchar as deal_id,
            row_number() over (partition by deal_id order by row_number) as change_number,
            make_timestamp(changed_at * 1000000) as changed_at,
            from_pipeline_id::varchar as from_pipeline_id,
            from_stage_id::varchar as from_stage_id,
            to_pipeline_id::varchar as to_pipeline_id,
            to_stage_id::varchar as to_stage_id,
            changed_by = 0 as is_by_robot,
            loss_reasons.name as loss_reason
        from (select *, row_number() over () as row_number from stage_changes) as stage_changes
        left join loss_reasons using (loss_reason_id)
    """,
    # is_gone: the API shows the card nowhere.
    "contacts": """
        select
            contact_id::varchar as contact_id,
            person_id::varchar as person_id,
            company_id::varchar as company_id,
            merged_into_contact_id::varchar as merged_into_contact_id,
            deleted_at is not null or merged_at is not null as is_gone
        from contacts
    """,
    "visits": """
        select
            visit_id,
            client_id,
            click_id,
            person_id::varchar as person_id,
            channel,
            campaign_id::varchar as campaign_id,
            make_timestamp(visited_at * 1000000) as visited_at,
            make_timestamp(known_from_at * 1000000) as known_from_at
        from visits
    """,
    # Every version of every day, as the platform told it. The company pays no VAT, so the
    # platform's stays in its costs: borne_amount.
    "ad_spend": """
        select
            platform,
            campaign_id::varchar as campaign_id,
            spend_date,
            (cost_micros::decimal(38, 4) / 1000000)::decimal(18, 2) as net_amount,
            (cost_micros::decimal(38, 4) * (100 + vat_rate_percent) / 100000000)::decimal(18, 2)
                as borne_amount,
            make_timestamp(known_from_at * 1000000) as known_from_at,
            make_timestamp(known_to_at * 1000000) as known_to_at
        from ad_spend
    """,
    "ad_campaigns": """
        select platform, campaign_id::varchar as campaign_id, name as campaign_name, channel
        from ad_campaigns
    """,
    "invoices": """
        with paid as (
            select
                invoice_id,
                sum(case when is_refund then -amount else amount end) as amount
            from payments
            group by invoice_id
        )

        select
            invoices.invoice_id::varchar as invoice_id,
            invoices.deal_id::varchar as deal_id,
            invoices.amount::decimal(18, 2) as invoice_amount,
            coalesce(paid.amount, 0)::decimal(18, 2) as paid_amount,
            make_timestamp(invoices.issued_at * 1000000) as issued_at,
            invoices.deleted_at is not null as is_deleted
        from invoices
        left join paid on invoices.invoice_id = paid.invoice_id
    """,
}
_PREFIX = "world_"


def truth_folder(home: Home) -> Path:
    """Return where the truth of a demo company lies."""
    return home.demo_dir / "truth"


def save_truth(home: Home, planted: PlantedCompany) -> None:
    """Write what is true of a company: its planted truths and what happened in it.

    Args:
        home: The home of the demo company.
        planted: The company.
    """
    folder = truth_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    planted.truth.save(folder)
    save_world(folder, planted.tables)


def save_world(folder: Path, tables: CompanyTables) -> None:
    """Write what happened in a company, one Parquet file a table."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        for name, query in _WORLD.items():
            target = folder / f"{_PREFIX}{name}.parquet"
            connection.execute(
                f"copy ({query.replace('{now}', str(tables.now))}) to '{target}' (format parquet)"
            )


def attach_truth(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Show the truth of a company as the schema `truth`.

    Raises:
        BenchmarkError: There is no truth in this folder.
    """
    files = {
        **{f"truth_{name}": name for name in ("items", "sizes")},
        **{f"{_PREFIX}{name}": name for name in _WORLD},
    }
    missing = [name for name in files if not (folder / f"{name}.parquet").exists()]
    if missing:
        raise BenchmarkError(
            f"{folder} has no {missing[0]}.parquet: only the home of a demo company has truth "
            "tables; run `voronka demo` in it, or leave out --home."
        )
    connection.execute("create schema truth")
    for file, name in files.items():
        connection.execute(
            f'create view truth."{name}" as '
            f"select * from read_parquet('{folder / f'{file}.parquet'}')"
        )
