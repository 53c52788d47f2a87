select * from {{ ref("int_files__visits_conformed") }}
