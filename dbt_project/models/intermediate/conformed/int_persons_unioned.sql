select * from {{ ref("int_amocrm__persons_conformed") }}
union all
select * from {{ ref("int_files__persons_conformed") }}
