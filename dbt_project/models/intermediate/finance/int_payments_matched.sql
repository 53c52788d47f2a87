with payments as (

    select * from {{ ref("int_payments_unioned") }}

),

invoices as (

    select * from {{ ref("int_invoices_converted") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

exchange_rates as (

    select * from {{ ref("int_exchange_rates_dated") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

-- A number that two bills carry names neither.
invoice_numbers as (

    select
        invoice_number,
        min(invoice_key) as invoice_key
    from invoices
    where
        invoice_number is not null
        and not is_deleted
    group by invoice_number
    having count(*) = 1

),

linked as (

    select
        payments.payment_key,
        payments.payment_native_amount,
        payments.paid_at,
        payments.match_method as declared_match_method,
        payments.deal_key as declared_deal_key,
        coalesce(payments.currency_code, settings.currency_code) as currency_code,
        {{ local_date("payments.paid_at", "settings.time_zone") }} as paid_date,
        own_invoices.invoice_key as own_invoice_key,
        coalesce(own_invoices.invoice_key, invoice_numbers.invoice_key) as invoice_key
    from payments
    cross join settings
    left join invoices as own_invoices on payments.invoice_key = own_invoices.invoice_key
    left join invoice_numbers on payments.invoice_number = invoice_numbers.invoice_number

),

-- A bank or a cash desk tells the money itself; a CRM's bill marked "paid" only tells of it. Where
-- both speak of one bill, counting both would pay it twice.
receipted_invoices as (

    select distinct invoice_key
    from linked
    where
        declared_match_method <> 'invoice_status'
        and invoice_key is not null

),

kept as (

    select linked.*
    from linked
    left join receipted_invoices on linked.invoice_key = receipted_invoices.invoice_key
    where
        linked.declared_match_method <> 'invoice_status'
        or receipted_invoices.invoice_key is null

),

final as (

    select
        kept.payment_key,
        kept.invoice_key,
        deals.deal_key,
        deals_identified.customer_key,
        kept.paid_at,
        kept.paid_date,
        kept.payment_native_amount,
        kept.currency_code,
        exchange_rates.rate,
        {{ at_rate("kept.payment_native_amount", "exchange_rates.rate") }} as payment_amount,
        case
            when kept.declared_match_method = 'invoice_status' then 'invoice_status'
            when kept.own_invoice_key is not null then 'invoice_id'
            when kept.invoice_key is not null then 'invoice_number'
            when deals.deal_key is not null then 'deal_id'
            else 'unmatched'
        end as match_method
    from kept
    left join invoices on kept.invoice_key = invoices.invoice_key
    left join deals on coalesce(kept.declared_deal_key, invoices.deal_key) = deals.deal_key
    left join deals_identified on deals.deal_key = deals_identified.deal_key
    left join exchange_rates
        on
            kept.currency_code = exchange_rates.currency_code
            and kept.paid_date >= exchange_rates.valid_from_date
            and kept.paid_date < exchange_rates.valid_to_date

)

select * from final
