select * from {{ ref("int_amocrm__pipeline_stages_conformed") }}
union all
select * from {{ ref("int_files__pipeline_stages_conformed") }}
