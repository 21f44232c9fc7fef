"""Drives `azure_functions_runtime` as Azure's worker for Python 3.13 does, with messages of plain classes.

The runtime takes the gRPC message classes as an argument (`properties["protos"]`) and only constructs them
by keyword and reads their fields, so stand-ins with the fields of azure-functions-language-worker-protobuf
(`FunctionRpc.proto`) are enough; no host process and no gRPC is needed.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Message:
    """A protobuf message: keyword constructor, attributes, and which one of its values is set."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        if name in self.fields:
            return self.fields[name]
        raise AttributeError(name)

    def which_one_of(self, group: str) -> str | None:
        """The field of a oneof that is set; a parameter's `name` is none of its oneof."""
        return next((field for field in self.fields if field != "name"), None)

    WhichOneof = which_one_of  # protobuf's name


class StatusResult(Message):
    """`StatusResult` with its enum."""

    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    """`BindingInfo` with its enums (`in` is a Python keyword, and the runtime does not use it)."""

    out, inout = 1, 2
    undefined = 0


def _protos() -> SimpleNamespace:
    names = (
        "FunctionMetadataResponse",
        "InvocationResponse",
        "NullableBool",
        "NullableDouble",
        "NullableString",
        "NullableTimestamp",
        "ParameterBinding",
        "RpcException",
        "RpcFunctionMetadata",
        "RpcHttp",
        "RpcHttpCookie",
        "TypedData",
        "WorkerInitResponse",
        "WorkerMetadata",
    )
    plain = {name: type(name, (Message,), {}) for name in names}
    return SimpleNamespace(StatusResult=StatusResult, BindingInfo=BindingInfo, **plain)


@dataclass(frozen=True)
class Invocation:
    """The worker's response: `outputs` by binding name, `returned` the $return value, `error` a text."""

    succeeded: bool
    outputs: Mapping[str, Message]
    returned: Message | None
    error: str | None

    def text_output(self, name: str) -> str | None:
        """An output of type string, or None when the function set none."""
        return str(self.outputs[name].string) if name in self.outputs else None

    def list_output(self, name: str) -> list[str]:
        """An output of several messages; empty when the function set none."""
        return list(json.loads(self.outputs[name].json)) if name in self.outputs else []

    @property
    def status(self) -> str:
        """The HTTP status that the function answered."""
        assert self.returned is not None, self.error
        return str(self.returned.http.status_code)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the function answered, names in lower case."""
        assert self.returned is not None, self.error
        return {name.lower(): value for name, value in self.returned.http.headers.items()}

    @property
    def document(self) -> Any:
        """The JSON body that the function answered."""
        assert self.returned is not None, self.error
        return json.loads(self.returned.http.body.bytes)


class Worker:
    """The runtime with one app loaded."""

    def __init__(self, app_directory: Path) -> None:
        """Initialises the worker, which indexes the app; raises RuntimeError with the worker's reason."""
        self._runtime: Any = importlib.import_module("azure_functions_runtime")
        self._properties = {"host": "127.0.0.1", "protos": _protos()}
        self._runtime.start_threadpool_executor()
        request = SimpleNamespace(capabilities={}, function_app_directory=str(app_directory))
        answer = self._ask(self._runtime.worker_init_request, worker_init_request=request)
        if answer.result.status != StatusResult.Success:
            raise RuntimeError(f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}")

    def close(self) -> None:
        """End the worker's threads."""
        self._runtime.stop_threadpool_executor()

    def index(self) -> dict[str, list[dict[str, Any]]]:
        """The bindings of each function as the worker reports them to the host."""
        answer = self._ask(self._runtime.functions_metadata_request)
        functions = answer.function_metadata_results
        return {function.name: [json.loads(raw) for raw in function.raw_bindings] for function in functions}

    def invoke(self, function: str, parameter: str, data: Message, **metadata: Message) -> Invocation:
        """Call a function with its trigger's value and metadata."""
        request = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=str(uuid.uuid5(uuid.NAMESPACE_OID, function)),
            input_data=[Message(name=parameter, data=data)],
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        return _invocation(self._ask(self._runtime.invocation_request, invocation_request=request))

    def _ask(self, handler: Any, **message: Any) -> Any:
        return asyncio.run(handler(SimpleNamespace(request=SimpleNamespace(**message), properties=self._properties)))


def _invocation(answer: Any) -> Invocation:
    succeeded = answer.result.status == StatusResult.Success
    if not succeeded:
        return Invocation(False, {}, None, answer.result.exception.message)
    return Invocation(True, {each.name: each.data for each in answer.output_data}, answer.return_value, None)


def typed(kind: str, value: Any) -> Message:
    """`TypedData` with one kind set: string, json, bytes, http."""
    return Message(**{kind: value})


def http_request(
    method: str,
    url: str,
    body: bytes = b"",
    params: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Message:
    """An HTTP trigger's value; the worker asks for raw bodies (capability RawHttpBodyBytes)."""
    headers = {"content-type": content_type}
    return typed(
        "http",
        SimpleNamespace(
            method=method,
            url=url,
            headers=headers,
            params=dict(params or {}),
            query={},
            body=typed("bytes", body),
        ),
    )


def queue_metadata(dequeue_count: int = 1) -> dict[str, Message]:
    """A queue message's metadata as the host sends it: texts as strings, everything else as JSON."""
    return {
        "Id": typed("string", str(uuid.uuid4())),
        "DequeueCount": typed("json", str(dequeue_count)),
        "PopReceipt": typed("string", "AgAAAAMAAAAAAAAA"),
        "InsertionTime": typed("json", '"2026-11-23T20:00:00+00:00"'),
        "ExpirationTime": typed("json", '"2026-11-30T20:00:00+00:00"'),
        "NextVisibleTime": typed("json", '"2026-11-23T20:10:00+00:00"'),
    }


def bindings_of(bindings: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(type, direction) of each binding, sorted."""
    return sorted((str(binding["type"]), str(binding["direction"])) for binding in bindings)
