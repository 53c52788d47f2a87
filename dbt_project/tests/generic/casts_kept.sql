{#
  A returned row is a record with a value that did not fit its type and would be read as absent.
  Staging writes the names of such columns into _failed_casts while it parses.
#}
{% test casts_kept(model) %}

select
    source_account_id,
    record_id,
    _failed_casts
from {{ model }}
where _failed_casts is not null

{% endtest %}
