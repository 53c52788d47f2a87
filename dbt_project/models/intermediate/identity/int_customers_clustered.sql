{{ config(materialized="table") }}

with nodes as (

    select * from {{ ref("int_identity_nodes") }}

),

clusters as (

    select * from {{ ref("int_identity_clusters") }}

),

final as (

    select
        nodes.node_number,
        nodes.person_key,
        nodes.company_key,
        coalesce(namesakes.customer_key, nodes.customer_key) as customer_key
    from nodes
    left join clusters on nodes.node_number = clusters.node_number
    left join nodes as namesakes
        on clusters.cluster_number = namesakes.node_number

)

select * from final
