-- A returned row is a deal that stands in no stage or in several at once.
with deals as (

    select * from {{ ref("dim_deals") }}

),

visits as (

    select * from {{ ref("fct_deal_stage_visits") }}

),

open_visits as (

    select
        visits.deal_key,
        count(*) as open_visit_count
    from visits
    where visits.exited_at is null
    group by visits.deal_key

),

final as (

    select
        deals.deal_key,
        coalesce(open_visits.open_visit_count, 0) as open_visit_count
    from deals
    left join open_visits on deals.deal_key = open_visits.deal_key
    where coalesce(open_visits.open_visit_count, 0) <> 1

)

select * from final
