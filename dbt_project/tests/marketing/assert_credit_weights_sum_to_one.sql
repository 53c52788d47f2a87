-- A returned row is an outcome whose weights under a model do not add up to exactly 1.
select
    outcome,
    attribution_model,
    coalesce(deal_key, credit_key) as outcome_key,
    sum(credit_weight) as total_weight
from {{ ref("fct_attribution_credits") }}
group by
    outcome,
    attribution_model,
    coalesce(deal_key, credit_key)
having sum(credit_weight) <> 1
