with moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

final as (

    select
        {{ dbt.concat([
            "moves.deal_key",
            "':'",
            "cast(moves.transition_number as " ~ dbt.type_string() ~ ")",
        ]) }} as transition_key,
        moves.deal_key,
        moves.transition_number,
        moves.from_stage_key,
        moves.to_stage_key,
        moves.from_pipeline_id,
        moves.to_pipeline_id,
        moves.from_stage_id,
        moves.to_stage_id,
        moves.transitioned_at,
        moves.direction,
        cast(moves.step_count as bigint) as step_count,
        cast(moves.skipped_stage_count as bigint) as skipped_stage_count,
        moves.direction = 'backward' as is_backward,
        {{ seconds_between("moves.previous_at", "moves.transitioned_at") }}
            as dwell_seconds,
        moves.sales_rep_key,
        moves.change_channel,
        moves.is_inferred
    from moves

)

select * from final
