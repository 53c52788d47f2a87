"""Running queries: ad hoc, of a card, of a card on a dashboard (api.md 5)."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake import dataset_query
from tests.metabase.fake.engines import EngineError, Result
from tests.metabase.fake.part import Part
from tests.metabase.fake.state import Row
from tests.metabase.fake.substitution import FieldName, SubstitutionError, substitute
from tests.metabase.fake.web import Answer, Call, RefusedError, Routes, forbidden, missing

ROW_CAP = 2_000
# Results of the same statement on the same file, for tests that apply hundreds of times.
_REUSED: dict[tuple[Any, ...], Result | EngineError] = {}


class Queries(Part):
    """What runs SQL."""

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        routes.add("POST", "/api/dataset", self.ad_hoc)
        routes.add("POST", "/api/card/{id}/query", self.of_card)
        routes.add(
            "POST",
            "/api/dashboard/{dashboard}/dashcard/{dashcard}/card/{card}/query",
            self.of_dashcard,
        )

    def ad_hoc(self, call: Call) -> Any:
        """Run what the body holds."""
        body = dict(call.body or {})
        parameters = _listed(body.pop("parameters", None))
        query = dataset_query.stored(body, self._state.uuid)
        if query.get("database") not in self._state.databases:
            raise missing()
        if not self._fake.accounts.may_query(call.visitor, query["database"]):
            return Answer(
                202,
                _failed(
                    "You do not have permissions to run this query.", "missing-required-permissions"
                ),
            )
        return Answer(202, self.envelope(query, self._values(query, parameters)))

    def of_card(self, call: Call) -> Any:
        """Run a saved card."""
        card = self._fake.cards.card(call.numbers[0])
        if not self._fake.accounts.may_read(call.visitor, card["collection_id"]):
            raise forbidden()
        parameters = _listed((call.body or {}).get("parameters"))
        tags = dataset_query.tags_of(card["dataset_query"])
        for parameter in parameters:
            name = _tag_of(parameter.get("target"))
            if name not in tags:
                raise RefusedError(
                    400,
                    {
                        "message": f"Invalid parameter: Card {card['id']} does not have a template"
                        f' tag named "{name}".',
                        "error_type": "invalid-parameter",
                    },
                )
            if self._fake.minor >= 63 and not parameter.get("id"):
                raise RefusedError(400, {"message": "parameters[0].id: missing required key"})
        query = card["dataset_query"]
        return Answer(202, self.envelope(query, self._values(query, parameters)))

    def of_dashcard(self, call: Call) -> Any:
        """Run a card with the filters of its dashboard; what is not mapped to it has no effect."""
        state = self._state
        dashboard_id, dashcard_id, card_id = (int(number) for number in call.numbers)
        dashboard = self._fake.dashboards.dashboard(dashboard_id)
        if not self._fake.accounts.may_read(call.visitor, dashboard["collection_id"]):
            raise forbidden()
        dashcard = state.dashcards.get(dashcard_id)
        if dashcard is None or dashcard["dashboard_id"] != dashboard_id:
            raise missing()
        shown = {dashcard["card_id"], *(one["id"] for one in dashcard["series"])}
        if card_id not in shown or card_id not in state.cards:
            raise missing()
        known = {one["id"]: one for one in dashboard["parameters"]}
        query = state.cards[card_id]["dataset_query"]
        mapped: dict[str, Row] = {}
        for parameter in _listed((call.body or {}).get("parameters")):
            parameter_id = parameter.get("id")
            if parameter_id not in known:
                message = f'Dashboard does not have a parameter with ID "{parameter_id}".'
                raise RefusedError(400, {"message": message, "error_type": "invalid-parameter"})
            kind = parameter.get("type") or known[parameter_id]["type"]
            if kind.split("/")[0] != known[parameter_id]["type"].split("/")[0]:
                raise RefusedError(
                    400,
                    {
                        "message": f"Invalid parameter type :{kind} for parameter {parameter_id}.",
                        "error_type": "invalid-parameter",
                    },
                )
            for mapping in dashcard["parameter_mappings"]:
                if mapping.get("parameter_id") != parameter_id:
                    continue
                if mapping.get("card_id") not in {None, card_id}:
                    continue
                name = _tag_of(mapping.get("target"))
                if name is not None:
                    value = parameter.get("value")
                    is_operator = kind.split("/")[0] in {"string", "number", "boolean"}
                    if is_operator and value not in (None, "") and not isinstance(value, list):
                        value = [value]
                    mapped[name] = {"type": kind, "value": value}
        return Answer(202, self.envelope(query, mapped))

    @staticmethod
    def _values(query: Row, parameters: list[Row]) -> dict[str, Row]:
        values = {}
        for parameter in parameters:
            name = _tag_of(parameter.get("target"))
            if name is not None:
                values[name] = {"type": parameter.get("type"), "value": parameter.get("value")}
        return values

    def _fields(self, query: Row) -> dict[str, FieldName]:
        state, found = self._state, {}
        for name, tag in dataset_query.tags_of(query).items():
            reference = tag.get("dimension")
            field = state.fields.get(reference[2]) if isinstance(reference, list) else None
            if field is not None:
                table = state.tables[field["table_id"]]
                found[name] = FieldName(
                    table["schema"], table["name"], field["name"], field["base_type"]
                )
        return found

    def result(self, query: Row, values: dict[str, Row]) -> tuple[Result, str]:
        """Return what a stored query returns, and the SQL that ran.

        Raises:
            SubstitutionError: Its variables could not be put in.
            EngineError: The database refused.
        """
        sql = dataset_query.sql_of(query)
        if sql is None:
            raise EngineError("The fake runs SQL alone, no queries of the query builder.")
        with self._fake.lock:
            tags, fields = dataset_query.tags_of(query), self._fields(query)
            pool = self._fake.databases.pool(query["database"])
        sql = substitute(sql, tags, values, fields, self._fake.today())
        if not self._fake.is_result_reused:
            return pool.run(sql, ROW_CAP), sql
        key = (pool.identity, sql)
        if key not in _REUSED:
            try:
                _REUSED[key] = pool.run(sql, ROW_CAP)
            except EngineError as error:
                _REUSED[key] = error
        known = _REUSED[key]
        if isinstance(known, EngineError):
            raise known
        return known, sql

    def envelope(self, query: Row, values: dict[str, Row]) -> Row:
        """Return the answer to a query: 202 whatever happened, `status` tells."""
        try:
            result, sql = self.result(query, values)
        except SubstitutionError as error:
            return _failed(str(error), error.error_type)
        except EngineError as error:
            return _failed(str(error), "invalid-query")
        columns = [
            {
                "name": column.name,
                "display_name": column.name,
                "base_type": column.base_type,
                "effective_type": column.base_type,
                "database_type": column.database_type,
                "source": "native",
                "field_ref": ["field", column.name, {"base-type": column.base_type}],
            }
            for column in result.columns
        ]
        data: Row = {
            "rows": result.rows,
            "cols": columns,
            "native_form": {"query": sql, "params": None},
            "results_timezone": "UTC",
            "results_metadata": {"columns": metadata(result)},
            "insights": None,
        }
        if result.is_cut:
            data["rows_truncated"] = ROW_CAP
        return {
            "status": "completed",
            "data": data,
            "row_count": len(result.rows),
            "database_id": query["database"],
            "running_time": 1,
            "cached": None,
            "context": "question",
        }


def metadata(result: Result) -> list[Row]:
    """Return `result_metadata` of a result."""
    return [
        {
            "name": column.name,
            "display_name": column.name,
            "base_type": column.base_type,
            "effective_type": column.base_type,
            "semantic_type": None,
            "field_ref": ["field", column.name, {"base-type": column.base_type}],
        }
        for column in result.columns
    ]


def _listed(parameters: Any) -> list[Row]:
    if parameters is None:
        return []
    if not isinstance(parameters, list):
        message = "Assert failed: (sequential? parameters)"
        raise RefusedError(500, {"message": message, "cause": message})
    return parameters


def _tag_of(target: Any) -> str | None:
    """Return the template tag a target names."""
    if isinstance(target, list) and len(target) >= 2 and isinstance(target[1], list):
        kind, name = target[1][0], target[1][-1]
        if kind == "template-tag" and isinstance(name, str):
            return name
    return None


def _failed(message: str, error_type: str) -> Row:
    return {
        "status": "failed",
        "class": "class java.sql.SQLException",
        "error": message,
        "error_type": error_type,
        "data": {"rows": [], "cols": []},
        "row_count": 0,
        "running_time": 0,
        "via": [{"status": "failed", "error": message}],
        "stacktrace": [],
        "json_query": {},
    }
