"""Whether the data can be believed: stale sources, holes in the log, loads delivered twice."""

from orchestration.lib.benchmark.measure import Measure, Way

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
            where check_id = 'freshness' and status in ('warn', 'fail')
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
            )
            where not is_done
            """,
            {
                "raw_amocrm._pulls": ("is_complete",),
                "raw_yandex_direct._pulls": ("is_complete",),
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
            where transitions.is_inferred and transitions.direction <> 'entry'
            """,
            {
                "marts.fct_deal_stage_transitions": ("deal_key", "is_inferred", "direction"),
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
            {
                "staging.stg_amocrm__leads": ("record_id", "status_id"),
                "staging.stg_amocrm__events": ("entity_id", "after_status_id", "created_at"),
            },
        ),
        naive_title="last stage of the log differs from the deal's",
        naive_source="a user's check of Airbyte's HubSpot connector, 250 of 3,000 deals [I: 46576]",
    ),
    Measure(
        truth_id="doubled_load",
        measure_id="doubled_load",
        title="deals, however often they were delivered",
        kind="number",
        true="select count(*), count(*) from truth.deals where not is_gone",
        ours=Way(
            "select count(*) from marts.dim_deals",
            {"marts.dim_deals": ("deal_key",)},
        ),
        naive=Way(
            "select sum(row_count) from raw_amocrm._pulls where resource in ('leads', 'unsorted')",
            {"raw_amocrm._pulls": ("resource", "row_count")},
        ),
        naive_title="every delivery appended",
        naive_source="append without a key: dlt's HubSpot history, dbt-dlt-pipedrive [O3]",
    ),
)
