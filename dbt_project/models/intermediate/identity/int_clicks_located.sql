{{ config(materialized="table") }}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

visits as (

    select * from {{ ref("int_visits_unioned") }}

),

deal_clicks as (

    select distinct deals.click_id
    from deals
    where deals.click_id is not null

),

located as (

    select
        visits.click_id,
        min(visits.client_id) as client_id,
        coalesce(min(visits.client_id) = max(visits.client_id), true) as is_in_one_browser
    from visits
    inner join deal_clicks on visits.click_id = deal_clicks.click_id
    group by visits.click_id

),

-- A link that kept its click id and was passed on opens in several browsers: it names none.
final as (

    select
        located.click_id,
        case when located.is_in_one_browser then located.client_id end as client_id,
        located.is_in_one_browser
    from located

)

select * from final
