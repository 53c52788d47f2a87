{{ config(materialized="table") }}
{#- The name of a trial entry says nothing else. A tag says it alone, a customer's product
    ("test drive") only in company with other words. -#}
{%- set test_words = var("test_deal_words", [
    "test", "тест", "testtest", "тесттест", "testlead", "testdeal", "тестлид", "тестсделка",
    "тестовый", "тестовая", "тестовыйлид", "тестоваясделка", "тестоваязаявка",
    "тестовоеобращение", "проверка", "проверкасвязи", "проверкаформы",
]) %}
{%- set continuation_days = var("continuation_days", 30) %}
{%- set duplicate_hours = var("duplicate_hours", 24) %}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

persons as (

    select * from {{ ref("int_persons_identified") }}

),

companies as (

    select * from {{ ref("int_companies_identified") }}

),

concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

visits as (

    select * from {{ ref("int_visits_unioned") }}

),

tested as (

    select
        deals.deal_key,
        deals.created_at,
        deals.is_deleted,
        deals.person_key,
        deals.client_id,
        -- What an advertisement wrote on the deal, in one text; '' where nothing did.
        concat_ws(
            '|',
            deals.utm_source,
            deals.utm_medium,
            deals.utm_campaign,
            deals.utm_content,
            deals.utm_term,
            deals.click_id
        ) as inbound_words,
        coalesce(
            persons.customer_key,
            companies.customer_key,
            {{ dbt.concat(["'deal:'", "deals.deal_key"]) }}
        ) as customer_key,
        concluded.outcome,
        concluded.closed_at,
        coalesce(concluded.is_service, false) as is_service,
        coalesce(
            translate(lower(deals.deal_name), ' 0123456789-_.,:;#№!()"/', '')
            in (
                {%- for word in test_words %}
                    '{{ word }}'{{ "," if not loop.last }}
                {%- endfor %}
            )
            {%- for word in ("test", "тест", "тестовая", "тестовый") %}
                or concat('|', lower(deals.tags), '|') like '%|{{ word }}|%'
            {%- endfor %},
            false
        ) as is_test
    from deals
    inner join concluded on deals.deal_key = concluded.deal_key
    left join persons on deals.person_key = persons.person_key
    left join companies on deals.company_key = companies.company_key

),

-- Most customers have one deal, and one deal has nothing before it.
returning_customers as (

    select tested.customer_key
    from tested
    group by tested.customer_key
    having count(*) > 1

),

returning_deals as (

    select tested.*
    from tested
    inner join returning_customers
        on tested.customer_key = returning_customers.customer_key

),

-- Tests, deleted deals and complaints are nobody's past. At equal times the end comes first.
timeline as (

    select
        returning_deals.customer_key,
        returning_deals.deal_key,
        returning_deals.created_at as happened_at,
        1 as event_position,
        case
            when
                not returning_deals.is_test
                and not returning_deals.is_deleted
                and not returning_deals.is_service
                then returning_deals.created_at
        end as request_at,
        cast(null as timestamp) as won_at
    from returning_deals
    union all
    select
        returning_deals.customer_key,
        returning_deals.deal_key,
        greatest(returning_deals.closed_at, returning_deals.created_at)
            as happened_at,
        -- No deal is its own past, not even one closed in the moment it was made.
        case
            when returning_deals.closed_at > returning_deals.created_at then 0
            else 2
        end as event_position,
        cast(null as timestamp) as request_at,
        greatest(returning_deals.closed_at, returning_deals.created_at) as won_at
    from returning_deals
    where
        returning_deals.outcome = 'won'
        and not returning_deals.is_test
        and not returning_deals.is_deleted
        and not returning_deals.is_service

),

remembered as (

    select
        timeline.deal_key,
        timeline.happened_at,
        timeline.event_position,
        max(timeline.request_at) over past as last_request_at,
        max(timeline.won_at) over past as last_won_at
    from timeline
    window
        past as (
            partition by timeline.customer_key
            order by
                timeline.happened_at,
                timeline.event_position,
                timeline.deal_key
            rows between unbounded preceding and 1 preceding
        )

),

pasts as (

    select
        remembered.deal_key,
        remembered.last_won_at,
        coalesce(
            remembered.last_request_at
            >= {{ dbt.dateadd("hour", -1 * duplicate_hours, "remembered.happened_at") }},
            false
        ) as is_second_request
    from remembered
    where remembered.event_position = 1

),

-- A duplicate is closed as lost to tidy up: nobody refused.
losses as (

    select
        returning_deals.customer_key,
        returning_deals.deal_key,
        returning_deals.inbound_words,
        returning_deals.closed_at > returning_deals.created_at as is_lost_later,
        greatest(returning_deals.closed_at, returning_deals.created_at) as lost_at
    from returning_deals
    inner join pasts on returning_deals.deal_key = pasts.deal_key
    where
        returning_deals.outcome = 'lost'
        and not returning_deals.is_test
        and not returning_deals.is_deleted
        and not returning_deals.is_service
        and not pasts.is_second_request

),

deals_after_loss as (

    select
        returning_deals.deal_key,
        returning_deals.created_at,
        returning_deals.person_key,
        returning_deals.client_id,
        losses.lost_at,
        -- A rep who makes a deal anew copies its marks; another click or campaign is a new request.
        returning_deals.inbound_words <> ''
        and returning_deals.inbound_words <> losses.inbound_words as is_inbound
    from returning_deals
    inner join losses
        on
            returning_deals.customer_key = losses.customer_key
            and returning_deals.deal_key <> losses.deal_key
            and returning_deals.created_at >= losses.lost_at
            and losses.lost_at
            >= {{ dbt.dateadd("day", -1 * continuation_days, "returning_deals.created_at") }}
    where returning_deals.created_at > losses.lost_at or losses.is_lost_later
    qualify row_number() over (
        partition by returning_deals.deal_key
        order by losses.lost_at desc, losses.deal_key desc
    ) = 1

),

-- Who came to the site again between the loss and the deal asked again.
visitors as (

    select deals_after_loss.deal_key
    from deals_after_loss
    inner join visits on deals_after_loss.client_id = visits.client_id
    where
        visits.visited_at > deals_after_loss.lost_at
        and visits.visited_at <= deals_after_loss.created_at
    union
    select deals_after_loss.deal_key
    from deals_after_loss
    inner join visits on deals_after_loss.person_key = visits.person_key
    where
        visits.visited_at > deals_after_loss.lost_at
        and visits.visited_at <= deals_after_loss.created_at

),

continuations as (

    select deals_after_loss.deal_key
    from deals_after_loss
    left join visitors on deals_after_loss.deal_key = visitors.deal_key
    where
        not deals_after_loss.is_inbound
        and visitors.deal_key is null

),

final as (

    select
        tested.deal_key,
        tested.customer_key,
        case
            when tested.is_test then 'test'
            when tested.is_service then 'service'
            when pasts.is_second_request then 'duplicate'
            when continuations.deal_key is not null then 'continuation'
            when pasts.last_won_at is not null then 'repeat'
            else 'new'
        end as deal_kind
    from tested
    left join pasts on tested.deal_key = pasts.deal_key
    left join continuations on tested.deal_key = continuations.deal_key

)

select * from final
