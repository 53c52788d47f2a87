{{ config(materialized="table") }}
with visits as (

    select * from {{ ref("int_visits_identified") }}

),

channels as (

    select * from {{ ref("int_visit_channels_classified") }}

),

final as (

    select
        {{ dbt.concat(["'visit:'", "visits.visit_key"]) }} as touch_key,
        visits.customer_key,
        visits.visited_at as touched_at,
        channels.channel,
        channels.campaign_key,
        channels.is_paid,
        channels.is_direct,
        visits.client_id,
        visits.click_id
    from visits
    inner join channels
        on
            {{ same_origin_words("visits", "channels") }}
            and {{ visit_origin("visits") }} = channels.visit_origin

)

select * from final
