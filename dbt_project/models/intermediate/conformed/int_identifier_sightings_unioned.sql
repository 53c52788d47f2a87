select * from {{ ref("int_amocrm__identifier_sightings_conformed") }}
union all
select * from {{ ref("int_files__identifier_sightings_conformed") }}
