{{ known_names(
    ref("stg_yandex_direct__campaigns_versions"),
    ref("stg_yandex_direct__pulls"),
    "campaign_id",
    "campaign_name",
) }}
