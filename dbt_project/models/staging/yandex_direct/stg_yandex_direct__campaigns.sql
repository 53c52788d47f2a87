{{ known_records(ref("stg_yandex_direct__campaigns_versions"), ref("stg_yandex_direct__pulls")) }}
