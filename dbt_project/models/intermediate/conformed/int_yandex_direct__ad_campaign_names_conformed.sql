with campaign_names as (

    select * from {{ ref("stg_yandex_direct__campaign_names") }}

),

reports as (

    select * from {{ ref("stg_yandex_direct__campaign_daily_reports") }}

),

-- Days that are not read again keep the name the campaign had.
seen as (

    select
        campaign_names.source_account_id,
        campaign_names.campaign_id,
        campaign_names.campaign_name
    from campaign_names
    union
    select
        reports.source_account_id,
        reports.campaign_id,
        reports.campaign_name
    from reports
    where
        reports.campaign_id is not null
        and reports.campaign_name is not null

),

final as (

    select
        {{ entity_key(["'yandex_direct'", "seen.source_account_id", "seen.campaign_id"]) }}
            as campaign_key,
        seen.campaign_name
    from seen

)

select * from final
