with identifiers_seen as (

    select * from {{ ref("stg_amocrm__contact_identifiers_seen") }}

),

final as (

    select
        {{ entity_key([
            "'amocrm'", "identifiers_seen.source_account_id", "identifiers_seen.contact_id"
        ]) }} as person_key,
        identifiers_seen.identifier_kind,
        case
            when identifiers_seen.identifier_kind = 'company'
                then {{ entity_key([
                    "'amocrm'",
                    "identifiers_seen.source_account_id",
                    "identifiers_seen.identifier_text",
                ]) }}
            else {{ identifier_value(
                "identifiers_seen.identifier_kind", "identifiers_seen.identifier_text"
            ) }}
        end as identifier_value,
        identifiers_seen._loaded_at as known_at
    from identifiers_seen

)

select * from final
