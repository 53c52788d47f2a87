select * from {{ ref("int_amocrm__person_identifiers_conformed") }}
union all
select * from {{ ref("int_files__person_identifiers_conformed") }}
