"""openapi.json describes what the code does. WRITE_DOCS=1 writes the schemas of a remediation anew."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

import function_app
import shared.api
from shared.api.incidents import IncidentsQuery
from shared.api.instances import AcknowledgeRequest
from shared.api.meta import openapi
from shared.api.pauses import PauseReference, PauseRequest
from shared.api.remediations import CancelRequest, RemediationsQuery
from shared.api.requests import DryRunQuery
from shared.api.sync import MAX_ITEMS, SyncRequest
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.list_filter import ListFilter
from shared.dashboard.page import Dashboard
from shared.dashboard.report import ReportQuery
from shared.domain.remediation import Status
from shared.domain.summary import Summary
from shared.settings import Settings
from shared.storage.remediation_list import RemediationReader
from shared.version import VERSION
from tests.docs.written import assert_is_written
from tests.support.api_parts import (
    Json,
    acknowledge,
    cancel,
    described,
    http_request,
    intake,
    pausing,
    store_with,
    unexpected,
)
from tests.support.bindings import OutputBinding
from tests.support.dashboard_parts import Page
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, NOW, queued
from tests.support.schemas import remediation_schemas

FOLDER = Path(shared.api.__path__[0])
CATCH_ALL = "unserved_request"
SUBSCRIPTION_NAME: Json = {
    "description": "In lists: the name of the subscription, as the last sweep has seen it; null where none has.",
    "type": ["string", "null"],
}
FORM = "application/x-www-form-urlencoded"
LIMITS = ("default", "minimum", "maximum", "minLength", "maxLength")


class AnyType(GenerateJsonSchema):
    """Takes fields of types that no JSON schema describes."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def properties(model: type[BaseModel]) -> Mapping[str, Json]:
    found: Mapping[str, Json] = model.model_json_schema(schema_generator=AnyType)["properties"]
    return found


@cache
def triggers() -> dict[str, Json]:
    """The HTTP trigger of each function, as the host is told."""
    functions: list[Any] = [each for each in function_app.app.get_functions() if each.is_http_function()]
    return {each.get_function_name(): each.get_trigger().get_dict_repr() for each in functions}


def operations() -> Iterator[tuple[str, str, Json]]:
    """Path, method and description."""
    for path, item in openapi()["paths"].items():
        yield from ((path, method, operation) for method, operation in item.items() if method != "parameters")


def schema_of(name: str) -> Json:
    found: Json = openapi()["components"]["schemas"][name]
    return found


def assert_same_limits(described: Mapping[str, Json], model: type[BaseModel]) -> None:
    """Where both name a default or a limit, it is the same."""
    for name, schema in properties(model).items():
        common = [limit for limit in LIMITS if limit in schema and limit in described[name]]
        assert {limit: described[name][limit] for limit in common} == {limit: schema[limit] for limit in common}


def test_it_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(openapi()).iter_errors()) == []


def test_its_version_is_that_of_the_app() -> None:
    assert openapi()["info"]["version"] == VERSION


def test_it_has_each_method_of_each_http_function() -> None:
    served = {
        (name, f"/{trigger['route']}", method.value.lower())
        for name, trigger in triggers().items()
        for method in trigger.get("methods") or ()
        if method.value != "HEAD"
    }
    count = Counter(name for name, _, _ in served)
    # Generated clients name their methods by the operation ids.
    ids = {(f"{name}_{method}" if count[name] > 1 else name, path, method) for name, path, method in served}
    assert {(operation["operationId"], path, method) for path, method, operation in operations()} == ids


def test_what_can_be_got_can_be_asked_for_its_head() -> None:
    methods = [{method.value for method in trigger.get("methods") or ()} for trigger in triggers().values()]
    assert [each for each in methods if ("GET" in each) is not ("HEAD" in each)] == []


