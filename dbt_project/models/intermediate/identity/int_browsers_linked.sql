{{ config(materialized="table") }}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

persons as (

    select * from {{ ref("int_persons_identified") }}

),

keys as (

    select * from {{ ref("int_identity_keys") }}

),

clicks as (

    select * from {{ ref("int_clicks_located") }}

),

live_deals as (

    select
        deals.client_id,
        deals.click_id,
        deals.created_at,
        deals_identified.customer_key
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    where
        (deals.client_id is not null or deals.click_id is not null)
        and not deals.is_deleted

),

evidence as (

    select
        live_deals.client_id,
        live_deals.customer_key,
        live_deals.created_at as linked_at
    from live_deals
    where live_deals.client_id is not null
    union all
    select
        clicks.client_id,
        live_deals.customer_key,
        live_deals.created_at as linked_at
    from live_deals
    inner join clicks on live_deals.click_id = clicks.click_id
    where clicks.client_id is not null
    union all
    select
        keys.identifier_value as client_id,
        persons.customer_key,
        cast(null as timestamp) as linked_at
    from keys
    inner join persons on keys.person_key = persons.person_key
    where
        keys.identifier_kind = 'client_id'
        and not keys.is_excepted

),

links as (

    select
        evidence.client_id,
        evidence.customer_key,
        min(evidence.linked_at) as linked_at
    from evidence
    group by
        evidence.client_id,
        evidence.customer_key

),

counts as (

    select
        links.client_id,
        count(*) as customer_count
    from links
    group by links.client_id

),

final as (

    select
        links.client_id,
        links.customer_key,
        links.linked_at,
        counts.customer_count
    from links
    inner join counts on links.client_id = counts.client_id

)

select * from final
