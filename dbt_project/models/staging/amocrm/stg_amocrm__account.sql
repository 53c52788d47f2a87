{{ known_records(ref("stg_amocrm__account_versions"), ref("stg_amocrm__pulls")) }}
