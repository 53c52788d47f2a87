{{ config(materialized="table") }}
{#- A key that more than five persons share is a switchboard or a shared mailbox, and a company
    with more persons than this is a placeholder: neither says who somebody is. -#}
{%- set persons_per_key = var("persons_per_key", 5) %}
{%- set persons_per_company = var("persons_per_company", 20) %}

with nodes as (

    select * from {{ ref("int_identity_nodes") }}

),

keys as (

    select * from {{ ref("int_identity_keys") }}
    where not is_excepted

),

shared_keys as (

    select
        keys.identifier_kind,
        keys.identifier_value,
        row_number() over (
            order by keys.identifier_kind, keys.identifier_value
        ) as link_number
    from keys
    where keys.identifier_kind <> 'company'
    group by keys.identifier_kind, keys.identifier_value
    having count(*) between 2 and {{ persons_per_key }}

),

companies as (

    select keys.identifier_value as company_key
    from keys
    where keys.identifier_kind = 'company'
    group by keys.identifier_value
    having count(*) <= {{ persons_per_company }}

),

company_members as (

    select
        company_nodes.node_number as company_node_number,
        person_nodes.node_number as person_node_number,
        companies.company_key
    from companies
    inner join keys
        on
            companies.company_key = keys.identifier_value
            and keys.identifier_kind = 'company'
    inner join nodes as person_nodes on keys.person_key = person_nodes.person_key
    inner join nodes as company_nodes
        on companies.company_key = company_nodes.company_key

),

final as (

    select
        nodes.node_number,
        shared_keys.link_number,
        keys.identifier_kind,
        keys.identifier_value
    from keys
    inner join shared_keys
        on
            keys.identifier_kind = shared_keys.identifier_kind
            and keys.identifier_value = shared_keys.identifier_value
    inner join nodes on keys.person_key = nodes.person_key
    union all
    -- Links of companies take negative numbers, so that the two kinds never meet.
    select
        company_members.person_node_number as node_number,
        -1 * company_members.company_node_number as link_number,
        'company' as identifier_kind,
        company_members.company_key as identifier_value
    from company_members
    union all
    select distinct
        company_members.company_node_number as node_number,
        -1 * company_members.company_node_number as link_number,
        'company' as identifier_kind,
        company_members.company_key as identifier_value
    from company_members

)

select * from final
