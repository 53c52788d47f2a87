with visits as (

    select * from {{ ref("int_visits_unioned") }}

),

persons as (

    select * from {{ ref("int_persons_identified") }}

),

person_identifiers as (

    select * from {{ ref("int_person_identifiers_unioned") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

deal_links as (

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

client_id_evidence as (

    select
        client_id,
        customer_key,
        created_at as linked_at
    from deal_links
    where client_id is not null
    union all
    select
        person_identifiers.identifier_value as client_id,
        persons.customer_key,
        cast(null as timestamp) as linked_at
    from person_identifiers
    inner join persons on person_identifiers.person_key = persons.person_key
    where person_identifiers.identifier_kind = 'client_id'

),

client_links as (

    select
        client_id,
        customer_key,
        min(linked_at) as linked_at
    from client_id_evidence
    group by
        client_id,
        customer_key

),

client_link_counts as (

    select
        client_id,
        count(*) as customer_count,
        min(customer_key) as customer_key
    from client_links
    group by client_id

),

-- A click id is made for one click, so one that two customers carry says nothing.
click_links as (

    select
        click_id,
        min(customer_key) as customer_key
    from deal_links
    where click_id is not null
    group by click_id
    having count(distinct customer_key) = 1

),

-- A browser of up to five customers: the visit led to the next request made from it, else it
-- followed the newest one. More customers than that share a device, not an identity.
shared_clients as (

    select
        visits.visit_key,
        client_links.customer_key
    from visits
    inner join client_link_counts on visits.client_id = client_link_counts.client_id
    inner join client_links on visits.client_id = client_links.client_id
    where client_link_counts.customer_count between 2 and 5
    qualify row_number() over (
        partition by visits.visit_key
        order by
            case when client_links.linked_at >= visits.visited_at then 0 else 1 end,
            case
                when client_links.linked_at >= visits.visited_at
                    then client_links.linked_at
            end asc nulls last,
            client_links.linked_at desc nulls last,
            client_links.customer_key asc
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
            client_link_counts.customer_key,
            shared_clients.customer_key
        ) as customer_key
    from visits
    left join persons on visits.person_key = persons.person_key
    left join click_links on visits.click_id = click_links.click_id
    left join client_link_counts
        on
            visits.client_id = client_link_counts.client_id
            and client_link_counts.customer_count = 1
    left join shared_clients on visits.visit_key = shared_clients.visit_key

)

select * from final
