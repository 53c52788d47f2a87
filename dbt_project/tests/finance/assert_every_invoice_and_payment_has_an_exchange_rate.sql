-- A returned row is a currency and a day without an exchange rate: its money cannot be converted.
with unconverted as (

    select
        currency_code,
        issued_date as missing_rate_date,
        'invoice' as kind
    from {{ ref("int_invoices_converted") }}
    where
        invoice_amount is null
        and invoice_native_amount is not null
        and not is_deleted
    union all
    select
        currency_code,
        paid_date as missing_rate_date,
        'payment' as kind
    from {{ ref("int_payments_matched") }}
    where
        payment_amount is null
        and payment_native_amount is not null

)

select
    currency_code,
    missing_rate_date,
    kind,
    count(*) as row_count
from unconverted
group by
    currency_code,
    missing_rate_date,
    kind
