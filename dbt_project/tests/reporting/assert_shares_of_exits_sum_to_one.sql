-- A returned row is a month and stage whose exits do not add up to 1.
select
    month_date,
    from_stage_key,
    sum(share_of_exits_ratio) as total_share
from {{ ref("rpt_stage_transition_matrix") }}
where row_kind = 'exit'
group by
    month_date,
    from_stage_key
having abs(sum(share_of_exits_ratio) - 1) > 1e-9
