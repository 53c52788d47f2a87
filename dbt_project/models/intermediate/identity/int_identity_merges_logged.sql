{{ config(materialized="table") }}
{%- set persons_per_key = var("persons_per_key", 5) %}

with nodes as (

    select * from {{ ref("int_identity_nodes") }}

),

customers as (

    select * from {{ ref("int_customers_clustered") }}

),

links as (

    select * from {{ ref("int_identity_links") }}

),

keys as (

    select * from {{ ref("int_identity_keys") }}

),

sightings as (

    select * from {{ ref("int_identifier_sightings_unioned") }}

),

linking_keys as (

    select distinct
        links.identifier_kind,
        links.identifier_value
    from links

),

-- What an exception of the company took apart: the key as it was before.
undone_keys as (

    select
        keys.identifier_kind,
        keys.identifier_value
    from keys
    group by keys.identifier_kind, keys.identifier_value
    having
        count(*) > count(case when not keys.is_excepted then 1 end)
        and (
            keys.identifier_kind = 'company'
            or count(*) between 2 and {{ persons_per_key }}
        )

),

logged_keys as (

    select * from linking_keys
    union
    select * from undone_keys

),

members as (

    select
        keys.person_key,
        keys.identifier_kind,
        keys.identifier_value,
        keys.click_id,
        keys.is_excepted
    from keys
    inner join logged_keys
        on
            keys.identifier_kind = logged_keys.identifier_kind
            and keys.identifier_value = logged_keys.identifier_value

),

first_sightings as (

    select
        members.person_key,
        members.identifier_kind,
        members.identifier_value,
        min(sightings.known_at) as known_at
    from members
    inner join sightings
        on
            members.person_key = sightings.person_key
            and coalesce(members.click_id, members.identifier_value)
            = sightings.identifier_value
            and case
                when members.click_id is not null then 'click_id'
                else members.identifier_kind
            end = sightings.identifier_kind
    group by
        members.person_key,
        members.identifier_kind,
        members.identifier_value

),

known_members as (

    select
        members.identifier_kind,
        members.identifier_value,
        nodes.node_number,
        nodes.customer_key,
        first_sightings.known_at,
        members.is_excepted
    from members
    inner join nodes on members.person_key = nodes.person_key
    left join first_sightings
        on
            members.person_key = first_sightings.person_key
            and members.identifier_kind = first_sightings.identifier_kind
            and members.identifier_value = first_sightings.identifier_value
    union all
    -- A company is the first of its members: persons join it.
    select
        'company' as identifier_kind,
        nodes.company_key as identifier_value,
        nodes.node_number,
        nodes.customer_key,
        cast(null as timestamp) as known_at,
        false as is_excepted
    from logged_keys
    inner join nodes on logged_keys.identifier_value = nodes.company_key
    where logged_keys.identifier_kind = 'company'

),

-- The one that had the key first, and those that came to have it too.
ordered as (

    select
        known_members.*,
        row_number() over key_members as member_number,
        first_value(known_members.customer_key) over key_members as first_customer_key,
        first_value(known_members.known_at) over key_members as first_known_at
    from known_members
    window
        key_members as (
            partition by
                known_members.identifier_kind,
                known_members.identifier_value
            order by
                known_members.is_excepted asc,
                known_members.known_at asc nulls first,
                known_members.node_number asc
        )

),

final as (

    select
        {{ dbt.concat([
            "ordered.identifier_kind",
            "':'",
            "ordered.identifier_value",
            "':'",
            "ordered.customer_key",
        ]) }} as merge_key,
        ordered.identifier_kind,
        ordered.identifier_value,
        ordered.first_customer_key as into_customer_key,
        ordered.customer_key as joined_customer_key,
        customers.customer_key,
        coalesce(
            greatest(ordered.known_at, ordered.first_known_at),
            ordered.known_at,
            ordered.first_known_at
        ) as known_at,
        ordered.is_excepted as is_undone
    from ordered
    inner join customers on ordered.node_number = customers.node_number
    where ordered.member_number > 1

)

select * from final
