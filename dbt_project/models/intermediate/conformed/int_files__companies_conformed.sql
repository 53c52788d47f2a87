with companies as (

    select * from {{ ref("stg_files__companies") }}

),

final as (

    select
        {{ entity_key(["'files'", "companies.source_account_id", "companies.company_id"]) }}
            as company_key,
        'files' as source_system,
        companies.source_account_id,
        companies.company_id,
        companies.company_name,
        companies.declared_segment
    from companies

)

select * from final
