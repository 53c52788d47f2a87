{{ config(materialized="table") }}
with stages as (

    select * from {{ ref("int_pipeline_stages_mapped") }}

),

-- A pipeline that was deleted as a whole keeps the steps of its past.
living_pipelines as (

    select distinct
        stages.source_system,
        stages.source_account_id,
        stages.pipeline_id
    from stages
    where
        stages.is_current
        and not stages.is_deleted
        and not stages.is_unsorted
        and stages.stage_category = 'open'
        and stages.stage_position > 0

),

-- One row per durable stage: a deleted stage may have no current version, its last one counts. No
-- deal can enter it any more, so no way through the funnel may be asked to pass it.
durable_stages as (

    select
        stages.*,
        case
            when stages.stage_category = 'won' then 'won'
            when stages.stage_category = 'lost' then 'lost'
            when stages.is_unsorted or coalesce(stages.stage_position, 0) = 0 then 'aside'
            when stages.is_deleted and living_pipelines.pipeline_id is not null then 'aside'
            else 'step'
        end as stage_part
    from stages
    left join living_pipelines
        on
            stages.source_system = living_pipelines.source_system
            and stages.source_account_id = living_pipelines.source_account_id
            and stages.pipeline_id = living_pipelines.pipeline_id
    qualify row_number() over (
        partition by stages.stage_key
        order by
            stages.is_current desc,
            stages.valid_from_at desc
    ) = 1

),

numbered as (

    select
        durable_stages.*,
        row_number() over (
            partition by
                durable_stages.source_system,
                durable_stages.source_account_id,
                durable_stages.pipeline_id,
                durable_stages.stage_part
            order by
                durable_stages.stage_position,
                durable_stages.stage_key
        ) as stage_number
    from durable_stages

),

labelled as (

    select
        numbered.*,
        case numbered.stage_part
            when 'step'
                then
                    coalesce(
                        numbered.funnel_step,
                        cast(numbered.stage_number as {{ dbt.type_string() }})
                    )
            when 'aside' then coalesce(numbered.stage_name, numbered.stage_id)
            else numbered.stage_part
        end as step,
        case
            when numbered.stage_part in ('step', 'aside')
                then coalesce(numbered.stage_name, numbered.stage_id)
            else numbered.stage_part
        end as step_name
    from numbered

),

-- Stages of one funnel step stand together where the first of them stands.
step_places as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        step,
        row_number() over (
            partition by
                source_system,
                source_account_id,
                pipeline_id
            order by min(stage_number)
        ) as step_position
    from labelled
    where stage_part = 'step'
    group by
        source_system,
        source_account_id,
        pipeline_id,
        step

),

pipeline_lengths as (

    select
        source_system,
        source_account_id,
        pipeline_id,
        max(step_position) as last_position
    from step_places
    group by
        source_system,
        source_account_id,
        pipeline_id

),

final as (

    select
        labelled.stage_key,
        labelled.source_system,
        labelled.source_account_id,
        labelled.pipeline_id,
        labelled.step,
        case
            when
                labelled.stage_part = 'step'
                and labelled.funnel_step is not null
                then labelled.funnel_step
            else labelled.step_name
        end as step_name,
        cast(
            case
                when labelled.stage_part = 'won'
                    then coalesce(pipeline_lengths.last_position, 0) + 1
                else step_places.step_position
            end as bigint
        ) as step_position,
        case
            when labelled.stage_part = 'won' then '.W.'
            when labelled.stage_part = 'step'
                then
                    {{ dbt.concat([
                        "'.'",
                        "cast(step_places.step_position as " ~ dbt.type_string() ~ ")",
                        "'.'",
                    ]) }}
            else '.-.'
        end as path_mark
    from labelled
    left join step_places
        on
            labelled.source_system = step_places.source_system
            and labelled.source_account_id = step_places.source_account_id
            and labelled.pipeline_id = step_places.pipeline_id
            and labelled.step = step_places.step
            and labelled.stage_part = 'step'
    left join pipeline_lengths
        on
            labelled.source_system = pipeline_lengths.source_system
            and labelled.source_account_id = pipeline_lengths.source_account_id
            and labelled.pipeline_id = pipeline_lengths.pipeline_id

)

select * from final
