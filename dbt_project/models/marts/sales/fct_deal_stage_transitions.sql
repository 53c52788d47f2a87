with moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

spans as (

    select * from {{ ref("int_pipeline_stages_ranked") }}

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
        from_spans.pipeline_id as from_pipeline_id,
        to_spans.pipeline_id as to_pipeline_id,
        from_spans.stage_id as from_stage_id,
        to_spans.stage_id as to_stage_id,
        moves.transitioned_at,
        moves.direction,
        cast(moves.step_count as bigint) as step_count,
        cast(moves.skipped_stage_count as bigint) as skipped_stage_count,
        moves.direction = 'backward' as is_backward,
        {{ seconds_between("moves.previous_at", "moves.transitioned_at") }}
            as dwell_seconds,
        moves.sales_rep_key,
        moves.change_channel,
        moves.is_inferred,
        moves.is_after_gap,
        moves.is_from_dwell_measured as is_dwell_measured
    from moves
    left join spans as from_spans
        on moves.from_span_number = from_spans.span_number
    left join spans as to_spans on moves.to_span_number = to_spans.span_number

)

select * from final
