{{ known_records(
    ref("stg_vk_ads__ad_plan_daily_statistics_versions"), ref("stg_vk_ads__pulls")
) }}
