with ad_plans as (

    select * from {{ ref("stg_vk_ads__ad_plans") }}

),

statistics as (

    select * from {{ ref("stg_vk_ads__ad_plan_daily_statistics") }}

),

-- Days tell of plans that no list has shown, such as those of a list read later.
told as (

    select distinct
        statistics.source_account_id,
        statistics.ad_plan_id
    from statistics
    where statistics.ad_plan_id is not null

),

known as (

    select
        coalesce(ad_plans.source_account_id, told.source_account_id) as source_account_id,
        coalesce(ad_plans.record_id, told.ad_plan_id) as campaign_id,
        ad_plans.ad_plan_name as campaign_name
    from ad_plans
    full join told
        on
            ad_plans.source_account_id = told.source_account_id
            and ad_plans.record_id = told.ad_plan_id

),

final as (

    select
        {{ entity_key(["'vk_ads'", "known.source_account_id", "known.campaign_id"]) }}
            as campaign_key,
        'vk_ads' as platform,
        known.source_account_id,
        known.campaign_id,
        known.campaign_name
    from known

)

select * from final
