select * from {{ ref("int_amocrm__companies_conformed") }}
union all
select * from {{ ref("int_files__companies_conformed") }}
