"""One request to Azure Resource Manager: with the token, without redirects, and its errors kept whole.

A request without a usable response is a `TransientFailure`, never an exception.
"""

import json
from collections.abc import Mapping
from typing import Any

import requests
from azure.core.exceptions import AzureError
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from shared.clients.credential import TokenCache
from shared.domain.arm_error import advice_of
from shared.domain.arm_results import NO_RESPONSE, ArmError, TransientFailure, new_error
from shared.domain.utf8 import read_json
from shared.logs import describe_exception

TIMEOUTS = (5.0, 30.0)
"""Seconds to connect, and between two bytes."""
_MAX_RETRY_AFTER = 3600.0
"""Seconds."""
_MAX_ERROR_CHARS = 30_000
"""Of an error as JSON: it is stored with the remediation."""
_MAX_CODE_CHARS = 200
_NOT_JSON = object()
_MAX_QUOTED_BYTES = 500

_NEVER_ACTED = frozenset({401, 403, 429, 503})
"""Statuses of a request that was turned away; after another one, such as a gateway's 504, it may have acted."""
NO_TOKEN = "TokenUnavailable"
"""The code of the error when the identity endpoint gives no token; the credential has tried several times by then."""


class ArmTransport:
    """Sends requests with the app's token on one pooled session."""

    def __init__(self, tokens: TokenCache, session: requests.Session, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        """Every URL that is called gets the token: it is the endpoint's, or `url_guard` has let it pass."""
        self._tokens = tokens
        self._session = session
        self._timeouts = timeouts

    def send(
        self, method: str, url: str, request_id: str | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response | TransientFailure:
        """The response, whatever its status.

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        headers = {"Accept": "application/json"}
        if request_id:
            headers["x-ms-client-request-id"] = request_id

        def send(token: str) -> requests.Response:
            return self._session.request(
                method,
                url,
                json=body,
                headers=headers,
                auth=_Bearer(token),
                timeout=self._timeouts,
                allow_redirects=False,
            )

        try:
            token = self._tokens.get()
            response = send(token)
            # A token may be refused before its time (a revoked session): one more, and only one.
            return send(self._tokens.renew(token)) if response.status_code == 401 else response
        except AzureError as cause:
            return TransientFailure(new_error(NO_TOKEN, f"no token: {describe_exception(cause)}"))
        except (OSError, ValueError, HTTPError) as cause:
            # Nearly always a `RequestException`, which is an OSError; a few of urllib3's and of IDNA's come through.
            reason = f"{method} {url.partition('?')[0]}: {describe_exception(cause)}"
            return TransientFailure(new_error(NO_RESPONSE, reason), may_have_acted=True)


class _Bearer(requests.auth.AuthBase):
    """The token as `auth`, not as a header: a header would lose to what a .netrc names for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def is_transient(status: int) -> bool:
    """Whether an HTTP status says nothing about the request itself: throttled, timed out or unavailable."""
    return status in (408, 429) or status >= 500


def is_verdict(response: requests.Response) -> bool:
    """Whether ARM, or a service behind it, has judged the request.

    A refusal that has no error code, neither in its body nor in the header `X-Ms-Error-Code`, may be of any proxy
    on the way, and so may a success whose body is no JSON.
    """
    if response.status_code < 300:
        return not response.content.strip() or _json(response, _NOT_JSON) is not _NOT_JSON
    return bool(_error_code(response))


def transient_failure(response: requests.Response) -> TransientFailure:
    """The response's error, and when ARM wants to be asked again."""
    may_have_acted = response.status_code not in _NEVER_ACTED
    status = response.status_code if is_verdict(response) else None
    return TransientFailure(response_error(response), retry_after(response), may_have_acted, status)


def retry_after(response: requests.Response) -> float | None:
    """Seconds from 0 to 3600, from `Retry-After` as a number or an HTTP date (RFC 9110, section 10.2.3)."""
    try:
        return min(Retry().parse_retry_after(response.headers["Retry-After"]), _MAX_RETRY_AFTER)
    except (KeyError, InvalidHeader, ValueError, OverflowError):
        return None


def response_error(response: requests.Response) -> ArmError:
    """ARM's error in the response; where there is none, one that says so."""
    return arm_error(
        _error(response),
        _error_code(response) or f"Http{response.status_code}",
        f"{response.status_code} {response.reason} without an error in ARM's shape: {_begin_of_body(response)}",
    )


def arm_error(value: object, code: str, message: str) -> ArmError:
    """An error as ARM wrote it; `code` and `message` are used where it has none. One that is too large is cut."""
    error = {"code": code, "message": message, **{key: item for key, item in as_object(value).items() if item}}
    error["code"], error["message"] = str(error["code"]), str(error["message"])
    if len(json.dumps(error)) <= _MAX_ERROR_CHARS:
        return error
    cut = new_error(error["code"][:200], f"{error['message'][:4000]} [the error was too large to keep whole]")
    return {**cut, "recommendedAction": advice_of(error)}


def json_object(response: requests.Response) -> Mapping[str, Any]:
    """The body as a JSON object; empty if it is anything else."""
    return as_object(_json(response))


def _json(response: requests.Response, otherwise: object = None) -> object:
    """The body as JSON; or `otherwise`."""
    try:
        value: object = read_json(response.content)
    except (ValueError, RecursionError):
        return otherwise
    return value


def _error(response: requests.Response) -> Mapping[str, Any]:
    """`{"error": {...}}` ("CloudError"), or the error alone, as some services behind ARM send it."""
    body = json_object(response)
    return as_object(body.get("error")) or (body if isinstance(body.get("code"), str) else {})


def _error_code(response: requests.Response) -> str:
    """From the body, or from the header that names a refusal without a body; empty if there is none."""
    code = _error(response).get("code") or response.headers.get("X-Ms-Error-Code", "")
    return str(code).strip()[:_MAX_CODE_CHARS]


def _begin_of_body(response: requests.Response) -> str:
    return response.content[:_MAX_QUOTED_BYTES].decode("utf-8", "replace")


def as_object(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
