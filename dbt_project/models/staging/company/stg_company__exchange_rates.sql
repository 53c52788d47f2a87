{{ company_rows("exchange_rates", ["rate_date", "currency_code", "rate"]) }},

final as (

    select
        {{ try_cast("rules.rate_date", "date") }} as rate_date,
        rules.currency_code,
        {{ try_cast("rules.rate", "decimal(18, 8)") }} as rate
    from rules

)

select * from final
