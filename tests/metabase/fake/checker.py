"""What no schema knows (api.md 0): the checker that every request passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.metabase.fake.check_cards import card_findings
from tests.metabase.fake.check_dashboards import dashboard_findings, link_findings
from tests.metabase.fake.part import Part
from tests.metabase.fake.state import Row
from tests.metabase.fake.web import Call

_CARD = (
    "name description display dataset_query visualization_settings collection_id"
    " collection_position dashboard_id dashboard_tab_id type parameters parameter_mappings"
    " result_metadata cache_ttl"
)
# The keys a body may have; a newer server drops any other without a word (api.md 9).
DECLARED: dict[tuple[str, str], frozenset[str]] = {
    operation: frozenset(keys.split())
    for operation, keys in {
        ("POST", "/api/setup"): "token user prefs",
        ("POST", "/api/session"): "username password",
        ("POST", "/api/api-key"): "name group_id",
        ("POST", "/api/permissions/group"): "name is_tenant_group",
        ("POST", "/api/permissions/membership"): "group_id user_id is_group_manager",
        ("PUT", "/api/collection/graph"): "groups namespace revision",
        ("POST", "/api/database"): (
            "name engine details is_full_sync is_on_demand auto_run_queries cache_ttl schedules"
            " connection_source provider_name"
        ),
        ("PUT", "/api/database/{id}"): (
            "name engine details description auto_run_queries cache_ttl schedules caveats"
            " points_of_interest provider_name refingerprint settings write_data_details"
        ),
        ("PUT", "/api/table/{id}"): (
            "display_name description visibility_type caveats points_of_interest field_order"
            " entity_type show_in_getting_started data_authority data_layer data_source owner_email"
            " owner_user_id"
        ),
        ("PUT", "/api/field/{id}"): (
            "display_name description semantic_type fk_target_field_id has_field_values"
            " visibility_type settings caveats points_of_interest coercion_strategy json_unfolding"
            " nfc_path"
        ),
        ("POST", "/api/collection"): "name description parent_id authority_level namespace",
        ("PUT", "/api/collection/{id}"): (
            "name description parent_id archived authority_level type"
        ),
        ("POST", "/api/card"): f"{_CARD} entity_id",
        ("PUT", "/api/card/{id}"): (
            f"{_CARD} archived collection_preview embedding_params embedding_type enable_embedding"
        ),
        ("POST", "/api/card/{id}/query"): (
            "ignore_cache parameters dashboard_id collection_preview"
        ),
        ("POST", "/api/dashboard"): (
            "name description collection_id collection_position parameters cache_ttl"
        ),
        ("PUT", "/api/dashboard/{id}"): (
            "name description collection_id collection_position parameters cache_ttl dashcards tabs"
            " archived width position auto_apply_filters caveats points_of_interest"
            " embedding_params embedding_type enable_embedding show_in_getting_started"
        ),
    }.items()
}
# Taken by servers, absent from the documents (api.md 5 and 6).
UNDOCUMENTED_KEYS = frozenset({"parameters", "auto_apply_filters"})
_DASHCARD = frozenset(
    [
        "id",
        "row",
        "col",
        "size_x",
        "size_y",
        "card_id",
        "dashboard_tab_id",
        "parameter_mappings",
        "visualization_settings",
        "series",
        "inline_parameters",
        "action_id",
    ]
)
_TAB = frozenset({"id", "name"})
_PARAMETER = frozenset(
    [
        "id",
        "name",
        "slug",
        "type",
        "sectionId",
        "default",
        "required",
        "isMultiSelect",
        "filteringParameters",
        "values_source_type",
        "values_source_config",
        "values_query_type",
        "temporal_units",
    ]
)
_MAPPING = frozenset({"parameter_id", "card_id", "target"})
_SEMANTIC_TYPES = frozenset(
    [
        "PK",
        "FK",
        "Category",
        "Name",
        "Title",
        "Description",
        "Quantity",
        "Cost",
        "Currency",
        "Income",
        "Discount",
        "Price",
        "GrossMargin",
        "Share",
        "Percentage",
        "Score",
        "Duration",
        "State",
        "Country",
        "City",
        "ZipCode",
        "Latitude",
        "Longitude",
        "Email",
        "URL",
        "ImageURL",
        "AvatarURL",
        "Source",
        "Product",
        "User",
        "Company",
        "Subscription",
        "Comment",
        "Author",
        "Owner",
        "Birthdate",
        "CreationDate",
        "CreationTime",
        "CreationTimestamp",
        "UpdatedDate",
        "UpdatedTime",
        "UpdatedTimestamp",
        "JoinDate",
        "JoinTime",
        "JoinTimestamp",
        "CancelationDate",
        "CancelationTime",
        "CancelationTimestamp",
        "DeletionDate",
        "DeletionTime",
        "DeletionTimestamp",
        "SerializedJSON",
        "Enum",
    ]
)


class Checker(Part):
    """Finds what a server takes without a word and shows wrong."""

    def findings(self, call: Call, template: str, answer: Any) -> Iterator[str]:
        """Yield what is wrong with a request the server took.

        Args:
            call: The request.
            template: Its route.
            answer: What the server sent.
        """
        body = call.body
        if call.method not in {"POST", "PUT"} or not isinstance(body, dict):
            return
        yield from (f"{call.method} {template}: {text}" for text in self._keys(call, template))
        if template in {"/api/card", "/api/card/{id}"}:
            yield from card_findings(self._state, self._state.cards[answer["id"]])
        elif template == "/api/dashboard/{id}" and (
            "dashcards" in body or "parameters" in body or "tabs" in body
        ):
            board = self._state.dashboards[answer["id"]]
            yield from dashboard_findings(self._state, board, self._fake.today())
        elif template == "/api/field/{id}":
            yield from self._field(answer)

    def end_findings(self) -> Iterator[str]:
        """Yield what is wrong with the instance as it stands now."""
        yield from link_findings(self._state)

    @staticmethod
    def _keys(call: Call, template: str) -> Iterator[str]:
        body = call.body
        declared = DECLARED.get((call.method, template))
        if declared is not None:
            yield from _unknown("", body, declared)
        if template not in {"/api/dashboard/{id}", "/api/dashboard"}:
            return
        for dashcard in body.get("dashcards") or []:
            yield from _unknown("dashcards: ", dashcard, _DASHCARD)
            for mapping in dashcard.get("parameter_mappings") or []:
                yield from _unknown("parameter_mappings: ", mapping, _MAPPING)
        for tab in body.get("tabs") or []:
            yield from _unknown("tabs: ", tab, _TAB)
        for parameter in body.get("parameters") or []:
            yield from _unknown("parameters: ", parameter, _PARAMETER)
        if "dashcards" in body and "tabs" not in body and template.endswith("{id}"):
            yield "dashcards without tabs delete the tabs"
        ids = [one.get("id") for one in body.get("dashcards") or []]
        if len(ids) != len(set(ids)):
            yield "two dashcards of one id"
        for dashcard in body.get("dashcards") or []:
            if "card_id" not in dashcard:
                yield "a dashcard without card_id loses its card"

    def _field(self, field: Row) -> Iterator[str]:
        semantic = field["semantic_type"]
        name = f"column {field['name']!r}"
        if semantic is not None and semantic.removeprefix("type/") not in _SEMANTIC_TYPES:
            yield f"{name}: no semantic type is called {semantic!r}"
        target = self._state.fields.get(field["fk_target_field_id"] or 0)
        if semantic == "type/FK" and target is None:
            yield f"{name}: a foreign key to nowhere"
        if target is not None:
            tables = self._state.tables
            if tables[target["table_id"]]["db_id"] != tables[field["table_id"]]["db_id"]:
                yield f"{name}: a foreign key into another database"


def _unknown(where: str, body: Row, declared: frozenset[str]) -> Iterator[str]:
    for key in sorted(set(body) - declared):
        yield f"{where}the server knows no key {key!r}"
