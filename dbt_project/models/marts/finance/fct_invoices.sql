with invoices as (

    select * from {{ ref("int_invoices_converted") }}

),

payments as (

    select * from {{ ref("int_payments_matched") }}

),

-- Money of another currency than the bill's is compared in the reporting currency only.
paid as (

    select
        payments.invoice_key,
        sum(payments.payment_amount) as payment_amount,
        sum(payments.payment_native_amount) as payment_native_amount,
        count(*) filter (where payments.currency_code <> invoices.currency_code)
            as foreign_payment_count
    from payments
    inner join invoices on payments.invoice_key = invoices.invoice_key
    group by payments.invoice_key

),

settled as (

    select
        invoices.*,
        invoices.is_deleted
        or invoices.status in ('cancelled', 'replaced') as is_void,
        invoices.status in ('paid', 'paid_in_advance') as is_declared_paid,
        paid.payment_amount,
        case
            when paid.foreign_payment_count = 0
                then
                    {{ at_rate(
                        "(invoices.invoice_native_amount - paid.payment_native_amount)",
                        "invoices.rate",
                    ) }}
            else invoices.invoice_amount - paid.payment_amount
        end as unpaid_amount
    from invoices
    left join paid on invoices.invoice_key = paid.invoice_key

),

final as (

    select
        invoice_key,
        deal_key,
        invoice_number,
        issued_at,
        due_at,
        status,
        invoice_amount,
        cast(
            case
                when payment_amount is not null then payment_amount
                when is_declared_paid and not is_void then invoice_amount
                else 0
            end as decimal(18, 2)
        ) as paid_amount,
        cast(
            case
                when is_void then 0
                when payment_amount is not null then unpaid_amount
                when is_declared_paid then 0
                else invoice_amount
            end as decimal(18, 2)
        ) as balance_amount,
        invoice_native_amount,
        currency_code,
        is_deleted
    from settled

)

select * from final
