with spend as (

    select * from {{ ref("int_ad_spend_unioned") }}

),

channels as (

    select * from {{ ref("int_ad_spend_channels_classified") }}

),

exchange_rates as (

    select * from {{ ref("int_exchange_rates_dated") }}

),

tax_regimes as (

    select * from {{ ref("int_tax_regimes_dated") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

taxed as (

    select
        spend.spend_key,
        spend.spend_date,
        spend.platform,
        spend.source_account_id,
        spend.campaign_key,
        channels.channel,
        spend.spend_native_amount,
        coalesce(spend.currency_code, settings.currency_code) as currency_code,
        spend.vat_mode,
        tax_regimes.is_vat_payer,
        coalesce(spend.vat_rate, tax_regimes.vat_rate) as vat_rate,
        spend.impression_count,
        spend.click_count
    from spend
    cross join settings
    inner join channels
        on
            spend.platform = channels.platform
            and coalesce(spend.campaign_key, '') = channels.campaign_key
            and coalesce(spend.declared_channel, '') = channels.declared_channel
    left join tax_regimes
        on
            spend.spend_date >= tax_regimes.valid_from_date
            and spend.spend_date < tax_regimes.valid_to_date

),

-- What the company bears: who pays VAT gets the suppliers' VAT back, so cost is net; for all others
-- it stays in the cost. Without a rate or a mode nothing is guessed.
borne as (

    select
        taxed.*,
        coalesce(taxed.vat_mode = 'gross' and taxed.is_vat_payer, false) as is_vat_reclaimed,
        case
            when taxed.vat_mode = 'net' and not taxed.is_vat_payer
                then 1 + coalesce(taxed.vat_rate, 0)
            else 1
        end as added_vat_factor
    from taxed

),

final as (

    select
        borne.spend_key,
        borne.spend_date,
        borne.platform,
        borne.source_account_id,
        borne.campaign_key,
        borne.channel,
        -- Only a division leaves the decimals: half a kopeck is rounded up where it is one.
        case
            when borne.is_vat_reclaimed
                then cast(
                    round(
                        borne.spend_native_amount
                        / (1 + coalesce(borne.vat_rate, 0))
                        * exchange_rates.rate,
                        2
                    ) as decimal(18, 2)
                )
            else {{ at_rate(
                "borne.spend_native_amount", "borne.added_vat_factor * exchange_rates.rate"
            ) }}
        end as spend_amount,
        borne.spend_native_amount,
        borne.currency_code,
        borne.vat_mode,
        borne.impression_count,
        borne.click_count
    from borne
    left join exchange_rates
        on
            borne.currency_code = exchange_rates.currency_code
            and borne.spend_date >= exchange_rates.valid_from_date
            and borne.spend_date < exchange_rates.valid_to_date

)

select * from final
