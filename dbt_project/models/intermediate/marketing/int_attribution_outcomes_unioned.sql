{%- set windows = var("attribution_window_days") -%}
with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

deals_concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

payments as (

    select * from {{ ref("int_payments_matched") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

live_deals as (

    select
        deals.deal_key,
        deals.created_at,
        deals_identified.customer_key,
        deals_identified.deal_kind,
        deals_concluded.outcome,
        deals_concluded.closed_at
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join deals_concluded on deals.deal_key = deals_concluded.deal_key
    where
        not deals.is_deleted
        and deals_identified.deal_kind <> 'test'

),

-- A duplicate or a continuation is the same request told twice: one lead, paid for once.
leads as (

    select
        deal_key as outcome_key,
        deal_key,
        customer_key,
        'lead' as outcome,
        created_at as outcome_at,
        {{ dbt.dateadd("day", -1 * windows["lead"], "created_at") }} as window_start_at
    from live_deals
    where deal_kind in ('new', 'repeat')

),

sales as (

    select
        deal_key as outcome_key,
        deal_key,
        customer_key,
        'won' as outcome,
        closed_at as outcome_at,
        {{ dbt.dateadd("day", -1 * windows["won"], "closed_at") }} as window_start_at
    from live_deals
    where
        outcome = 'won'
        and closed_at is not null

),

-- A deal counts as paid from its first payment on; money that names no deal is its own outcome.
paid_deals as (

    select
        {{ paid_outcome_key() }} as outcome_key,
        min(deal_key) as deal_key,
        min(customer_key) as customer_key,
        min(paid_at) as outcome_at
    from payments
    group by {{ paid_outcome_key() }}

),

receipts as (

    select
        outcome_key,
        deal_key,
        customer_key,
        'paid' as outcome,
        outcome_at,
        {{ dbt.dateadd("day", -1 * windows["paid"], "outcome_at") }} as window_start_at
    from paid_deals

),

outcomes as (

    select * from leads
    union all
    select * from sales
    union all
    select * from receipts

),

final as (

    select
        outcomes.*,
        {{ local_date("outcomes.outcome_at", "settings.time_zone") }} as outcome_date
    from outcomes
    cross join settings

)

select * from final
