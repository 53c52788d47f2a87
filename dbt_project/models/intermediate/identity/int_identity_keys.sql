{{ config(materialized="table") }}

with persons as (

    select * from {{ ref("int_persons_unioned") }}

),

person_identifiers as (

    select * from {{ ref("int_person_identifiers_unioned") }}

),

deals as (

    select * from {{ ref("int_deals_unioned") }}

),

clicks as (

    select * from {{ ref("int_clicks_located") }}

),

exceptions as (

    select * from {{ ref("stg_company__identity_exceptions") }}

),

told as (

    select
        person_identifiers.person_key,
        person_identifiers.identifier_kind,
        person_identifiers.identifier_value,
        cast(null as {{ dbt.type_string() }}) as click_id
    from person_identifiers
    where
        not coalesce(person_identifiers.is_functional_mailbox, false)
        and person_identifiers.identifier_value is not null
    union all
    select
        persons.person_key,
        'company' as identifier_kind,
        persons.company_key as identifier_value,
        cast(null as {{ dbt.type_string() }}) as click_id
    from persons
    where persons.company_key is not null
    union all
    -- The browser in which the ad was clicked that the deal names.
    select
        deals.person_key,
        'client_id' as identifier_kind,
        clicks.client_id as identifier_value,
        deals.click_id
    from deals
    inner join clicks on deals.click_id = clicks.click_id
    where
        deals.person_key is not null
        and clicks.client_id is not null

),

keys as (

    select
        told.person_key,
        told.identifier_kind,
        told.identifier_value,
        -- only where nothing but a click tells of the browser
        case when count(*) = count(told.click_id) then min(told.click_id) end as click_id
    from told
    group by
        told.person_key,
        told.identifier_kind,
        told.identifier_value

),

excepted as (

    select distinct
        keys.person_key,
        keys.identifier_kind
    from exceptions
    inner join persons
        on
            exceptions.person_id = persons.person_id
            and exceptions.source_system in ('*', persons.source_system)
            and exceptions.source_account_id in ('*', persons.source_account_id)
    inner join keys
        on
            persons.person_key = keys.person_key
            and exceptions.identifier_kind in ('*', keys.identifier_kind)

),

final as (

    select
        keys.person_key,
        keys.identifier_kind,
        keys.identifier_value,
        keys.click_id,
        excepted.person_key is not null as is_excepted
    from keys
    left join excepted
        on
            keys.person_key = excepted.person_key
            and keys.identifier_kind = excepted.identifier_kind

)

select * from final
