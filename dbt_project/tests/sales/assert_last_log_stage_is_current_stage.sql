-- A returned row is a deal whose last stay is in another stage than the deal itself.
with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

visits as (

    select * from {{ ref("fct_deal_stage_visits") }}

),

last_visits as (

    select
        visits.deal_key,
        visits.stage_key
    from visits
    where visits.exited_at is null

),

final as (

    select
        deals.deal_key,
        deals.stage_key,
        last_visits.stage_key as last_visit_stage_key
    from deals
    left join last_visits on deals.deal_key = last_visits.deal_key
    where
        last_visits.stage_key is null
        or last_visits.stage_key <> deals.stage_key

)

select * from final
