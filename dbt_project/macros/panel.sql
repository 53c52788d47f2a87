{# What to connect for a number that is not known in full, in words that end the phrase "not connected: ...". #}
{% macro missing_words(missing, language) -%}
    {%- set words = {
        "crm": ["a CRM", "CRM"],
        "payments": ["invoices or payments", "счета или оплаты"],
        "ad_spend": ["advertising spend", "расходы на рекламу"],
        "full_costs": [
            "salaries, tools and agencies (only advertising is counted)",
            "зарплаты, сервисы и подрядчики (учтена только реклама)",
        ],
        "costs": [
            "costs of goods and salaries (shown: sold minus advertising)",
            "себестоимость и зарплаты (показано: продано минус реклама)",
        ],
        "newer_data": ["newer data of the source", "свежие данные источника"],
    } -%}
    case {{ missing }}
        {%- for key, texts in words.items() %}
        when '{{ key }}' then '{{ texts[0 if language == "en" else 1] }}'
        {%- endfor %}
    end
{%- endmacro %}
