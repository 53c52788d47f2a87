with deals as (

    select * from {{ ref("int_deals_concluded") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

source_deals as (

    select * from {{ ref("int_deals_unioned") }}

),

won_cycles as (

    select
        percentile_cont(0.9) within group (
            order by {{ seconds_between("deals.created_at", "deals.closed_at") }}
        )
        / 86400 as p90_days
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join source_deals on deals.deal_key = source_deals.deal_key
    where
        deals.outcome = 'won'
        and deals.closed_at >= deals.created_at
        and deals_identified.deal_kind <> 'test'
        and not source_deals.is_deleted

),

-- Without a single sale the quarter is as good a guess as any; it is marked by the null cycle.
final as (

    select
        cast(p90_days as double) as won_cycle_p90_days,
        cast(
            case
                when p90_days is null then 90
                when p90_days <= 14 then 14
                when p90_days <= 30 then 30
                when p90_days <= 60 then 60
                when p90_days <= 90 then 90
                else 180
            end as bigint
        ) as cohort_window_days
    from won_cycles

)

select * from final
