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

priced as (

    select
        payments.payment_key,
        payments.invoice_key as declared_invoice_key,
        payments.invoice_number,
        payments.deal_key as declared_deal_key,
        payments.payment_native_amount,
        payments.paid_at,
        payments.match_method as declared_match_method,
        coalesce(payments.currency_code, settings.currency_code) as currency_code,
        {{ local_date("payments.paid_at", "settings.time_zone") }} as paid_date
    from payments
    cross join settings

),

named as (

    select
        priced.*,
        exchange_rates.rate,
        {{ at_rate("priced.payment_native_amount", "exchange_rates.rate") }} as payment_amount,
        own_invoices.invoice_key as own_invoice_key,
        coalesce(own_invoices.invoice_key, invoice_numbers.invoice_key) as named_invoice_key
    from priced
    left join invoices as own_invoices
        on priced.declared_invoice_key = own_invoices.invoice_key
    left join invoice_numbers on priced.invoice_number = invoice_numbers.invoice_number
    left join exchange_rates
        on
            priced.currency_code = exchange_rates.currency_code
            and priced.paid_date >= exchange_rates.valid_from_date
            and priced.paid_date < exchange_rates.valid_to_date

),

live_invoices as (

    select * from invoices
    where
        deal_key is not null
        and not is_deleted
        and status not in ('cancelled', 'replaced')

),

-- A payment that names a deal alone belongs to the deal's only bill.
sole_invoices as (

    select
        deal_key,
        min(invoice_key) as invoice_key
    from live_invoices
    group by deal_key
    having count(*) = 1

),

-- Of several bills, to the one of its sum; the first such payment to the first such bill.
unnamed_payments as (

    select
        named.payment_key,
        named.declared_deal_key,
        named.payment_native_amount,
        named.currency_code,
        row_number() over (
            partition by
                named.declared_deal_key,
                named.payment_native_amount,
                named.currency_code
            order by
                named.paid_at,
                named.payment_key
        ) as place
    from named
    where
        named.named_invoice_key is null
        and named.payment_native_amount > 0

),

named_receipts as (

    select distinct named_invoice_key as invoice_key
    from named
    where
        declared_match_method <> 'invoice_status'
        and payment_native_amount > 0
        and named_invoice_key is not null

),

unreceipted_invoices as (

    select
        live_invoices.invoice_key,
        live_invoices.deal_key,
        live_invoices.invoice_native_amount,
        live_invoices.currency_code,
        row_number() over (
            partition by
                live_invoices.deal_key,
                live_invoices.invoice_native_amount,
                live_invoices.currency_code
            order by
                live_invoices.issued_at,
                live_invoices.invoice_key
        ) as place
    from live_invoices
    left join named_receipts on live_invoices.invoice_key = named_receipts.invoice_key
    where named_receipts.invoice_key is null

),

equal_invoices as (

    select
        unnamed_payments.payment_key,
        unreceipted_invoices.invoice_key
    from unnamed_payments
    inner join unreceipted_invoices
        on
            unnamed_payments.declared_deal_key = unreceipted_invoices.deal_key
            and unnamed_payments.payment_native_amount = unreceipted_invoices.invoice_native_amount
            and unnamed_payments.currency_code = unreceipted_invoices.currency_code
            and unnamed_payments.place = unreceipted_invoices.place

),

linked as (

    select
        named.*,
        coalesce(
            named.named_invoice_key,
            sole_invoices.invoice_key,
            equal_invoices.invoice_key
        ) as invoice_key
    from named
    left join sole_invoices on named.declared_deal_key = sole_invoices.deal_key
    left join equal_invoices on named.payment_key = equal_invoices.payment_key

),

-- A bank or a cash desk tells the money itself; a CRM's bill marked "paid" only tells of it. Where
-- both speak of one bill, counting both would pay it twice.
receipted_invoices as (

    select distinct invoice_key
    from linked
    where
        declared_match_method <> 'invoice_status'
        and payment_native_amount > 0
        and invoice_key is not null

),

told_once as (

    select linked.*
    from linked
    left join receipted_invoices on linked.invoice_key = receipted_invoices.invoice_key
    where
        linked.declared_match_method <> 'invoice_status'
        or receipted_invoices.invoice_key is null

),

placed as (

    select
        told_once.*,
        coalesce(told_once.declared_deal_key, invoices.deal_key) as placed_deal_key
    from told_once
    left join invoices on told_once.invoice_key = invoices.invoice_key

),

-- Receipts of a deal that fit none of its bills: they speak of the same money as the bills the CRM
-- calls paid where they cover them all. Where they cover a part, nobody can tell, and both stay.
covered_deals as (

    select placed_deal_key as deal_key
    from placed
    group by placed_deal_key
    having
        sum(payment_amount) filter (
            where
            invoice_key is null
            and payment_native_amount > 0
        ) >= sum(payment_amount) filter (
            where declared_match_method = 'invoice_status'
        )

),

kept as (

    select placed.*
    from placed
    left join covered_deals on placed.placed_deal_key = covered_deals.deal_key
    where
        placed.declared_match_method <> 'invoice_status'
        or covered_deals.deal_key is null

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
        kept.rate,
        kept.payment_amount,
        case
            when kept.declared_match_method = 'invoice_status' then 'invoice_status'
            when kept.own_invoice_key is not null then 'invoice_id'
            when kept.named_invoice_key is not null then 'invoice_number'
            when deals.deal_key is not null then 'deal_id'
            else 'unmatched'
        end as match_method
    from kept
    left join deals on kept.placed_deal_key = deals.deal_key
    left join deals_identified on deals.deal_key = deals_identified.deal_key

)

select * from final
