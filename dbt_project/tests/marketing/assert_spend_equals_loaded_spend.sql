-- A returned row is an account and currency whose spend in the marts differs from the spend loaded.
with marts as (

    select
        platform,
        source_account_id,
        currency_code,
        count(*) as row_count,
        sum(spend_native_amount) as spend_native_amount
    from {{ ref("fct_ad_spend_daily") }}
    group by
        platform,
        source_account_id,
        currency_code

),

loaded as (

    select
        spend.platform,
        spend.source_account_id,
        coalesce(spend.currency_code, settings.currency_code) as currency_code,
        count(*) as row_count,
        sum(spend.spend_native_amount) as spend_native_amount
    from {{ ref("int_ad_spend_unioned") }} as spend
    cross join {{ ref("int_company_settings") }} as settings
    group by
        spend.platform,
        spend.source_account_id,
        coalesce(spend.currency_code, settings.currency_code)

)

select
    loaded.platform,
    loaded.source_account_id,
    loaded.currency_code,
    loaded.spend_native_amount as loaded_native_amount,
    marts.spend_native_amount
from loaded
full outer join marts
    on
        loaded.platform = marts.platform
        and loaded.source_account_id = marts.source_account_id
        and loaded.currency_code = marts.currency_code
where
    loaded.row_count is distinct from marts.row_count
    or loaded.spend_native_amount is distinct from marts.spend_native_amount
