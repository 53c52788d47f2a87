{{ config(materialized="table") }}
with moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

steps as (

    select * from {{ ref("int_funnel_steps_ordered") }}

),

cohort_windows as (

    select * from {{ ref("int_cohort_windows_measured") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

pipelines as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        row_number() over (
            order by source_system, source_account_id, pipeline_id
        ) as pipeline_number
    from steps
    group by
        source_system,
        source_account_id,
        pipeline_id

),

numbered_steps as (

    select
        steps.stage_key,
        steps.step_position,
        steps.path_mark,
        pipelines.pipeline_number
    from steps
    inner join pipelines
        on
            steps.source_system = pipelines.source_system
            and steps.source_account_id = pipelines.source_account_id
            and steps.pipeline_id = pipelines.pipeline_id

),

counted_deals as (

    select deals.deal_key
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    where
        not deals.is_deleted
        and deals_identified.deal_kind not in ('test', 'duplicate')

),

entries as (

    select
        moves.deal_key,
        numbered_steps.pipeline_number,
        min(moves.transitioned_at) as first_entered_at
    from moves
    inner join counted_deals on moves.deal_key = counted_deals.deal_key
    inner join numbered_steps on moves.to_stage_key = numbered_steps.stage_key
    group by
        moves.deal_key,
        numbered_steps.pipeline_number

),

deal_entries as (

    select
        entries.*,
        {{ dbt.dateadd(
            "day",
            "cast(cohort_windows.cohort_window_days as integer)",
            "entries.first_entered_at",
        ) }}
            as window_ends_at
    from entries
    cross join cohort_windows

),

-- A path is a word of the deal's stages in their order; what comes after the window is cut off.
paths as (

    select
        deal_entries.deal_key,
        deal_entries.pipeline_number,
        min(deal_entries.first_entered_at) as first_entered_at,
        {{ dbt.listagg(
            "numbered_steps.path_mark", "''", "order by moves.transition_number"
        ) }} as path,
        max(coalesce(numbered_steps.step_position, 0)) as last_position
    from deal_entries
    inner join moves on deal_entries.deal_key = moves.deal_key
    inner join numbered_steps
        on
            moves.to_stage_key = numbered_steps.stage_key
            and deal_entries.pipeline_number = numbered_steps.pipeline_number
    where moves.transitioned_at <= deal_entries.window_ends_at
    group by
        deal_entries.deal_key,
        deal_entries.pipeline_number

),

dated as (

    select
        paths.*,
        cast(
            {{ dbt.date_trunc(
                "month", local_date("paths.first_entered_at", "settings.time_zone")
            ) }}
            as date
        ) as cohort_month_date
    from paths
    cross join settings

),

-- A million deals walk a few thousand different paths: the definitions are worked out per path.
final as (

    select
        pipelines.source_system,
        pipelines.source_account_id,
        pipelines.pipeline_id,
        dated.cohort_month_date,
        dated.path,
        dated.last_position,
        count(*) as deal_count
    from dated
    inner join pipelines on dated.pipeline_number = pipelines.pipeline_number
    group by
        pipelines.source_system,
        pipelines.source_account_id,
        pipelines.pipeline_id,
        dated.cohort_month_date,
        dated.path,
        dated.last_position

)

select * from final
