with contacts as (

    select * from {{ ref("stg_amocrm__contacts_versions") }}

),

leads as (

    select * from {{ ref("stg_amocrm__leads_versions") }}

),

pulls as (

    select * from {{ ref("stg_amocrm__pulls") }}

),

seen as (

    select
        contacts.source_account_id,
        contacts.record_id as contact_id,
        'phone' as identifier_kind,
        unnest(contacts.phones) as identifier_text,
        contacts._pull_id,
        contacts._loaded_at
    from contacts
    where not contacts._is_tombstone
    union all
    select
        contacts.source_account_id,
        contacts.record_id as contact_id,
        'email' as identifier_kind,
        unnest(contacts.emails) as identifier_text,
        contacts._pull_id,
        contacts._loaded_at
    from contacts
    where not contacts._is_tombstone
    union all
    select
        contacts.source_account_id,
        contacts.record_id as contact_id,
        'company' as identifier_kind,
        contacts.first_company_id as identifier_text,
        contacts._pull_id,
        contacts._loaded_at
    from contacts
    where not contacts._is_tombstone
    union all
    select
        leads.source_account_id,
        leads.main_contact_id as contact_id,
        'client_id' as identifier_kind,
        leads.ym_client_id as identifier_text,
        leads._pull_id,
        leads._loaded_at
    from leads
    where not leads._is_tombstone and leads.main_contact_id is not null
    union all
    select
        leads.source_account_id,
        leads.main_contact_id as contact_id,
        'click_id' as identifier_kind,
        leads.click_id as identifier_text,
        leads._pull_id,
        leads._loaded_at
    from leads
    where not leads._is_tombstone and leads.main_contact_id is not null

),

final as (

    select
        seen.source_account_id,
        seen.contact_id,
        seen.identifier_kind,
        seen.identifier_text,
        seen._loaded_at
    from seen
    inner join pulls on seen._pull_id = pulls.pull_id
    where seen.identifier_text is not null and {{ known("seen._loaded_at") }}

)

select * from final
