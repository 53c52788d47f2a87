-- A returned row is a shared key whose persons stand in two clusters: the rounds were too few.
with links as (

    select * from {{ ref("int_identity_links") }}

),

clusters as (

    select * from {{ ref("int_identity_clusters") }}

),

final as (

    select
        links.link_number,
        min(clusters.cluster_number) as smallest_cluster_number,
        max(clusters.cluster_number) as largest_cluster_number
    from links
    inner join clusters on links.node_number = clusters.node_number
    group by links.link_number
    having min(clusters.cluster_number) <> max(clusters.cluster_number)

)

select * from final
