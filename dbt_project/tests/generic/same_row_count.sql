{# A returned row says that a chain of joins lost or multiplied rows between two models. #}
{% test same_row_count(model, compared_to) %}

with counts as (

    select
        (select count(*) from {{ model }}) as row_count,
        (select count(*) from {{ compared_to }}) as expected_row_count

)

select
    row_count,
    expected_row_count
from counts
where row_count <> expected_row_count

{% endtest %}
