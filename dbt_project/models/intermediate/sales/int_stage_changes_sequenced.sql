{{ config(materialized="table") }}
{#- A company moves its first deals within days; a log that starts later than this after the
    first deal was connected late. -#}
{%- set late_log_days = var("late_log_days", 14) %}

with changes as (

    select * from {{ ref("int_stage_changes_unioned") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

ties as (

    select * from {{ ref("int_stage_change_ties_chained") }}

),

stages as (

    select * from {{ ref("int_pipeline_stages_ranked") }}

),

logs as (

    select
        changes.deal_key,
        min(changes.changed_at) as first_changed_at,
        max(changes.changed_at) as last_changed_at,
        min(case when changes.from_stage_key is null then changes.changed_at end)
            as first_stated_at,
        count(changes.from_stage_key) as known_from_count
    from changes
    group by changes.deal_key

),

account_logs as (

    select
        deals.source_system,
        deals.source_account_id,
        min(logs.first_changed_at) as log_started_at,
        sum(logs.known_from_count) > 0 as is_from_known,
        {{ dbt.dateadd("day", late_log_days, "min(deals.created_at)") }}
        <= min(logs.first_changed_at) as is_begun_late
    from deals
    left join logs on deals.deal_key = logs.deal_key
    group by deals.source_system, deals.source_account_id

),

-- Stages that are an end, or that the company's map calls open: they speak for their deals.
last_stages as (

    select
        stages.stage_key,
        stages.stage_category,
        stages.is_ruled
    from stages
    qualify row_number() over (
        partition by stages.stage_key
        order by stages.valid_from_at desc
    ) = 1

),

speaking_stages as (

    select last_stages.stage_key
    from last_stages
    where last_stages.stage_category <> 'open' or last_stages.is_ruled

),

-- Closed deals whose own stage tells no end, as in exports with a column for the outcome.
closed_deals as (

    select
        deals.deal_key,
        deals.source_system,
        deals.source_account_id,
        coalesce(deals.pipeline_id, 'default') as pipeline_id,
        deals.stage_key,
        deals.declared_outcome
    from deals
    left join speaking_stages on deals.stage_key = speaking_stages.stage_key
    where
        deals.declared_outcome in ('won', 'lost')
        and speaking_stages.stage_key is null

),

closed_logs as (

    select
        changes.deal_key,
        changes.changed_at,
        coalesce(ties.tie_position, 0) as tie_position,
        changes.to_pipeline_id,
        changes.to_stage_key
    from changes
    inner join closed_deals on changes.deal_key = closed_deals.deal_key
    left join ties on changes.stage_change_key = ties.stage_change_key

),

last_logged as (

    select
        closed_logs.deal_key,
        {{ value_of_last(
            "closed_logs.to_stage_key",
            ["closed_logs.changed_at", "closed_logs.tie_position"],
        ) }} as stage_key,
        {{ value_of_last(
            "closed_logs.to_pipeline_id",
            ["closed_logs.changed_at", "closed_logs.tie_position"],
        ) }} as pipeline_id
    from closed_logs
    group by closed_logs.deal_key

),

-- They end in a stage named after their outcome, in the pipeline where they stood.
resting_deals as (

    select
        closed_deals.deal_key,
        closed_deals.source_system,
        closed_deals.source_account_id,
        closed_deals.declared_outcome,
        case
            when closed_deals.stage_key is null
                then coalesce(last_logged.pipeline_id, closed_deals.pipeline_id)
            else closed_deals.pipeline_id
        end as pipeline_id,
        coalesce(closed_deals.stage_key, last_logged.stage_key) as stage_key,
        last_logged.stage_key as last_logged_stage_key
    from closed_deals
    left join last_logged on closed_deals.deal_key = last_logged.deal_key

),

told_ends as (

    select
        resting_deals.deal_key,
        resting_deals.stage_key,
        resting_deals.last_logged_stage_key,
        {{ entity_key([
            "resting_deals.source_system",
            "resting_deals.source_account_id",
            "resting_deals.pipeline_id",
            "resting_deals.declared_outcome",
        ]) }} as end_stage_key
    from resting_deals
    left join speaking_stages on resting_deals.stage_key = speaking_stages.stage_key
    where speaking_stages.stage_key is null

),

deal_states as (

    select
        deals.deal_key,
        deals.source_system,
        deals.source_account_id,
        deals.created_at,
        deals.updated_at,
        deals.closed_at,
        deals.stage_key,
        told_ends.end_stage_key,
        -- A log that ends where the deal stands needs no move there before the end.
        coalesce(told_ends.last_logged_stage_key = deals.stage_key, false)
            as is_logged_to_the_end,
        {{ entity_key([
            "deals.source_system",
            "deals.source_account_id",
            "coalesce(deals.pipeline_id, 'default')",
            "'created'",
        ]) }} as created_stage_key
    from deals
    left join told_ends
        on
            deals.deal_key = told_ends.deal_key
            and coalesce(told_ends.stage_key <> told_ends.end_stage_key, true)

),

deal_logs as (

    select
        deal_states.deal_key,
        deal_states.created_at,
        logs.first_changed_at,
        -- Only a log that knows what was before can say "there was nothing before".
        logs.first_changed_at is null
        or (
            logs.first_changed_at > deal_states.created_at
            and not (
                account_logs.is_from_known
                and coalesce(logs.first_stated_at = logs.first_changed_at, false)
            )
        ) as is_entry_inferred,
        deal_states.created_at < account_logs.log_started_at
        and account_logs.is_begun_late as is_log_late,
        account_logs.log_started_at is not null as is_log_kept,
        -- Without a log a closed deal has two known moments, an open one has one.
        case
            when logs.first_changed_at is not null
                then deal_states.created_stage_key
            when deal_states.end_stage_key is not null
                then
                    coalesce(
                        deal_states.stage_key,
                        case
                            when deal_states.closed_at <= deal_states.created_at
                                then deal_states.end_stage_key
                        end,
                        deal_states.created_stage_key
                    )
            when deal_states.closed_at > deal_states.created_at
                then deal_states.created_stage_key
            else
                coalesce(deal_states.stage_key, deal_states.created_stage_key)
        end as entry_stage_key,
        case
            when deal_states.is_logged_to_the_end then null
            when logs.first_changed_at is not null then deal_states.stage_key
            when
                deal_states.end_stage_key is null
                and deal_states.closed_at > deal_states.created_at
                then deal_states.stage_key
        end as last_stage_key,
        case
            when
                logs.first_changed_at is null
                and deal_states.stage_key is null
                and deal_states.closed_at <= deal_states.created_at
                then null
            else deal_states.end_stage_key
        end as end_stage_key,
        case
            when deal_states.end_stage_key is not null
                then
                    greatest(
                        coalesce(
                            deal_states.closed_at,
                            deal_states.updated_at,
                            deal_states.created_at
                        ),
                        coalesce(logs.last_changed_at, deal_states.created_at)
                    )
            when logs.first_changed_at is null then deal_states.closed_at
            else
                greatest(
                    coalesce(
                        deal_states.updated_at,
                        deal_states.closed_at,
                        logs.last_changed_at
                    ),
                    logs.last_changed_at
                )
        end as stated_at
    from deal_states
    inner join account_logs
        on
            deal_states.source_system = account_logs.source_system
            and deal_states.source_account_id = account_logs.source_account_id
    left join logs on deal_states.deal_key = logs.deal_key

),

-- Almost always empty, so that dropping changes of unknown deals costs no join of all changes.
orphans as (

    select logs.deal_key
    from logs
    left join deals on logs.deal_key = deals.deal_key
    where deals.deal_key is null

),

events as (

    select
        changes.deal_key,
        1 as event_kind,
        changes.changed_at,
        coalesce(ties.tie_position, 0) as tie_position,
        changes.from_stage_key,
        changes.to_stage_key,
        changes.changed_by_sales_rep_key as sales_rep_key,
        changes.change_channel,
        false as is_inferred,
        false as is_left_truncated,
        true as is_start_known,
        true as is_log_kept
    from changes
    left join ties on changes.stage_change_key = ties.stage_change_key
    left join orphans on changes.deal_key = orphans.deal_key
    where orphans.deal_key is null
    union all
    select
        deal_logs.deal_key,
        0 as event_kind,
        deal_logs.created_at as changed_at,
        0 as tie_position,
        null as from_stage_key,
        deal_logs.entry_stage_key as to_stage_key,
        null as sales_rep_key,
        null as change_channel,
        true as is_inferred,
        coalesce(deal_logs.is_log_late, false) as is_left_truncated,
        deal_logs.is_log_kept
        and not coalesce(deal_logs.is_log_late, false) as is_start_known,
        deal_logs.is_log_kept
    from deal_logs
    where deal_logs.is_entry_inferred
    union all
    select
        deal_logs.deal_key,
        2 as event_kind,
        deal_logs.stated_at as changed_at,
        0 as tie_position,
        null as from_stage_key,
        deal_logs.last_stage_key as to_stage_key,
        null as sales_rep_key,
        null as change_channel,
        true as is_inferred,
        false as is_left_truncated,
        false as is_start_known,
        deal_logs.is_log_kept
    from deal_logs
    where deal_logs.last_stage_key is not null
    union all
    select
        deal_logs.deal_key,
        3 as event_kind,
        deal_logs.stated_at as changed_at,
        0 as tie_position,
        null as from_stage_key,
        deal_logs.end_stage_key as to_stage_key,
        null as sales_rep_key,
        null as change_channel,
        true as is_inferred,
        false as is_left_truncated,
        false as is_start_known,
        deal_logs.is_log_kept
    from deal_logs
    where deal_logs.end_stage_key is not null

),

-- The only pass that sorts everything: one row of a deal after the other.
ordered as (

    select
        events.*,
        row_number() over log as transition_number,
        lag(events.event_kind) over log as previous_kind,
        lag(events.to_stage_key) over log as previous_stage_key,
        lag(events.changed_at) over log as previous_at,
        lag(events.is_start_known) over log as is_previous_start_known,
        lead(events.event_kind) over log as next_kind,
        lead(events.from_stage_key) over log as next_from_stage_key,
        lead(events.to_stage_key) over log as next_stage_key,
        lead(events.changed_at) over log as next_at
    from events
    window
        log as (
            partition by events.deal_key
            order by events.event_kind, events.changed_at, events.tie_position
        )

),

moves as (

    select
        ordered.deal_key,
        ordered.transition_number,
        case
            when ordered.previous_kind = 0
                then coalesce(ordered.from_stage_key, ordered.previous_stage_key)
            else ordered.previous_stage_key
        end as from_stage_key,
        case
            when ordered.event_kind = 0 and ordered.next_kind = 1
                then coalesce(ordered.next_from_stage_key, ordered.to_stage_key)
            else ordered.to_stage_key
        end as to_stage_key,
        ordered.changed_at as transitioned_at,
        ordered.previous_at,
        -- The deal's own stage is a move only where the log ends elsewhere.
        case
            when
                ordered.next_kind = 2
                and ordered.next_stage_key = ordered.to_stage_key
                then null
            else ordered.next_at
        end as next_at,
        ordered.sales_rep_key,
        coalesce(ordered.change_channel, 'unknown') as change_channel,
        ordered.is_inferred,
        -- The record states another stage before it than the log shows: moves between are missing.
        coalesce(
            ordered.event_kind = 1
            and ordered.previous_kind = 1
            and ordered.from_stage_key <> ordered.previous_stage_key,
            false
        ) as is_after_gap,
        ordered.is_left_truncated,
        ordered.is_log_kept,
        -- Where the next stage comes from the deal alone, or behind a gap, the stay ended at a
        -- moment nobody wrote down; what looks like a long stay may have been a short one.
        ordered.is_start_known
        and not coalesce(
            (
                ordered.next_kind in (2, 3)
                and ordered.next_stage_key <> ordered.to_stage_key
            )
            or (
                ordered.event_kind = 1
                and ordered.next_kind = 1
                and ordered.next_from_stage_key <> ordered.to_stage_key
            ),
            false
        ) as is_dwell_measured,
        ordered.is_previous_start_known,
        case
            when ordered.event_kind = 0 then 'entry'
            when ordered.event_kind = 2 and ordered.previous_kind = 0 then 'outcome'
            when ordered.event_kind = 2 then 'state'
            when ordered.event_kind = 3 then 'outcome'
        end as inference
    from ordered
    where
        ordered.event_kind <> 2
        or ordered.previous_stage_key <> ordered.to_stage_key

),

placed as (

    select
        moves.*,
        from_stages.span_number as from_span_number,
        to_stages.span_number as to_span_number,
        coalesce(from_stages.pipeline_id <> to_stages.pipeline_id, false)
            as is_pipeline_move,
        case
            when moves.from_stage_key is not null
                then coalesce(from_stages.stage_category, 'open')
        end as from_stage_category,
        coalesce(to_stages.stage_category, 'open') as to_stage_category,
        coalesce(to_stages.pipeline_role, 'sales') as to_pipeline_role,
        coalesce(to_stages.is_created_stage, false) as is_created_stage,
        case
            when from_stages.pipeline_id = to_stages.pipeline_id
                then to_stages.stage_order - from_stages.stage_order
        end as order_difference,
        case
            when from_stages.pipeline_id = to_stages.pipeline_id
                then to_stages.stage_rank - from_stages.stage_rank
        end as rank_difference,
        case
            when
                from_stages.pipeline_id = to_stages.pipeline_id
                and from_stages.stage_category = 'open'
                and not from_stages.is_created_stage
                and to_stages.stage_order > from_stages.stage_order
                then to_stages.live_before_count - from_stages.live_through_count
        end as skipped_stage_count,
        to_stages.stage_rank as to_stage_rank,
        to_stages.live_before_count as to_live_before_count
    from moves
    left join stages as to_stages
        on
            moves.to_stage_key = to_stages.stage_key
            and moves.transitioned_at >= to_stages.valid_from_at
            and moves.transitioned_at < to_stages.valid_to_at
    left join stages as from_stages
        on
            moves.from_stage_key = from_stages.stage_key
            and moves.transitioned_at >= from_stages.valid_from_at
            and moves.transitioned_at < from_stages.valid_to_at

),

directed as (

    select
        placed.*,
        case
            when placed.transition_number = 1 then 'entry'
            when placed.from_stage_key = placed.to_stage_key then 'same'
            when placed.to_stage_category in ('won', 'lost')
                then placed.to_stage_category
            when placed.is_pipeline_move
                then 'pipeline_move'
            when placed.from_stage_category in ('won', 'lost') then 'reopen'
            when placed.order_difference < 0 then 'backward'
            when placed.skipped_stage_count > 0 then 'skip'
            else 'forward'
        end as direction
    from placed

),

final as (

    select
        directed.deal_key,
        directed.transition_number,
        directed.from_stage_key,
        directed.to_stage_key,
        directed.from_span_number,
        directed.to_span_number,
        directed.is_created_stage,
        -- It begins where a deal could have been earlier; a won stage lies behind all others.
        coalesce(
            directed.to_stage_rank is not null
            and not directed.is_created_stage
            and directed.to_live_before_count > 0,
            false
        ) as is_mid_funnel_stage,
        directed.transitioned_at,
        directed.previous_at,
        directed.next_at,
        directed.direction,
        case
            when directed.direction = 'backward'
                then least(directed.rank_difference, -1)
            when directed.direction in ('forward', 'skip')
                then
                    case
                        when directed.order_difference > 0
                            then greatest(directed.rank_difference, 1)
                    end
            when directed.direction = 'entry' then null
            else directed.rank_difference
        end as step_count,
        case
            when directed.direction in ('forward', 'skip', 'won')
                then greatest(coalesce(directed.skipped_stage_count, 0), 0)
            else 0
        end as skipped_stage_count,
        -- What the CRM's stage says about the sale: only a sales pipeline can win, what happens
        -- to goods or service afterwards says nothing (null).
        case
            when directed.to_pipeline_role in ('sales', 'repeat')
                then directed.to_stage_category
            when directed.to_pipeline_role = 'qualification'
                then
                    case
                        when directed.to_stage_category = 'lost' then 'lost'
                        else 'open'
                    end
        end as stated_outcome,
        directed.sales_rep_key,
        directed.change_channel,
        directed.is_inferred,
        directed.is_after_gap,
        directed.inference,
        directed.is_left_truncated,
        directed.is_log_kept,
        directed.is_dwell_measured,
        -- The same of the stay that this move ends: only a record that continues the log ends one.
        coalesce(directed.is_previous_start_known, false)
        and not directed.is_inferred
        and not directed.is_after_gap as is_from_dwell_measured
    from directed

)

select * from final
