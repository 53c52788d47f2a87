-- A returned row is a period whose deals are not the people and the steps between.
select
    period_type,
    period_start_date,
    sum(deal_count) filter (where step = 'deals') as deal_count,
    sum(deal_count) filter (where step <> 'deals') as explained_count
from {{ ref("rpt_deal_bridge") }}
group by
    period_type,
    period_start_date
having
    sum(deal_count) filter (where step = 'deals')
    <> sum(deal_count) filter (where step <> 'deals')
