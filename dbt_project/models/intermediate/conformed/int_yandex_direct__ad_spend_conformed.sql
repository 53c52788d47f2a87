with reports as (

    select * from {{ ref("stg_yandex_direct__campaign_daily_reports") }}

),

final as (

    select
        {{ entity_key([
            "'yandex_direct'",
            "reports.source_account_id",
            "reports.report_date",
            "reports.campaign_id",
        ]) }} as spend_key,
        {{ entity_key(["'yandex_direct'", "reports.source_account_id"]) }} as account_key,
        reports.report_date as spend_date,
        'yandex_direct' as platform,
        reports.source_account_id,
        {{ entity_key(["'yandex_direct'", "reports.source_account_id", "reports.campaign_id"]) }}
            as campaign_key,
        reports.campaign_id,
        -- the report is by campaign
        cast(null as varchar) as ad_id,
        -- Direct names no channel; spend belongs where channel_map puts the people it brought
        cast(null as varchar) as declared_channel,
        reports.cost as spend_native_amount,
        reports.currency_code,
        case upper(reports.include_vat)
            when 'YES' then 'gross'
            when 'NO' then 'net'
            else 'unknown'
        end as vat_mode,
        -- the report does not say the rate; the dated rate of tax_regimes holds
        cast(null as decimal(9, 4)) as vat_rate,
        reports.impression_count,
        reports.click_count
    from reports
    -- a day that a newer reading of the same window does not show any more is gone
    where not reports._is_deleted

)

select * from final
