with ad_spend as (

    select * from {{ ref("stg_files__ad_spend") }}

),

source_accounts as (

    select * from {{ ref("stg_files__source_accounts") }}

),

final as (

    select
        {{ entity_key(["'files'", "ad_spend.source_account_id", "ad_spend.record_id"]) }}
            as spend_key,
        {{ entity_key(["'files'", "ad_spend.source_account_id"]) }} as account_key,
        ad_spend.spend_date,
        ad_spend.platform,
        coalesce(ad_spend.account_id, ad_spend.source_account_id) as source_account_id,
        {{ entity_key([
            "ad_spend.platform",
            "coalesce(ad_spend.account_id, ad_spend.source_account_id)",
            "ad_spend.campaign_id",
        ]) }} as campaign_key,
        ad_spend.campaign_id,
        ad_spend.ad_id,
        ad_spend.declared_channel,
        ad_spend.spend_native_amount,
        coalesce(ad_spend.currency_code, source_accounts.currency_code) as currency_code,
        coalesce(ad_spend.vat_mode, 'unknown') as vat_mode,
        ad_spend.vat_rate,
        ad_spend.impression_count,
        ad_spend.click_count
    from ad_spend
    left join source_accounts
        on ad_spend.source_account_id = source_accounts.source_account_id

)

select * from final
