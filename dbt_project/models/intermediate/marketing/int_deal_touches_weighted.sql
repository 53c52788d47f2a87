{#- A table: the credits read it once per attribution model. -#}
{{ config(materialized="table") }}
{%- set half_life = var("attribution_half_life_days") -%}
with outcomes as (

    select * from {{ ref("int_attribution_outcomes_unioned") }}

),

touches as (

    select * from {{ ref("int_touches_unioned") }}

),

-- A number instead of the two text keys: every window below groups and sorts by it.
numbered as (

    select
        outcomes.*,
        row_number() over () as outcome_number
    from outcomes

),

candidates as (

    select
        numbered.outcome_number,
        touches.touch_key,
        touches.touched_at,
        touches.channel,
        touches.campaign_key,
        touches.is_direct
    from numbered
    inner join touches
        on
            numbered.customer_key = touches.customer_key
            and numbered.outcome_at >= touches.touched_at
            and numbered.window_start_at <= touches.touched_at

),

ordered as (

    select
        candidates.*,
        row_number() over (
            partition by candidates.outcome_number
            order by
                candidates.touched_at,
                candidates.touch_key
        ) as touch_number,
        count(*) over (partition by candidates.outcome_number) as touch_count,
        max(candidates.touched_at) over (
            partition by candidates.outcome_number
        ) as last_touched_at
    from candidates

),

-- Distances from the last touch instead of the outcome: the ratios are the same and the last
-- weight is always 1, so no path underflows. A decimal sum does not depend on the order of its
-- rows as a sum of doubles does, and two builds must give the same bytes.
decayed as (

    select
        ordered.*,
        cast(
            power(
                2e0,
                -cast(
                    {{ seconds_between("ordered.touched_at", "ordered.last_touched_at") }} as double
                )
                / ({{ half_life }} * 86400e0)
            ) as decimal(18, 15)
        ) as decay
    from ordered

),

path_totals as (

    select
        outcome_number,
        sum(decay) as decay_total,
        max(case when not is_direct then touch_number end) as last_non_direct_number
    from decayed
    group by outcome_number

),

shared as (

    select
        decayed.*,
        path_totals.last_non_direct_number,
        case
            when decayed.touch_number < decayed.touch_count
                then cast(decayed.decay / path_totals.decay_total as decimal(18, 12))
            else cast(0 as decimal(18, 12))
        end as earlier_decay_weight
    from decayed
    inner join path_totals on decayed.outcome_number = path_totals.outcome_number

),

remainders as (

    select
        outcome_number,
        cast(1 as decimal(18, 12)) - sum(earlier_decay_weight) as last_decay_weight
    from shared
    group by outcome_number

),

-- Every rounding remainder goes to the last touch, so each model's weights add up to exactly 1.
shares as (

    select
        numbered.outcome_key,
        numbered.deal_key,
        numbered.outcome,
        numbered.outcome_at,
        numbered.outcome_date,
        shared.touch_key,
        shared.touched_at,
        shared.channel,
        shared.campaign_key,
        coalesce(shared.touch_number, 1) as touch_number,
        coalesce(shared.touch_count, 1) as touch_count,
        coalesce(shared.touch_number = shared.touch_count, true) as is_last,
        shared.last_non_direct_number,
        shared.earlier_decay_weight,
        remainders.last_decay_weight,
        cast(1e0 / coalesce(shared.touch_count, 1) as decimal(18, 12)) as even_weight,
        cast(
            0.2e0 / nullif(greatest(coalesce(shared.touch_count, 1) - 2, 0), 0)
            as decimal(18, 12)
        ) as middle_weight
    from numbered
    left join shared on numbered.outcome_number = shared.outcome_number
    left join remainders on shared.outcome_number = remainders.outcome_number

),

final as (

    select
        outcome_key,
        deal_key,
        outcome,
        outcome_at,
        outcome_date,
        touch_key,
        touched_at,
        channel,
        campaign_key,
        cast(case when touch_key is null then 0 else touch_number end as bigint) as touch_number,
        cast(case when touch_key is null then 0 else touch_count end as bigint) as touch_count,
        touch_key is not null
        and last_non_direct_number is null as has_only_direct_touches,
        cast(case when touch_number = 1 then 1 else 0 end as decimal(18, 12)) as first_weight,
        cast(case when is_last then 1 else 0 end as decimal(18, 12)) as last_weight,
        cast(
            case
                when touch_number = coalesce(last_non_direct_number, touch_count) then 1
                else 0
            end as decimal(18, 12)
        ) as last_non_direct_weight,
        cast(
            case
                when is_last then 1 - (touch_count - 1) * even_weight
                else even_weight
            end as decimal(18, 12)
        ) as linear_weight,
        cast(
            case
                when touch_count = 1 then 1.0
                when touch_count = 2 then 0.5
                when touch_number = 1 then 0.4
                when is_last then 0.6 - (touch_count - 2) * middle_weight
                else middle_weight
            end as decimal(18, 12)
        ) as position_weight,
        cast(
            case
                when touch_key is null then 1
                when is_last then last_decay_weight
                else earlier_decay_weight
            end as decimal(18, 12)
        ) as time_decay_weight
    from shares

)

select * from final
