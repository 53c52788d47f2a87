-- A returned row is a deal whose lead or sale is missing from the credits, or should not be there.
with deals as (

    select
        deal_key,
        deal_kind in ('new', 'repeat') as is_lead,
        coalesce(outcome = 'won' and closed_at is not null, false) as is_won
    from {{ ref("dim_deals") }}
    where
        not is_deleted
        and deal_kind <> 'test'

),

expected as (

    select
        deal_key,
        'lead' as outcome
    from deals
    where is_lead
    union all
    select
        deal_key,
        'won' as outcome
    from deals
    where is_won

),

credited as (

    select
        deal_key,
        outcome
    from {{ ref("int_deal_touches_weighted") }}
    where outcome in ('lead', 'won')
    group by
        deal_key,
        outcome

)

select
    coalesce(expected.deal_key, credited.deal_key) as deal_key,
    coalesce(expected.outcome, credited.outcome) as outcome,
    credited.deal_key is null as is_missing
from expected
full outer join credited
    on
        expected.deal_key = credited.deal_key
        and expected.outcome = credited.outcome
where
    expected.deal_key is null
    or credited.deal_key is null
