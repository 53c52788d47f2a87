with transitions as (

    select * from {{ ref("fct_deal_stage_transitions") }}

),

visits as (

    select * from {{ ref("fct_deal_stage_visits") }}

),

stages as (

    select * from {{ ref("dim_pipeline_stages") }}
    where is_current

),

deals as (

    select * from {{ ref("dim_deals") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

live_deals as (

    select deal_key
    from deals
    where
        not is_deleted
        and deal_kind <> 'test'

),

moves as (

    select
        cast(
            {{ dbt.date_trunc(
                "month", local_date("transitions.transitioned_at", "settings.time_zone")
            ) }}
            as date
        ) as month_date,
        coalesce(transitions.from_pipeline_id, transitions.to_pipeline_id) as pipeline_id,
        transitions.from_stage_key,
        transitions.to_stage_key,
        -- A move nobody logged, or one behind a gap, does not tell how long the stay was.
        case when transitions.is_dwell_measured then transitions.dwell_seconds end
            as dwell_seconds
    from transitions
    inner join live_deals on transitions.deal_key = live_deals.deal_key
    cross join settings

),

counted as (

    select
        month_date,
        pipeline_id,
        from_stage_key,
        to_stage_key,
        case when from_stage_key is null then 'entry' else 'exit' end as row_kind,
        count(*) as transition_count,
        cast(0 as bigint) as open_visit_count,
        count(dwell_seconds) as measured_count,
        cast(sum(dwell_seconds) / nullif(count(dwell_seconds), 0) as decimal(18, 6))
            as mean_dwell_seconds,
        cast(percentile_cont(0.5) within group (order by dwell_seconds) as decimal(18, 6))
            as median_dwell_seconds
    from moves
    group by
        month_date,
        pipeline_id,
        from_stage_key,
        to_stage_key

),

-- Stays that have not ended are no exits: they stand aside, in the month they began.
open_visits as (

    select
        cast(
            {{ dbt.date_trunc(
                "month", local_date("visits.entered_at", "settings.time_zone")
            ) }}
            as date
        ) as month_date,
        stages.pipeline_id,
        visits.stage_key as from_stage_key,
        cast(null as {{ dbt.type_string() }}) as to_stage_key,
        'open' as row_kind,
        cast(0 as bigint) as transition_count,
        count(*) as open_visit_count,
        cast(0 as bigint) as measured_count,
        cast(null as decimal(18, 6)) as mean_dwell_seconds,
        cast(null as decimal(18, 6)) as median_dwell_seconds
    from visits
    inner join live_deals on visits.deal_key = live_deals.deal_key
    inner join stages on visits.stage_key = stages.stage_key
    cross join settings
    where
        visits.exited_at is null
        and stages.stage_category = 'open'
    group by
        cast(
            {{ dbt.date_trunc(
                "month", local_date("visits.entered_at", "settings.time_zone")
            ) }}
            as date
        ),
        stages.pipeline_id,
        visits.stage_key

),

all_rows as (

    select * from counted
    union all
    select * from open_visits

),

final as (

    select
        all_rows.month_date,
        all_rows.pipeline_id,
        all_rows.from_stage_key,
        from_stages.stage_name as from_stage_name,
        all_rows.to_stage_key,
        to_stages.stage_name as to_stage_name,
        all_rows.row_kind,
        all_rows.transition_count,
        cast(all_rows.transition_count as double)
        / nullif(
            sum(all_rows.transition_count) over (
                partition by
                    all_rows.month_date,
                    all_rows.from_stage_key,
                    all_rows.row_kind,
                    case when all_rows.row_kind = 'entry' then all_rows.pipeline_id end
            ),
            0
        ) as share_of_exits_ratio,
        all_rows.mean_dwell_seconds,
        all_rows.median_dwell_seconds,
        all_rows.open_visit_count,
        all_rows.measured_count
    from all_rows
    left join stages as from_stages on all_rows.from_stage_key = from_stages.stage_key
    left join stages as to_stages on all_rows.to_stage_key = to_stages.stage_key

)

select * from final
