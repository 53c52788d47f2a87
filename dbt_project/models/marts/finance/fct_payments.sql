with payments as (

    select * from {{ ref("int_payments_matched") }}

),

final as (

    select
        payment_key,
        invoice_key,
        deal_key,
        customer_key,
        paid_at,
        payment_amount,
        match_method,
        payment_native_amount,
        currency_code
    from payments

)

select * from final
