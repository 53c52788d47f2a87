with statistics as (

    select * from {{ ref("stg_vk_ads__ad_plan_daily_statistics") }}

),

final as (

    select
        {{ entity_key([
            "'vk_ads'",
            "statistics.source_account_id",
            "statistics.report_date",
            "statistics.ad_plan_id",
        ]) }} as spend_key,
        {{ entity_key(["'vk_ads'", "statistics.source_account_id"]) }} as account_key,
        statistics.report_date as spend_date,
        'vk_ads' as platform,
        statistics.source_account_id,
        {{ entity_key(["'vk_ads'", "statistics.source_account_id", "statistics.ad_plan_id"]) }}
            as campaign_key,
        statistics.ad_plan_id as campaign_id,
        -- the statistics are by ad plan
        cast(null as varchar) as ad_id,
        -- VK names no channel; spend belongs where channel_map puts the people it brought
        cast(null as varchar) as declared_channel,
        statistics.spent as spend_native_amount,
        statistics.currency_code,
        case
            when statistics.includes_vat then 'gross'
            when not statistics.includes_vat then 'net'
            else 'unknown'
        end as vat_mode,
        -- VK does not say the rate; the dated rate of tax_regimes holds
        cast(null as decimal(9, 4)) as vat_rate,
        statistics.show_count as impression_count,
        statistics.click_count
    from statistics
    where
        -- a day that a newer reading of the same window does not show any more is gone
        not statistics._is_deleted
        -- VK leaves days without shows out or fills them with zeros; both say the same
        and (
            coalesce(statistics.show_count, 1) <> 0
            or coalesce(statistics.click_count, 1) <> 0
            or coalesce(statistics.spent, 1) <> 0
        )

)

select * from final
