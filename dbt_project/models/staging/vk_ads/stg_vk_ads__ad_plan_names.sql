{{ known_names(
    ref("stg_vk_ads__ad_plans_versions"), ref("stg_vk_ads__pulls"), "ad_plan_id", "ad_plan_name"
) }}
