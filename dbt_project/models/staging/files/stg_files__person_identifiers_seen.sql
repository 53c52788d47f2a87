with persons as (

    select * from {{ source("raw_files", "persons") }}

),

deals as (

    select * from {{ source("raw_files", "deals") }}

),

visits as (

    select * from {{ source("raw_files", "visits") }}

),

pulls as (

    select * from {{ ref("stg_files__pulls") }}

),

seen as (

    select
        'files' as person_source_system,
        persons.source_account_id as person_source_account_id,
        persons.person_id,
        'phone' as identifier_kind,
        persons.phone as identifier_text,
        persons.source_account_id,
        persons.pull_id,
        persons._dlt_load_id as _load_id
    from persons
    where persons.person_id is not null
    union all
    select
        'files' as person_source_system,
        persons.source_account_id as person_source_account_id,
        persons.person_id,
        'email' as identifier_kind,
        persons.email as identifier_text,
        persons.source_account_id,
        persons.pull_id,
        persons._dlt_load_id as _load_id
    from persons
    where persons.person_id is not null
    union all
    select
        'files' as person_source_system,
        persons.source_account_id as person_source_account_id,
        persons.person_id,
        'company' as identifier_kind,
        persons.company_id as identifier_text,
        persons.source_account_id,
        persons.pull_id,
        persons._dlt_load_id as _load_id
    from persons
    where persons.person_id is not null
    union all
    select
        'files' as person_source_system,
        deals.source_account_id as person_source_account_id,
        deals.person_id,
        'client_id' as identifier_kind,
        deals.client_id as identifier_text,
        deals.source_account_id,
        deals.pull_id,
        deals._dlt_load_id as _load_id
    from deals
    where deals.person_id is not null
    union all
    select
        coalesce(visits.deal_source_system, 'files') as person_source_system,
        coalesce(visits.deal_source_account_id, visits.source_account_id)
            as person_source_account_id,
        visits.person_id,
        'client_id' as identifier_kind,
        visits.client_id as identifier_text,
        visits.source_account_id,
        visits.pull_id,
        visits._dlt_load_id as _load_id
    from visits
    where visits.person_id is not null

),

-- Every import of a table, not only the newest: what was told once was known since then.
final as (

    select
        seen.person_source_system,
        seen.person_source_account_id,
        seen.person_id,
        seen.identifier_kind,
        seen.identifier_text,
        seen.source_account_id,
        pulls._loaded_at
    from seen
    inner join pulls on seen.pull_id = pulls.pull_id and seen._load_id = pulls._load_id
    where seen.identifier_text is not null

)

select * from final
