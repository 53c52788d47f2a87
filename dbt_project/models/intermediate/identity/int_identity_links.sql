{{ config(materialized="table") }}
{#- A key that more than five persons share is a switchboard or a shared mailbox, and a company
    with more persons than this is a placeholder: neither says who somebody is. -#}
{%- set persons_per_key = var("persons_per_key", 5) %}
{%- set persons_per_company = var("persons_per_company", 20) %}

with nodes as (

    select * from {{ ref("int_identity_nodes") }}

),

persons as (

    select * from {{ ref("int_persons_unioned") }}

),

person_identifiers as (

    select * from {{ ref("int_person_identifiers_unioned") }}

),

personal_keys as (

    select distinct
        person_identifiers.person_key,
        person_identifiers.identifier_kind,
        person_identifiers.identifier_value
    from person_identifiers
    where
        not coalesce(person_identifiers.is_functional_mailbox, false)
        and person_identifiers.identifier_value is not null

),

shared_keys as (

    select
        personal_keys.identifier_kind,
        personal_keys.identifier_value,
        row_number() over (
            order by personal_keys.identifier_kind, personal_keys.identifier_value
        ) as link_number
    from personal_keys
    group by personal_keys.identifier_kind, personal_keys.identifier_value
    having count(*) between 2 and {{ persons_per_key }}

),

companies as (

    select persons.company_key
    from persons
    where persons.company_key is not null
    group by persons.company_key
    having count(*) <= {{ persons_per_company }}

),

company_members as (

    select
        company_nodes.node_number as company_node_number,
        person_nodes.node_number as person_node_number
    from companies
    inner join persons on companies.company_key = persons.company_key
    inner join nodes as person_nodes
        on persons.person_key = person_nodes.person_key
    inner join nodes as company_nodes
        on companies.company_key = company_nodes.company_key

),

final as (

    select
        nodes.node_number,
        shared_keys.link_number
    from personal_keys
    inner join shared_keys
        on
            personal_keys.identifier_kind = shared_keys.identifier_kind
            and personal_keys.identifier_value = shared_keys.identifier_value
    inner join nodes on personal_keys.person_key = nodes.person_key
    union all
    -- Links of companies take negative numbers, so that the two kinds never meet.
    select
        company_members.person_node_number as node_number,
        -1 * company_members.company_node_number as link_number
    from company_members
    union all
    select distinct
        company_members.company_node_number as node_number,
        -1 * company_members.company_node_number as link_number
    from company_members

)

select * from final
