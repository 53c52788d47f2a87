"""Whether the data can be believed: stale sources, holes in the log, loads delivered twice."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures.needs import EVENTS, LEADS

MEASURES = (
    Measure(
        truth_id="stale_source",
        measure_id="stale_source",
        title="sources that stopped",
        kind="found",
        true="select item_id from truth.items where truth_id = 'stale_source' and is_planted",
        ours=Way(
            """
            select distinct source_system
            from marts.rpt_data_trust
            where check_id in ('freshness', 'ad_days_missing') and status in ('warn', 'fail')
            """,
            {"marts.rpt_data_trust": ("check_id", "status", "source_system")},
        ),
        naive=Way(
            """
            select source_system
            from (
                select 'amocrm' as source_system, * from (
                    select bool_and(is_complete) as is_done from raw_amocrm._pulls
                )
                union all
                select 'yandex_direct' as source_system, * from (
                    select bool_and(is_complete) as is_done from raw_yandex_direct._pulls
                )
                union all
                select 'vk_ads' as source_system, * from (
                    select bool_and(is_complete) as is_done from raw_vk_ads._pulls
                )
            )
            where not is_done
            """,
            {
                "raw_amocrm._pulls": ("is_complete",),
                "raw_yandex_direct._pulls": ("is_complete",),
                "raw_vk_ads._pulls": ("is_complete",),
            },
        ),
        naive_title="sources whose last load failed",
        naive_source="a run that ends well is fresh: no live data, complaint 19 [B11]",
    ),
    Measure(
        truth_id="lost_events",
        measure_id="lost_events",
        title="deals with a hole in the log",
        kind="found",
        true="select item_id from truth.items where truth_id = 'lost_events' and is_planted",
        ours=Way(
            """
            select distinct deals.deal_id
            from marts.fct_deal_stage_transitions as transitions
            inner join marts.dim_deals as deals on transitions.deal_key = deals.deal_key
            where
                transitions.is_after_gap
                or (transitions.is_inferred and transitions.direction <> 'entry')
            """,
            {
                "marts.fct_deal_stage_transitions": (
                    "deal_key",
                    "is_inferred",
                    "is_after_gap",
                    "direction",
                ),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        naive=Way(
            """
            with last_events as (
                select
                    entity_id,
                    arg_max(after_status_id, (created_at, record_id)) as status_id
                from staging.stg_amocrm__events
                where event_type = 'lead_status_changed'
                group by all
            )

            select leads.record_id
            from staging.stg_amocrm__leads as leads
            inner join last_events on leads.record_id = last_events.entity_id
            where leads.status_id <> last_events.status_id
            """,
            {**LEADS, **EVENTS},
        ),
        naive_title="last stage of the log differs from the deal's",
        naive_source="a user's check of Airbyte's HubSpot connector, 250 of 3,000 deals [I: 46576]",
    ),
    Measure(
        truth_id="doubled_load",
        measure_id="doubled_load",
        title="calls handed over twice",
        kind="number",
        true="""
            select max(value), max(value)::bigint
            from truth.sizes
            where truth_id = 'doubled_load' and parameter = 'rows'
        """,
        ours=Way(
            "select sum(row_count) from marts.rpt_data_trust where check_id = 'doubled_rows'",
            {"marts.rpt_data_trust": ("check_id", "row_count")},
            ready_when="select count(*) > 0 from marts.rpt_data_trust"
            " where check_id = 'doubled_rows'",
            not_ready="check doubled_rows in marts.rpt_data_trust",
        ),
        naive=Way(
            """
            select count(*) - count(distinct record_id)
            from (
                select 'lead' || record_id as record_id, payload from raw_amocrm.lead_notes
                union all
                select 'contact' || record_id as record_id, payload from raw_amocrm.contact_notes
            )
            where json_extract_string(payload, '$.note_type') in ('call_in', 'call_out')
            """,
            {
                "raw_amocrm.lead_notes": ("record_id", "payload"),
                "raw_amocrm.contact_notes": ("record_id", "payload"),
            },
        ),
        naive_title="rows whose id repeats",
        naive_source="merge by id in dlt's Pipedrive flow; its HubSpot history has no key [O3]",
        builds="activities of the CRM and a check of equal calls under different ids",
    ),
)
