"""What a deal is: new, repeat, continuation, duplicate, test."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures.needs import EVENTS, LEADS


def _kind(kind: str, title: str, naive_sql: str, naive_title: str, source: str) -> Measure:
    return Measure(
        truth_id="deal_kind",
        measure_id=f"deal_kind_{kind}",
        title=title,
        kind="found",
        true=f"select deal_id from truth.deals where kind = '{kind}' and not is_gone",
        ours=Way(
            # A claim under guarantee is no order.
            f"""
            select deals.deal_id
            from marts.dim_deals as deals
            where
                deals.deal_kind = '{kind}'
                and deals.pipeline_id in (
                    select stages.pipeline_id
                    from marts.dim_pipeline_stages as stages
                    where stages.pipeline_role in ('qualification', 'sales', 'repeat')
                )
            """,
            {
                "marts.dim_deals": ("deal_id", "deal_kind", "pipeline_id"),
                "marts.dim_pipeline_stages": ("pipeline_id", "pipeline_role"),
            },
        ),
        naive=Way(
            naive_sql,
            {**LEADS, **EVENTS},
        ),
        naive_title=naive_title,
        naive_source=source,
    )


MEASURES = (
    _kind(
        "repeat",
        "orders of people who bought before",
        """
        select distinct leads.record_id
        from staging.stg_amocrm__leads as leads
        inner join staging.stg_amocrm__leads as before
            on
                leads.main_contact_id = before.main_contact_id
                and before.created_at < leads.created_at
        """,
        "any second deal of one contact card",
        "CRM filters count by contact card, not by person [K]",
    ),
    _kind(
        "continuation",
        "lost deals made anew",
        """
        select distinct entity_id
        from staging.stg_amocrm__events
        where event_type = 'lead_status_changed' and before_status_id = '143'
        """,
        "reopened in the log",
        "FunnelCake knows a return only as a backward move of the same deal [V2]",
    ),
    _kind(
        "duplicate",
        "second requests within a day",
        """
        select leads.record_id
        from staging.stg_amocrm__leads as leads
        where
            exists (
                select 1
                from staging.stg_amocrm__leads as before
                where
                    before.main_contact_id = leads.main_contact_id
                    and before.created_at < leads.created_at
            )
        """,
        "anyone seen before is no unique lead, for ever",
        "unique calls of Calltouch, first from a number by default for ever [R4]",
    ),
    _kind(
        "test",
        "trial entries",
        """
        select record_id
        from staging.stg_amocrm__leads
        where main_contact_id is null and coalesce(price, 0) = 0
        """,
        "no contact and no sum",
        "the usual filter of a CRM report, no product names a rule [K]",
    ),
)
