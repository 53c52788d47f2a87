{#
  A returned row breaks the rule named in broken_rule: its expression is false. An expression that
  is null passes, as in a check constraint: say "column is not null" where null is wrong. All
  rules of a model are one test, one scan: a test node costs more than a rule.
#}
{% test row_rules(model, rules) %}

with failing as (

    select *
    from {{ model }}
    where
        {%- for rule in rules %}
        {{ "or " if not loop.first }}not coalesce(({{ rule.expression }}), true)
        {%- endfor %}

)

{%- for rule in rules %}
{{ "union all" if not loop.first }}
select
    '{{ rule.name }}' as broken_rule,
    failing.*
from failing
where not coalesce(({{ rule.expression }}), true)
{%- endfor %}

{% endtest %}
