-- A returned row is a currency and day of deals with amounts for which no exchange rate is known.
with concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

final as (

    select
        concluded.amount_currency_code as currency_code,
        concluded.rate_date,
        count(*) as deal_count
    from concluded
    inner join deals on concluded.deal_key = deals.deal_key
    where
        deals.deal_native_amount is not null
        and concluded.deal_amount is null
    group by concluded.amount_currency_code, concluded.rate_date

)

select * from final
