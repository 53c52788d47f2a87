{{ known_records(ref("stg_amocrm__events_versions"), ref("stg_amocrm__pulls")) }}
