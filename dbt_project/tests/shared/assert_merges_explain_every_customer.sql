-- A returned row is a person or company in a customer with others, and no merge says why.
with nodes as (

    select * from {{ ref("int_identity_nodes") }}

),

customers as (

    select * from {{ ref("int_customers_clustered") }}

),

logged as (

    select * from {{ ref("int_identity_merges_logged") }}
    where not is_undone

),

merged as (

    select joined_customer_key as member_key
    from logged
    union
    select into_customer_key as member_key
    from logged

),

sizes as (

    select
        customers.customer_key,
        count(*) as node_count
    from customers
    group by customers.customer_key

),

final as (

    select
        nodes.customer_key as member_key,
        customers.customer_key
    from nodes
    inner join customers on nodes.node_number = customers.node_number
    inner join sizes on customers.customer_key = sizes.customer_key
    left join merged on nodes.customer_key = merged.member_key
    where
        sizes.node_count > 1
        and merged.member_key is null

)

select * from final
