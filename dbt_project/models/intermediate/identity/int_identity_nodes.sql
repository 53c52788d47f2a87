{{ config(materialized="table") }}

with persons as (

    select * from {{ ref("int_persons_unioned") }}

),

companies as (

    select * from {{ ref("int_companies_unioned") }}

),

nodes as (

    select
        persons.person_key,
        cast(null as {{ dbt.type_string() }}) as company_key,
        {{ dbt.concat(["'person:'", "persons.person_key"]) }} as customer_key,
        persons.created_at,
        0 as kind_position
    from persons
    union all
    select
        cast(null as {{ dbt.type_string() }}) as person_key,
        companies.company_key,
        {{ dbt.concat(["'company:'", "companies.company_key"]) }} as customer_key,
        cast(null as timestamp) as created_at,
        1 as kind_position
    from companies

),

-- The person known longest gives the cluster its name, so a new contact does not rename it.
final as (

    select
        nodes.person_key,
        nodes.company_key,
        nodes.customer_key,
        row_number() over (
            order by
                nodes.kind_position asc,
                nodes.created_at asc nulls last,
                nodes.customer_key asc
        ) as node_number
    from nodes

)

select * from final
