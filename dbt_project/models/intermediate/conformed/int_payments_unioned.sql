select * from {{ ref("int_amocrm__payments_conformed") }}
union all
select * from {{ ref("int_files__payments_conformed") }}