@pytest.mark.parametrize(("path", "method", "operation"), [*operations()])
def test_each_operation_has_a_tag_a_description_and_an_example(path: str, method: str, operation: Json) -> None:
    (tag,) = operation["tags"]
    assert tag in {each["name"] for each in openapi()["tags"] if each["description"]}
    assert {operation["summary"], operation["description"]} - {""}
    contents = [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "300"]
    contents.append(operation.get("requestBody", {}).get("content", {}))
    lacking = [kind for content in contents for kind, media in content.items() if "example" not in media]
    assert (path, method, lacking) == (path, method, [])


def examples(value: object) -> Iterator[tuple[Json, object]]:
    """Each schema in a part of the document that has an example beside it, and this example."""
    if isinstance(value, dict):
        if "example" in value and "schema" in value:
            yield value["schema"], value["example"]
        for each in value.values():
            yield from examples(each)
    elif isinstance(value, list):
        for each in value:
            yield from examples(each)


def complete(example: object, schema: Json, schemas: Json) -> None:
    """Add to an example what its schema has gained since, as null, which is what it stands for in older data."""
    for choice in (schema, *schema.get("anyOf", ())):
        wanted = schemas[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice
        if isinstance(example, dict):
            for name, kind in wanted.get("properties", {}).items():
                if name in example:
                    complete(example[name], kind, schemas)
                elif name in wanted.get("required", ()) and {"type": "null"} in kind.get("anyOf", ()):
                    example[name] = None
        elif isinstance(example, list) and "items" in wanted:
            for each in example:
                complete(each, wanted["items"], schemas)


def test_every_example_is_as_its_schema_says() -> None:
    for schema, example in examples(openapi()["paths"]):
        validator = Draft202012Validator({**schema, "components": openapi()["components"]})
        assert [error.message for error in validator.iter_errors(example)] == []


def test_every_route_wants_a_key() -> None:
    assert {trigger["authLevel"] for trigger in triggers().values()} == {func.AuthLevel.FUNCTION}
    assert openapi()["security"] == [{"functionsKey": []}, {"code": []}]


def test_the_catch_all_is_the_last_that_the_host_tries() -> None:
    assert max(triggers()) == CATCH_ALL
    assert (triggers()[CATCH_ALL]["route"], triggers()[CATCH_ALL].get("methods")) == ("{*path}", None)


QUERIES: Mapping[tuple[str, str], type[BaseModel]] = {
    ("/sync", "post"): DryRunQuery,
    ("/sweep", "post"): DryRunQuery,
    ("/remediations", "get"): RemediationsQuery,
    ("/incidents", "get"): IncidentsQuery,
    ("/report", "get"): ReportQuery,
}


def query_parameters(operation: Json) -> dict[str, Json]:
    return {each["name"]: each["schema"] for each in operation["parameters"] if each["in"] == "query"}


def test_the_parameters_of_each_route_are_those_of_the_model_that_reads_them() -> None:
    described = {(path, method): list(query_parameters(operation)) for path, method, operation in operations()}
    read = {route: list(properties(model)) for route, model in QUERIES.items()}
    read["/dashboard", "get"] = ["id", "report", "format", *(field.name for field in fields(ListFilter)), "live"]
    assert {route: names for route, names in described.items() if names} == read


@pytest.mark.parametrize(("path", "method"), QUERIES)
def test_the_parameters_have_the_limits_of_the_model_that_reads_them(path: str, method: str) -> None:
    assert_same_limits(query_parameters(openapi()["paths"][path][method]), QUERIES[path, method])


def test_a_list_can_be_filtered_by_each_status() -> None:
    assert query_parameters(openapi()["paths"]["/remediations"]["get"])["status"]["items"]["enum"] == [*Status]


@pytest.mark.parametrize(
    "model",
    [SyncRequest, CancelRequest, AcknowledgeRequest, PauseRequest, PauseReference],
    ids=lambda model: model.__name__,
)
def test_the_body_of_a_request_is_that_of_the_model_that_reads_it(model: type[BaseModel]) -> None:
    described = schema_of(model.__name__)["properties"]
    assert list(described) == list(properties(model))
    assert_same_limits(described, model)


def test_a_list_of_requests_has_as_many_items_as_are_taken() -> None:
    assert schema_of("SyncList")["properties"]["items"]["maxItems"] == MAX_ITEMS


def test_the_schemas_of_a_remediation_are_those_of_its_structs() -> None:
    document = json.loads((FOLDER / "openapi.json").read_text(encoding="utf-8"))
    schemas = remediation_schemas("#/components/schemas")
    # Only lists have it, and no event does.
    schemas["RemediationResource"]["properties"]["subscriptionName"] = SUBSCRIPTION_NAME
    document["components"]["schemas"] |= schemas
    for schema, example in examples(document["paths"]):
        complete(example, schema, document["components"]["schemas"])
    assert_is_written("openapi.json", json.dumps(document, indent=1) + "\n", FOLDER)


class NoRemediations(RemediationReader):
    def __init__(self) -> None:
        """Reads from no table."""

    def summaries(self, opened_since: datetime) -> list[Summary]:
        return []


def dashboard(method: str, query: Mapping[str, str], form: Mapping[str, str] | None = None) -> int:
    """The status of the response."""
    store = store_with(queued())
    fresh = intake(MemoryStore())
    page = Dashboard(
        lambda: fresh,
        lambda: cancel(store),
        lambda: acknowledge(store),
        lambda: pausing(store),
        NoRemediations,
        lambda: store,
        Settings(),
        lambda: NOW,
        status=lambda: Page().status,
        reads=KnownReads(lambda: NOW),
        runs=lambda: Page().runs,
        report=unexpected,
    )
    headers = {"Content-Type": FORM}
    request = http_request(method, "/dashboard", urlencode(form or {}).encode(), headers, query)
    return described(page.answer(request, OutputBinding()), method, "/dashboard").status_code


def dashboard_parameters() -> dict[str, Json]:
    return query_parameters(openapi()["paths"]["/dashboard"]["get"])


@pytest.mark.parametrize("status", dashboard_parameters()["status"]["enum"])
def test_the_page_takes_each_status_that_is_described(status: str) -> None:
    assert dashboard("GET", {"status": status}) == 200


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 400)])
def test_the_page_searches_for_a_text_as_long_as_is_described(excess: int, status: int) -> None:
    text = "x" * (dashboard_parameters()["text"]["maxLength"] + excess)
    assert dashboard("GET", {"text": text}) == status


