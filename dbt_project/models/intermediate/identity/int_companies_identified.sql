with customers as (

    select * from {{ ref("int_customers_clustered") }}

),

final as (

    select
        customers.company_key,
        customers.customer_key
    from customers
    where customers.company_key is not null

)

select * from final
