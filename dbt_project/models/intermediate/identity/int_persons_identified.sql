with customers as (

    select * from {{ ref("int_customers_clustered") }}

),

final as (

    select
        customers.person_key,
        customers.customer_key
    from customers
    where customers.person_key is not null

)

select * from final
