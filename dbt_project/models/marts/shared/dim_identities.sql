with customers as (

    select * from {{ ref("int_customers_clustered") }}

),

persons as (

    select * from {{ ref("int_persons_unioned") }}

),

companies as (

    select * from {{ ref("int_companies_unioned") }}

),

browsers as (

    select * from {{ ref("int_browsers_linked") }}
    where customer_count = 1

),

person_identities as (

    select
        {{ dbt.concat(["'person:'", "persons.person_key"]) }} as identity_key,
        'person' as identity_kind,
        persons.source_system,
        persons.source_account_id,
        persons.person_id as identity_id,
        persons.company_key,
        customers.customer_key
    from persons
    inner join customers on persons.person_key = customers.person_key

),

company_identities as (

    select
        {{ dbt.concat(["'company:'", "companies.company_key"]) }} as identity_key,
        'company' as identity_kind,
        companies.source_system,
        companies.source_account_id,
        companies.company_id as identity_id,
        companies.company_key,
        customers.customer_key
    from companies
    inner join customers on companies.company_key = customers.company_key

),

-- A browser is nobody's account: its id is the counter's, and deals of any CRM may name it.
browser_identities as (

    select
        {{ dbt.concat(["'browser:'", "browsers.client_id"]) }} as identity_key,
        'browser' as identity_kind,
        cast(null as {{ dbt.type_string() }}) as source_system,
        cast(null as {{ dbt.type_string() }}) as source_account_id,
        browsers.client_id as identity_id,
        cast(null as {{ dbt.type_string() }}) as company_key,
        browsers.customer_key
    from browsers

),

final as (

    select * from person_identities
    union all
    select * from company_identities
    union all
    select * from browser_identities

)

select * from final
