{{ config(materialized="table") }}

with exchange_rates as (

    select * from {{ ref("stg_company__exchange_rates") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

foreign_rates as (

    select
        exchange_rates.currency_code,
        exchange_rates.rate_date as valid_from_date,
        -- An end that is always there: a join on "no end or before it" cannot use a hash.
        coalesce(
            lead(exchange_rates.rate_date) over (
                partition by exchange_rates.currency_code
                order by exchange_rates.rate_date
            ),
            cast('9999-12-31' as date)
        ) as valid_to_date,
        exchange_rates.rate
    from exchange_rates
    inner join settings
        on exchange_rates.currency_code <> settings.currency_code

),

-- The reporting currency needs no rate and takes none.
own_rate as (

    select
        settings.currency_code,
        cast('1970-01-01' as date) as valid_from_date,
        cast('9999-12-31' as date) as valid_to_date,
        1 as rate
    from settings

),

final as (

    select * from foreign_rates
    union all
    select * from own_rate

)

select * from final
