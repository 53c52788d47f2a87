with invoices as (

    select * from {{ ref("int_invoices_unioned") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

exchange_rates as (

    select * from {{ ref("int_exchange_rates_dated") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

priced as (

    select
        invoices.*,
        coalesce(invoices.currency_code, settings.currency_code) as native_currency_code,
        {{ local_date("invoices.issued_at", "settings.time_zone") }} as issued_date
    from invoices
    cross join settings

),

final as (

    select
        priced.invoice_key,
        -- A bill for a deal the CRM does not have finds no partner: a bucket, not an error.
        deals.deal_key,
        priced.invoice_number,
        priced.issued_at,
        priced.issued_date,
        priced.due_at,
        priced.paid_at,
        priced.status,
        priced.invoice_native_amount,
        priced.native_currency_code as currency_code,
        exchange_rates.rate,
        {{ at_rate("priced.invoice_native_amount", "exchange_rates.rate") }} as invoice_amount,
        priced.is_deleted
    from priced
    left join deals on priced.deal_key = deals.deal_key
    left join exchange_rates
        on
            priced.native_currency_code = exchange_rates.currency_code
            and priced.issued_date >= exchange_rates.valid_from_date
            and priced.issued_date < exchange_rates.valid_to_date

)

select * from final
