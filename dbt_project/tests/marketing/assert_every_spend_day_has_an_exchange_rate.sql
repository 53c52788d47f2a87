-- A returned row is a currency and a day without an exchange rate: its spend cannot be converted.
select
    currency_code,
    spend_date as missing_rate_date,
    count(*) as row_count
from {{ ref("fct_ad_spend_daily") }}
where
    spend_amount is null
    and spend_native_amount is not null
group by
    currency_code,
    spend_date
