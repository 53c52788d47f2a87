with versions as (

    select * from {{ ref("stg_yandex_direct__campaigns_versions") }}

),

pulls as (

    select * from {{ ref("stg_yandex_direct__pulls") }}

),

final as (

    select distinct
        versions.source_account_id,
        versions.record_id as campaign_id,
        versions.campaign_name
    from versions
    inner join pulls on versions._pull_id = pulls.pull_id
    where
        {{ known("versions._loaded_at") }}
        and not versions._is_tombstone
        and versions.campaign_name is not null

)

select * from final
