with customers as (

    select * from {{ ref("int_customers_segmented") }}

),

nodes as (

    select * from {{ ref("int_customers_clustered") }}

),

keys as (

    select * from {{ ref("int_identity_keys") }}
    where
        identifier_kind <> 'company'
        and not is_excepted

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

payments as (

    select * from {{ ref("int_payments_matched") }}

),

deal_facts as (

    select
        deals_identified.customer_key,
        min(
            case
                when
                    not deals.is_deleted
                    and deals_identified.deal_kind not in ('test', 'service')
                    then deals.created_at
            end
        ) as first_lead_at,
        count(
            case
                when
                    concluded.outcome = 'won'
                    and not deals.is_deleted
                    and deals_identified.deal_kind not in ('test', 'service')
                    then 1
            end
        ) as order_count
    from deals_identified
    inner join deals on deals_identified.deal_key = deals.deal_key
    inner join concluded on deals_identified.deal_key = concluded.deal_key
    group by deals_identified.customer_key

),

payment_facts as (

    select
        payments.customer_key,
        min(payments.paid_at) as first_paid_at
    from payments
    where payments.payment_amount > 0
    group by payments.customer_key

),

key_facts as (

    select
        nodes.customer_key,
        count(distinct keys.identifier_value) as identity_key_count
    from keys
    inner join nodes on keys.person_key = nodes.person_key
    group by nodes.customer_key

),

final as (

    select
        customers.customer_key,
        customers.segment,
        deal_facts.first_lead_at,
        payment_facts.first_paid_at,
        coalesce(deal_facts.order_count, 0) as order_count,
        coalesce(key_facts.identity_key_count, 0) as identity_key_count
    from customers
    left join deal_facts on customers.customer_key = deal_facts.customer_key
    left join payment_facts on customers.customer_key = payment_facts.customer_key
    left join key_facts on customers.customer_key = key_facts.customer_key

)

select * from final
