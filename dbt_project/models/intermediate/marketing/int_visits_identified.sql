with visits as (

    select * from {{ ref("int_visits_unioned") }}

),

persons as (

    select * from {{ ref("int_persons_identified") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

clicks as (

    select * from {{ ref("int_clicks_located") }}

),

browsers as (

    select * from {{ ref("int_browsers_linked") }}

),

own_browsers as (

    select
        browsers.client_id,
        browsers.customer_key
    from browsers
    where browsers.customer_count = 1

),

shared_browsers as (

    select
        browsers.client_id,
        browsers.customer_key,
        browsers.linked_at
    from browsers
    where browsers.customer_count between 2 and 5

),

-- A click id is made for one click, so one that two customers or two browsers carry says nothing.
click_links as (

    select
        deals.click_id,
        min(deals_identified.customer_key) as customer_key
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join clicks on deals.click_id = clicks.click_id
    where
        clicks.is_in_one_browser
        and not deals.is_deleted
    group by deals.click_id
    having min(deals_identified.customer_key) = max(deals_identified.customer_key)

),

-- A browser of up to five customers: the visit led to the next request made from it, else it
-- followed the newest one. More customers than that share a device, not an identity.
shared_visits as (

    select
        visits.visit_key,
        shared_browsers.customer_key
    from visits
    inner join shared_browsers on visits.client_id = shared_browsers.client_id
    qualify row_number() over (
        partition by visits.visit_key
        order by
            case when shared_browsers.linked_at >= visits.visited_at then 0 else 1 end,
            case
                when shared_browsers.linked_at >= visits.visited_at
                    then shared_browsers.linked_at
            end asc nulls last,
            shared_browsers.linked_at desc nulls last,
            shared_browsers.customer_key asc
    ) = 1

),

final as (

    select
        visits.visit_key,
        visits.visited_at,
        visits.client_id,
        visits.click_id,
        visits.declared_channel,
        visits.utm_source,
        visits.utm_medium,
        visits.utm_campaign,
        visits.referrer,
        visits.landing_url,
        coalesce(
            persons.customer_key,
            click_links.customer_key,
            own_browsers.customer_key,
            shared_visits.customer_key
        ) as customer_key
    from visits
    left join persons on visits.person_key = persons.person_key
    left join click_links on visits.click_id = click_links.click_id
    left join own_browsers on visits.client_id = own_browsers.client_id
    left join shared_visits on visits.visit_key = shared_visits.visit_key

)

select * from final
