-- A returned row is a touch credited for what had already happened.
select
    outcome_key,
    outcome,
    touch_key,
    touched_at,
    outcome_at
from {{ ref("int_deal_touches_weighted") }}
where touched_at > outcome_at
