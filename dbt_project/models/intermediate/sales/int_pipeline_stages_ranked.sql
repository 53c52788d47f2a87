{{ config(materialized="table") }}

with stages as (

    select * from {{ ref("int_pipeline_stages_mapped") }}

),

-- Whenever a stage of a pipeline changes, the ranks of its neighbours may change too.
moments as (

    select distinct
        stages.source_system,
        stages.source_account_id,
        stages.pipeline_id,
        stages.valid_from_at
    from stages

),

epochs as (

    select
        moments.*,
        lead(moments.valid_from_at) over pipeline_moments as valid_to_at,
        row_number() over (
            order by
                moments.source_system,
                moments.source_account_id,
                moments.pipeline_id,
                moments.valid_from_at
        ) as epoch_number
    from moments
    window
        pipeline_moments as (
            partition by
                moments.source_system,
                moments.source_account_id,
                moments.pipeline_id
            order by moments.valid_from_at
        )

),

stages_of_epochs as (

    select
        epochs.epoch_number,
        stages.stage_key,
        stages.stage_version_key,
        stages.pipeline_id,
        stages.stage_id,
        stages.stage_category,
        stages.is_ruled,
        stages.pipeline_role,
        stages.stage_position,
        epochs.valid_from_at,
        epochs.valid_to_at,
        -- A stage that can be skipped: neither deleted, nor "unsorted", nor "created".
        stages.stage_category = 'open'
        and coalesce(stages.stage_position > 0, false)
        and not stages.is_unsorted
        and not stages.is_deleted as is_live,
        coalesce(stages.stage_position = 0, false) as is_created_stage
    from stages
    inner join epochs
        on
            stages.source_system = epochs.source_system
            and stages.source_account_id = epochs.source_account_id
            and stages.pipeline_id = epochs.pipeline_id
            and stages.valid_from_at <= epochs.valid_from_at
            and (
                stages.valid_to_at is null
                or stages.valid_to_at > epochs.valid_from_at
            )

),

-- Places among all stages of the pipeline in their order, and among those that can be skipped.
counted as (

    select
        stages_of_epochs.*,
        -- A lost stage has no place in the funnel, nor has one the dictionary does not order.
        stages_of_epochs.stage_category <> 'lost'
        and stages_of_epochs.stage_position is not null as is_placed,
        count(case when stages_of_epochs.is_live then 1 end) over (
            partition by stages_of_epochs.epoch_number
        ) as live_count,
        count(case when stages_of_epochs.is_live then 1 end) over stages_in_order
            as live_through_count,
        row_number() over stages_in_order as place
    from stages_of_epochs
    window
        stages_in_order as (
            partition by stages_of_epochs.epoch_number
            order by
                stages_of_epochs.stage_position asc nulls last,
                stages_of_epochs.stage_id asc
            rows between unbounded preceding and current row
        )

),

ranked as (

    select
        counted.stage_key,
        counted.stage_version_key,
        counted.pipeline_id,
        counted.pipeline_role,
        counted.stage_id,
        counted.stage_category,
        counted.is_ruled,
        counted.is_created_stage,
        counted.is_live,
        counted.valid_from_at,
        counted.valid_to_at,
        case
            when counted.stage_category = 'won' then 1000000
            when counted.is_placed then counted.place
        end as stage_order,
        case
            when counted.stage_category = 'won' then counted.live_count + 1
            when counted.is_placed and counted.is_created_stage then 0
            when counted.is_placed and counted.is_live then counted.live_through_count
            when counted.is_placed then counted.live_through_count + 1
        end as stage_rank,
        case
            when counted.stage_category = 'won' then counted.live_count
            when counted.is_live then counted.live_through_count - 1
            else counted.live_through_count
        end as live_before_count,
        case
            when counted.stage_category = 'won' then counted.live_count
            else counted.live_through_count
        end as live_through_count
    from counted

),

-- Most changes of a pipeline leave a stage's row as it was; joining the ten million moves to
-- one row per edit of a neighbour would multiply them for nothing.
marked as (

    select
        ranked.*,
        case
            when
                lag(ranked.stage_version_key) over versions
                = ranked.stage_version_key
                and coalesce(lag(ranked.stage_order) over versions, -1)
                = coalesce(ranked.stage_order, -1)
                and coalesce(lag(ranked.stage_rank) over versions, -1)
                = coalesce(ranked.stage_rank, -1)
                and lag(ranked.live_before_count) over versions
                = ranked.live_before_count
                and lag(ranked.live_through_count) over versions
                = ranked.live_through_count
                and lag(ranked.is_live) over versions = ranked.is_live
                and lag(ranked.valid_to_at) over versions = ranked.valid_from_at
                then 0
            else 1
        end as is_new
    from ranked
    window
        versions as (
            partition by ranked.stage_key
            order by ranked.valid_from_at
        )

),

numbered as (

    select
        marked.*,
        sum(marked.is_new) over (
            partition by marked.stage_key
            order by marked.valid_from_at
            rows between unbounded preceding and current row
        ) as rank_version
    from marked

),

spans as (

    select
        numbered.stage_key,
        numbered.stage_version_key,
        numbered.pipeline_id,
        numbered.pipeline_role,
        numbered.stage_id,
        numbered.stage_category,
        numbered.is_ruled,
        numbered.is_created_stage,
        numbered.stage_order,
        numbered.stage_rank,
        numbered.live_before_count,
        numbered.live_through_count,
        min(numbered.valid_from_at) as valid_from_at,
        -- An end that is always there: a join on "no end or before it" cannot use a hash.
        case
            when count(*) = count(numbered.valid_to_at)
                then max(numbered.valid_to_at)
            else cast('9999-12-31' as timestamp)
        end as valid_to_at
    from numbered
    group by
        numbered.stage_key,
        numbered.stage_version_key,
        numbered.pipeline_id,
        numbered.pipeline_role,
        numbered.stage_id,
        numbered.stage_category,
        numbered.is_ruled,
        numbered.is_created_stage,
        numbered.stage_order,
        numbered.stage_rank,
        numbered.live_before_count,
        numbered.live_through_count,
        numbered.rank_version

),

-- A small number stands for the span in the table of all moves: text there costs seconds.
final as (

    select
        spans.*,
        cast(
            row_number() over (
                order by spans.stage_key, spans.valid_from_at
            ) as integer
        ) as span_number
    from spans

)

select * from final
