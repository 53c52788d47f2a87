-- A returned row is money counted twice: a bill that its CRM calls paid beside a receipt of it.
with payments as (

    select * from {{ ref("fct_payments") }}
    where payment_amount > 0

),

receipted_invoices as (

    select distinct invoice_key
    from payments
    where match_method <> 'invoice_status'

)

select
    payments.payment_key,
    payments.invoice_key,
    payments.payment_amount
from payments
inner join receipted_invoices on payments.invoice_key = receipted_invoices.invoice_key
where payments.match_method = 'invoice_status'
