-- A returned row is a won deal, or a paid one, whose credited money differs from the money itself.
with credits as (

    select
        outcome,
        attribution_model,
        deal_key,
        sum(credit_amount) as credit_amount
    from {{ ref("fct_attribution_credits") }}
    where outcome in ('won', 'paid')
    group by
        outcome,
        attribution_model,
        deal_key

),

payments as (

    select
        deal_key,
        sum(payment_amount) as payment_amount
    from {{ ref("fct_payments") }}
    group by deal_key

),

deals as (

    select * from {{ ref("dim_deals") }}

),

compared as (

    select
        credits.outcome,
        credits.attribution_model,
        credits.deal_key,
        credits.credit_amount,
        case credits.outcome
            when 'won' then deals.deal_amount
            else payments.payment_amount
        end as outcome_amount
    from credits
    left join deals on credits.deal_key = deals.deal_key
    left join payments on credits.deal_key is not distinct from payments.deal_key

)

select *
from compared
where credit_amount is distinct from outcome_amount
