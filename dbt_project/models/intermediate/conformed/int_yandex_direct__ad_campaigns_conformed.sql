with campaigns as (

    select * from {{ ref("stg_yandex_direct__campaigns") }}

),

reports as (

    select * from {{ ref("stg_yandex_direct__campaign_daily_reports") }}

),

-- Reports name campaigns that the list of campaigns does not show any more.
reported as (

    select
        reports.source_account_id,
        reports.campaign_id,
        reports.campaign_name
    from reports
    where reports.campaign_id is not null
    qualify row_number() over (
        partition by reports.source_account_id, reports.campaign_id
        order by
            case when reports.campaign_name is null then 1 else 0 end,
            reports.report_date desc,
            reports.record_id desc
    ) = 1

),

known as (

    select
        coalesce(campaigns.source_account_id, reported.source_account_id) as source_account_id,
        coalesce(campaigns.record_id, reported.campaign_id) as campaign_id,
        coalesce(campaigns.campaign_name, reported.campaign_name) as campaign_name
    from campaigns
    full join reported
        on
            campaigns.source_account_id = reported.source_account_id
            and campaigns.record_id = reported.campaign_id

),

final as (

    select
        {{ entity_key(["'yandex_direct'", "known.source_account_id", "known.campaign_id"]) }}
            as campaign_key,
        'yandex_direct' as platform,
        known.source_account_id,
        known.campaign_id,
        known.campaign_name
    from known

)

select * from final
