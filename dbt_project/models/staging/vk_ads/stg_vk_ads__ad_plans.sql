{{ known_records(ref("stg_vk_ads__ad_plans_versions"), ref("stg_vk_ads__pulls")) }}
