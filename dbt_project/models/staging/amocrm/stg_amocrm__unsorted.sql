{{ known_records(ref("stg_amocrm__unsorted_versions"), ref("stg_amocrm__pulls")) }}
