with invoices as (

    select * from {{ ref("int_amocrm__invoices_conformed") }}

),

-- amoCRM keeps no payments: an invoice it shows as paid is one payment of its sum. What was paid
-- of a partially paid invoice it does not tell.
final as (

    select
        invoices.invoice_key as payment_key,
        'amocrm' as source_system,
        invoices.source_account_id,
        invoices.invoice_id as payment_id,
        invoices.invoice_key,
        invoices.invoice_number,
        invoices.deal_key,
        invoices.paid_at,
        invoices.invoice_native_amount as payment_native_amount,
        invoices.currency_code,
        'invoice_status' as match_method
    from invoices
    where
        invoices.status in ('paid', 'paid_in_advance')
        and invoices.paid_at is not null
        and invoices.invoice_native_amount is not null
        and not invoices.is_deleted

)

select * from final
