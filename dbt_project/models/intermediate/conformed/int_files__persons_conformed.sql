with persons as (

    select * from {{ ref("stg_files__persons") }}

),

deals as (

    select * from {{ ref("stg_files__deals") }}

),

visits as (

    select * from {{ ref("stg_files__visits") }}

),

-- A folder that supplies persons names all of them there; elsewhere deals and visits name them.
accounts_with_persons as (

    select distinct persons.source_account_id
    from persons

),

mentioned as (

    select
        deals.source_account_id,
        deals.person_id
    from deals
    where
        deals.person_id is not null
        and deals.source_account_id not in (
            select accounts_with_persons.source_account_id from accounts_with_persons
        )
    union
    select
        visits.source_account_id,
        visits.person_id
    from visits
    where
        visits.person_id is not null
        and visits.deal_source_system is null
        and visits.source_account_id not in (
            select accounts_with_persons.source_account_id from accounts_with_persons
        )

),

known as (

    select
        persons.source_account_id,
        persons.person_id,
        persons.company_id
    from persons
    union all
    select
        mentioned.source_account_id,
        mentioned.person_id,
        cast(null as varchar) as company_id
    from mentioned

),

final as (

    select
        {{ entity_key(["'files'", "known.source_account_id", "known.person_id"]) }}
            as person_key,
        'files' as source_system,
        known.source_account_id,
        known.person_id,
        {{ entity_key(["'files'", "known.source_account_id", "known.company_id"]) }}
            as company_key,
        -- the layout has neither for persons
        cast(null as timestamp) as created_at,
        cast(null as varchar) as declared_segment
    from known

)

select * from final
