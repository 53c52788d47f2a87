select * from {{ ref("int_amocrm__sales_reps_conformed") }}
union all
select * from {{ ref("int_files__sales_reps_conformed") }}
