"""The faults of the matrix: what a service, or a proxy before it, was seen to answer in place of the right thing."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

from tests.support.gateway import Answer, Fault

RETRY_AFTER = timedelta(minutes=10)
"""As the faults say that name one: longer than any trigger may wait."""
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_PAGE = b"<!DOCTYPE html><html><body><h1>The service is unavailable.</h1></body></html>"
_BOM = b"\xef\xbb\xbf"

ErrorBody = Callable[[str], Answer]
"""A service's own error for a code: its status is filled in."""


def arm_error(code: str) -> Answer:
    """As Resource Manager, Resource Graph and Event Grid answer."""
    return Answer(0, _JSON, json.dumps({"error": {"code": code, "message": "a fault"}}).encode())


def identity_error(code: str) -> Answer:
    """As the identity endpoint answers (App Service, "How to use managed identities")."""
    return Answer(0, _JSON, json.dumps({"statusCode": 0, "message": code}).encode())


def table_error(code: str) -> Answer:
    """As Table storage answers (REST reference, "Status and error codes")."""
    body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "a fault"}}}
    return Answer(
        0, {**_storage(code), "Content-Type": "application/json;odata=minimalmetadata"}, json.dumps(body).encode()
    )


def xml_error(code: str) -> Answer:
    """As Queue and Blob storage answer (REST reference, "Status and error codes")."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>a fault</Message></Error>'
    return Answer(0, {**_storage(code), "Content-Type": "application/xml"}, body.encode())


def faults(error: ErrorBody, elsewhere: str) -> list[Fault]:
    """All of them, with errors in a service's own shape; `elsewhere` is the URL that a redirect names."""
    return [
        Fault("connection refused", "refuse"),
        Fault("time-out", "be silent"),
        Fault("reset in the body", "cut the body"),
        _instead("web page", Answer(200, {"Content-Type": "text/html; charset=utf-8"}, _PAGE)),
        _instead("empty", Answer(200, {}, b"")),
        _instead("[]", Answer(200, _JSON, b"[]")),
        *(_refusal(error, status) for status in (401, 403, 404, 406, 408, 409, 412, 429)),
        _refusal(error, 429, " with seconds", lambda: str(int(RETRY_AFTER.total_seconds()))),
        _refusal(error, 429, " with a date", lambda: format_datetime(datetime.now(UTC) + RETRY_AFTER, usegmt=True)),
        *(_refusal(error, status) for status in (500, 502, 503, 504)),
        _instead("redirect", Answer(302, {"Location": elsewhere}, b"")),
        Fault("wrong content type", "disguise", lambda true: true._replace(headers=_with_type(true, "text/html"))),
        Fault("byte order mark", "disguise", lambda true: true._replace(body=_BOM + true.body)),
    ]


def _instead(name: str, answer: Answer) -> Fault:
    return Fault(name, "answer", lambda _: answer)


def _refusal(error: ErrorBody, status: int, suffix: str = "", retry_after: Callable[[], str] | None = None) -> Fault:
    code = HTTPStatus(status).phrase.replace(" ", "")

    def answer(_: Answer) -> Answer:
        body = error(code)
        return Answer(status, {**body.headers, **({"Retry-After": retry_after()} if retry_after else {})}, body.body)

    return Fault(f"{status}{suffix}", "answer", answer)


def _with_type(answer: Answer, content_type: str) -> Mapping[str, str]:
    others = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return {**others, "Content-Type": content_type}


def _storage(code: str) -> dict[str, str]:
    return {
        "Server": "Windows-Azure-Storage/1.0 Microsoft-HTTPAPI/2.0",
        "x-ms-error-code": code,
        "x-ms-request-id": "2f0a6b5e-0003-0041-2f4c-1b7a0e000000",
        "x-ms-version": "2019-02-02",
    }


NAMES = tuple(fault.name for fault in faults(arm_error, ""))
