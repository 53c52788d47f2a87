{{ config(materialized="table") }}
{%- set tolerance = var("crm_touch_tolerance_minutes") -%}
with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

deal_channels as (

    select * from {{ ref("int_deal_channels_classified") }}

),

visits as (

    select * from {{ ref("int_visit_touches_classified") }}

),

-- A deal of which the CRM says nothing about its origin is no touch, and a test is nobody's.
crm_touches as (

    select
        deals.deal_key,
        deals_identified.customer_key,
        deals.created_at as touched_at,
        deals.client_id,
        deals.click_id,
        deal_channels.channel,
        deal_channels.campaign_key,
        deal_channels.is_paid,
        deal_channels.is_direct
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join deal_channels on deals.deal_key = deal_channels.deal_key
    where
        deal_channels.channel is not null
        and not deals.is_deleted
        and deals_identified.deal_kind not in ('test', 'service')

),

-- Ten million visits come from millions of browsers; only those that deals name are looked at.
crm_clients as (

    select distinct crm_touches.client_id
    from crm_touches
    where crm_touches.client_id is not null

),

crm_clicks as (

    select distinct crm_touches.click_id
    from crm_touches
    where crm_touches.click_id is not null

),

first_clients as (

    select
        visits.client_id,
        min(visits.touched_at) as first_visited_at
    from visits
    inner join crm_clients on visits.client_id = crm_clients.client_id
    group by visits.client_id

),

first_clicks as (

    select
        visits.click_id,
        min(visits.touched_at) as first_visited_at
    from visits
    inner join crm_clicks on visits.click_id = crm_clicks.click_id
    group by visits.click_id

),

near_visits as (

    select distinct crm_touches.deal_key
    from crm_touches
    inner join visits
        on
            crm_touches.customer_key = visits.customer_key
            and crm_touches.channel = visits.channel
            and visits.touched_at
            >= {{ dbt.dateadd("minute", -1 * tolerance, "crm_touches.touched_at") }}
            and visits.touched_at
            <= {{ dbt.dateadd("minute", tolerance, "crm_touches.touched_at") }}

),

final as (

    select
        {{ dbt.concat(["'crm:'", "crm_touches.deal_key"]) }} as touch_key,
        crm_touches.deal_key,
        crm_touches.customer_key,
        crm_touches.touched_at,
        crm_touches.channel,
        crm_touches.campaign_key,
        crm_touches.is_paid,
        crm_touches.is_direct
    from crm_touches
    left join first_clients on crm_touches.client_id = first_clients.client_id
    left join first_clicks on crm_touches.click_id = first_clicks.click_id
    left join near_visits on crm_touches.deal_key = near_visits.deal_key
    where
        near_visits.deal_key is null
        and coalesce(
            first_clients.first_visited_at
            > {{ dbt.dateadd("minute", tolerance, "crm_touches.touched_at") }},
            true
        )
        and coalesce(
            first_clicks.first_visited_at
            > {{ dbt.dateadd("minute", tolerance, "crm_touches.touched_at") }},
            true
        )

)

select * from final
