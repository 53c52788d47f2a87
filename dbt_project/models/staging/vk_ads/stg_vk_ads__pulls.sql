{{ known_pulls("raw_vk_ads") }}
