-- A returned row is a payment of a source that stands in fct_payments neither itself
-- nor through another payment of its invoice or its deal.
with loaded as (

    select * from {{ ref("int_payments_unioned") }}

),

kept as (

    select * from {{ ref("fct_payments") }}

),

kept_invoices as (

    select distinct invoice_key
    from kept
    where match_method <> 'invoice_status'

),

kept_deals as (

    select distinct deal_key
    from kept
    where
        match_method <> 'invoice_status'
        and invoice_key is null
        and payment_amount > 0

),

missing as (

    select
        loaded.payment_key,
        loaded.invoice_key,
        loaded.deal_key,
        loaded.match_method,
        loaded.payment_native_amount
    from loaded
    left join kept on loaded.payment_key = kept.payment_key
    left join kept_invoices
        on
            loaded.invoice_key = kept_invoices.invoice_key
            and loaded.match_method = 'invoice_status'
    where
        kept.payment_key is null
        and kept_invoices.invoice_key is null

)

select missing.*
from missing
left join kept_deals
    on
        missing.deal_key = kept_deals.deal_key
        and missing.match_method = 'invoice_status'
where kept_deals.deal_key is null
