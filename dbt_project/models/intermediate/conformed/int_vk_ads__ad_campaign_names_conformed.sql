with ad_plan_names as (

    select * from {{ ref("stg_vk_ads__ad_plan_names") }}

),

final as (

    select
        {{ entity_key([
            "'vk_ads'",
            "ad_plan_names.source_account_id",
            "ad_plan_names.ad_plan_id",
        ]) }} as campaign_key,
        ad_plan_names.ad_plan_name as campaign_name
    from ad_plan_names

)

select * from final
