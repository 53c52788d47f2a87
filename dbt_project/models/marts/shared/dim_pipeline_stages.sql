with stages as (

    select * from {{ ref("int_pipeline_stages_mapped") }}

),

moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

used_implied_stages as (

    select distinct moves.to_stage_key as stage_key
    from moves
    where moves.is_inferred

),

final as (

    select
        stages.stage_version_key,
        stages.stage_key,
        stages.source_system,
        stages.source_account_id,
        stages.pipeline_id,
        stages.pipeline_name,
        stages.pipeline_role,
        stages.stage_id,
        coalesce(stages.stage_name, stages.stage_id) as stage_name,
        stages.stage_position,
        stages.stage_category,
        stages.funnel_step,
        stages.is_mapped,
        stages.is_unsorted,
        stages.valid_from_at,
        stages.valid_to_at,
        stages.is_current,
        stages.is_deleted
    from stages
    left join used_implied_stages
        on stages.stage_key = used_implied_stages.stage_key
    where not stages.is_implied or used_implied_stages.stage_key is not null

)

select * from final
