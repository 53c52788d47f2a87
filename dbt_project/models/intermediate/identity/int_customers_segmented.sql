{{ config(materialized="table") }}

with customers as (

    select * from {{ ref("int_customers_clustered") }}

),

persons as (

    select * from {{ ref("int_persons_unioned") }}

),

companies as (

    select * from {{ ref("int_companies_unioned") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

segments as (

    select * from {{ ref("stg_company__segments") }}

),

declarations as (

    select
        customers.customer_key,
        companies.declared_segment as company_segment,
        cast(null as {{ dbt.type_string() }}) as person_segment
    from customers
    inner join companies on customers.company_key = companies.company_key
    where companies.declared_segment is not null
    union all
    select
        customers.customer_key,
        cast(null as {{ dbt.type_string() }}) as company_segment,
        persons.declared_segment as person_segment
    from customers
    inner join persons on customers.person_key = persons.person_key
    where persons.declared_segment is not null

),

declared as (

    select
        declarations.customer_key,
        coalesce(
            min(declarations.company_segment), min(declarations.person_segment)
        ) as segment
    from declarations
    group by declarations.customer_key

),

deals_of_customers as (

    select
        deals_identified.customer_key,
        max(concluded.deal_amount) as largest_amount,
        max(
            case
                when deals.declared_segment is not null then deals.created_at
            end
        ) as declared_at
    from deals_identified
    inner join deals on deals_identified.deal_key = deals.deal_key
    inner join concluded on deals_identified.deal_key = concluded.deal_key
    group by deals_identified.customer_key

),

told_by_deals as (

    select
        deals_identified.customer_key,
        min(deals.declared_segment) as segment
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join deals_of_customers
        on
            deals_identified.customer_key = deals_of_customers.customer_key
            and deals.created_at = deals_of_customers.declared_at
    where deals.declared_segment is not null
    group by deals_identified.customer_key

),

ruled as (

    select
        deals_of_customers.customer_key,
        min(segments.segment) as segment
    from deals_of_customers
    inner join segments
        on
            (
                segments.min_amount is null
                or deals_of_customers.largest_amount >= segments.min_amount
            )
            and (
                segments.max_amount is null
                or deals_of_customers.largest_amount < segments.max_amount
            )
    where deals_of_customers.largest_amount is not null
    group by deals_of_customers.customer_key

),

customer_keys as (

    select customers.customer_key from customers
    union
    select deals_identified.customer_key from deals_identified

),

final as (

    select
        customer_keys.customer_key,
        coalesce(
            declared.segment,
            told_by_deals.segment,
            ruled.segment,
            'unknown'
        ) as segment
    from customer_keys
    left join declared on customer_keys.customer_key = declared.customer_key
    left join told_by_deals
        on customer_keys.customer_key = told_by_deals.customer_key
    left join ruled on customer_keys.customer_key = ruled.customer_key

)

select * from final