SYNC_FORM, CANCEL_FORM, ACKNOWLEDGE_FORM, PAUSE_FORM, RESUME_FORM, SYNC_SEVERAL_FORM, ACKNOWLEDGE_SEVERAL_FORM = (
    schema["properties"]
    for schema in openapi()["paths"]["/dashboard"]["post"]["requestBody"]["content"][FORM]["schema"]["oneOf"]
)


@pytest.mark.parametrize("sync_type", SYNC_FORM["syncType"]["enum"])
def test_the_page_takes_each_sync_type_that_is_described(sync_type: str) -> None:
    form = {"do": "sync", "backupInstanceId": str(INSTANCE), "syncType": sync_type}
    assert dashboard("POST", {}, form) == 303


@pytest.mark.parametrize(("excess", "status"), [(0, 303), (1, 400)])
@pytest.mark.parametrize(
    "form", [SYNC_FORM, CANCEL_FORM, ACKNOWLEDGE_FORM, PAUSE_FORM], ids=["sync", "cancel", "acknowledge", "pause"]
)
def test_the_page_takes_a_reason_as_long_as_is_described(form: Mapping[str, Json], excess: int, status: int) -> None:
    values = {
        "do": form["do"]["const"],
        "backupInstanceId": str(INSTANCE),
        "id": queued().id,
        "days": "1",
        "scope": "*",
    }
    assert dashboard("POST", {}, {**values, "reason": "x" * (form["reason"]["maxLength"] + excess)}) == status
