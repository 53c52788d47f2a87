-- A returned row is a period in which two tables count the people who came differently.
select
    panel.period_type,
    panel.period_start_date,
    panel.value as came,
    bridge.deal_count as people
from {{ ref("rpt_owner_panel") }} as panel
left join {{ ref("rpt_deal_bridge") }} as bridge
    on
        panel.period_type = bridge.period_type
        and panel.period_start_date = bridge.period_start_date
        and bridge.step = 'people'
where
    panel.metric_id = 'came'
    and panel.value is not null
    and panel.value <> coalesce(bridge.deal_count, 0)
