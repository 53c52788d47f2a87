-- A returned row is a period type whose bridge holds more or fewer deals than there are.
with deals as (

    select count(*) as deal_count
    from {{ ref("dim_deals") }}

)

select
    bridge.period_type,
    sum(bridge.deal_count) as bridge_count,
    min(deals.deal_count) as deal_count
from {{ ref("rpt_deal_bridge") }} as bridge
cross join deals
where bridge.step = 'deals'
group by bridge.period_type
having sum(bridge.deal_count) <> min(deals.deal_count)
