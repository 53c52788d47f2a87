with versions as (

    select * from {{ ref("stg_vk_ads__ad_plans_versions") }}

),

pulls as (

    select * from {{ ref("stg_vk_ads__pulls") }}

),

final as (

    select distinct
        versions.source_account_id,
        versions.record_id as ad_plan_id,
        versions.ad_plan_name
    from versions
    inner join pulls on versions._pull_id = pulls.pull_id
    where
        {{ known("versions._loaded_at") }}
        and not versions._is_tombstone
        and versions.ad_plan_name is not null

)

select * from final
