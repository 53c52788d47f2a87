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
        "silent_ad_account": [
            "part of the cost, an ad account is silent (see data trust)",
            "часть расходов, рекламный кабинет молчит (см. доверие к данным)",
        ],
        "earlier_ad_figures": [
            "part of the cost, figures of an ad account begin later (see data trust)",
            "часть расходов, цифры рекламного кабинета начинаются позже (см. доверие к данным)",
        ],
        "earlier_deals": [
            "part of the sales, deals in the CRM begin later",
            "часть продаж, сделки в CRM начинаются позже",
        ],
        "newer_data": ["newer data of the source", "свежие данные источника"],
    } -%}
    case {{ missing }}
        {%- for key, texts in words.items() %}
        when '{{ key }}' then '{{ texts[0 if language == "en" else 1] }}'
        {%- endfor %}
    end
{%- endmacro %}


{#
  The owner's numbers: what each is of the columns of rpt_owner_panel's `connected`, of how many things
  (n), its mean over the four periods before, what it lacks, and whose clock says how fresh it is.
#}
{% macro panel_metrics() -%}
    {%- set with_deals = {
        "state": "case when has_deals then 'known' else 'not_connected' end",
        "missing": "case when not has_deals then 'crm' end",
        "clock": "deals",
    } -%}
    {#- With a part of its cost untold a period is not to be compared with whole ones. -#}
    {%- set has_all_spend = "not has_silent_spend and not has_untold_spend" -%}
    {%- set metrics = [
        dict(
            with_deals,
            metric_id="came",
            value="came_people_count",
            n="came_people_count",
            previous="cast(previous_came_people_count as double) / 4",
        ),
        dict(
            with_deals,
            metric_id="bought",
            value="won_people_count",
            n="won_people_count",
            previous="cast(previous_won_people_count as double) / 4",
        ),
        dict(
            with_deals,
            metric_id="sold",
            value="won_amount",
            n="won_row_count",
            previous="cast(previous_won_amount as double) / 4",
        ),
        dict(
            metric_id="paid",
            value="paid_amount",
            n="paid_row_count",
            previous="cast(previous_paid_amount as double) / 4",
            state="case
                when has_all_payments then 'known'
                when has_payments then 'partial'
                else 'not_connected'
            end",
            missing="case when not has_all_payments then 'payments' end",
            clock="paid",
        ),
        dict(
            metric_id="acquisition_cost",
            value="spend_amount / nullif(new_client_people_count, 0)",
            n="new_client_people_count",
            previous="case when " ~ has_all_spend ~ " then cast(previous_spend_amount as double)
            / nullif(previous_new_client_people_count, 0) end",
            state="case when has_spend and has_deals then 'partial' else 'not_connected' end",
            missing="case
                when not has_spend then 'ad_spend'
                when not has_deals then 'crm'
                when has_silent_spend then 'silent_ad_account'
                when has_untold_spend then 'earlier_ad_figures'
                when has_untold_sales then 'earlier_deals'
                else 'full_costs'
            end",
            clock="both",
        ),
        dict(
            metric_id="earned",
            value="cost_won_amount - spend_amount",
            n="cost_won_row_count",
            previous="case when " ~ has_all_spend
            ~ " then cast(previous_cost_won_amount - previous_spend_amount as double) / 4 end",
            state="case when has_spend and has_deals then 'partial' else 'not_connected' end",
            missing="case
                when not has_spend then 'ad_spend'
                when not has_deals then 'crm'
                when has_silent_spend then 'silent_ad_account'
                when has_untold_spend then 'earlier_ad_figures'
                when has_untold_sales then 'earlier_deals'
                else 'costs'
            end",
            clock="both",
        ),
    ] -%}
    {{ return(metrics) }}
{%- endmacro %}
