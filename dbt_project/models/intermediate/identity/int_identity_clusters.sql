{{ config(materialized="table") }}
{#- Every round at least halves the way to the smallest number of a cluster: ten rounds reach
    through chains of two hundred persons. A test proves that they were enough. -#}
{%- set rounds = 10 %}

with links as (

    select * from {{ ref("int_identity_links") }}

),

round_0 as (

    select
        links.node_number,
        links.node_number as label
    from links
    group by links.node_number

),
{% for round in range(1, rounds + 1) %}
    {%- set before = "round_" ~ (round - 1) %}
    {%- set now = "round_" ~ round %}
    -- Pointer jumping: the label of a node's label.
    {{ now }}_jumped as (

        select
            nodes.node_number,
            nodes.label,
            parents.label as parent_label
        from {{ before }} as nodes
        inner join {{ before }} as parents on nodes.label = parents.node_number

    ),

    {{ now }}_links as (

        select
            links.link_number,
            min(jumped.parent_label) as label
        from links
        inner join {{ now }}_jumped as jumped on links.node_number = jumped.node_number
        group by links.link_number

    ),

    {{ now }}_neighbours as (

        select
            links.node_number,
            min({{ now }}_links.label) as label
        from links
        inner join {{ now }}_links on links.link_number = {{ now }}_links.link_number
        group by links.node_number

    ),

    -- What a node learns, it and its label learn.
    {{ now }}_learned as (

        select
            jumped.node_number,
            neighbours.label
        from {{ now }}_jumped as jumped
        inner join {{ now }}_neighbours as neighbours
            on jumped.node_number = neighbours.node_number
        union all
        select
            jumped.label as node_number,
            min(neighbours.label) as label
        from {{ now }}_jumped as jumped
        inner join {{ now }}_neighbours as neighbours
            on jumped.node_number = neighbours.node_number
        group by jumped.label

    ),

    {{ now }} as (

        select
            learned.node_number,
            min(learned.label) as label
        from {{ now }}_learned as learned
        group by learned.node_number

    ),
{% endfor %}
final as (

    select
        round_{{ rounds }}.node_number,
        round_{{ rounds }}.label as cluster_number
    from round_{{ rounds }}

)

select * from final
