with spend as (

    select * from {{ ref("int_ad_spend_converted") }}

),

final as (

    select
        spend_key,
        spend_date,
        platform,
        source_account_id,
        campaign_key,
        channel,
        spend_amount,
        spend_native_amount,
        currency_code,
        vat_mode,
        impression_count,
        click_count
    from spend

)

select * from final
