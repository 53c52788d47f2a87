select * from {{ ref("int_amocrm__deals_conformed") }}
union all
select * from {{ ref("int_files__deals_conformed") }}
