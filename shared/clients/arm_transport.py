"""One request to Azure Resource Manager: with the token, without redirects, and its errors kept whole.

What cannot be known now is `NotAnswered`, never an exception.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from azure.core.exceptions import AzureError

from shared.clients.credential import TokenCache
from shared.domain.arm_results import ArmError, TransientFailure, new_error
from shared.logs import describe_exception

TIMEOUTS = (5.0, 30.0)
"""Seconds to connect, and between two bytes."""
_LONGEST_RETRY_AFTER = 3600.0
_LARGEST_ERROR = 30_000
_RETRY_LATER = frozenset({408, 429})

NO_TOKEN = "TokenUnavailable"
"""The code of the error when the identity endpoint gives no token; the credential has tried several times by then."""


class ArmTransport:
    """Calls with the app's token on one pooled session."""

    def __init__(
        self,
        tokens: TokenCache,
        session: requests.Session,
        now: Callable[[], datetime],
        timeouts: tuple[float, float] = TIMEOUTS,
    ) -> None:
        """Every URL that is called gets the token: it is the endpoint's, or the guard has let it pass."""
        self._tokens = tokens
        self._session = session
        self._now = now
        self._timeouts = timeouts

    def send(
        self, method: str, url: str, request_id: str | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response | TransientFailure:
        """The response, whatever its status.

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        headers = {"x-ms-client-request-id": request_id} if request_id else None

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
            token = self._tokens.current()
            response = send(token)
            # A token may be refused before its time (a revoked session): one more, and only one.
            return send(self._tokens.instead_of(token)) if response.status_code == 401 else response
        except AzureError as cause:
            return TransientFailure(new_error(NO_TOKEN, f"no token: {describe_exception(cause)}"))
        except requests.RequestException as cause:
            return TransientFailure(
                new_error("NoResponse", f"{method} {url.partition('?')[0]}: {describe_exception(cause)}")
            )

    def not_answered(self, response: requests.Response) -> TransientFailure:
        """No verdict: the response's error, and when ARM wants to be asked again."""
        return TransientFailure(cloud_error(response), self.retry_after(response))

    def retry_after(self, response: requests.Response) -> float | None:
        """Seconds, from `Retry-After` as a number or an HTTP date (RFC 9110, section 10.2.3)."""
        text = response.headers.get("Retry-After", "").strip()
        if not text:
            return None
        try:
            seconds = float(text) if text.isascii() and text.isdigit() else self._seconds_until(text)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)

    def _seconds_until(self, http_date: str) -> float:
        moment = parsedate_to_datetime(http_date)
        return (moment.astimezone(UTC) - self._now()).total_seconds()


class _Bearer(requests.auth.AuthBase):
    """The token as `auth`, not as a header: a header would lose to what a .netrc names for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def is_transient(status: int) -> bool:
    """Whether a refusal with this HTTP status says nothing about the request itself: throttled or unavailable."""
    return status in _RETRY_LATER or status >= 500


def cloud_error(response: requests.Response) -> ArmError:
    """ARM's error whole; where the body holds none, one that says so."""
    return arm_error(
        json_object(response).get("error"),
        f"Http{response.status_code}",
        f"{response.status_code} {response.reason} without an error in ARM's shape: {response.text[:500]}",
    )


def arm_error(found: object, code: str, message: str) -> ArmError:
    """An error as ARM wrote it; code and message step in where it has none. One that is too large is cut."""
    error = {
        "code": code,
        "message": message,
        **{key: value for key, value in as_object(found).items() if value},
    }
    error["code"], error["message"] = str(error["code"]), str(error["message"])
    if len(json.dumps(error)) <= _LARGEST_ERROR:
        return error
    cut = f"{error['message'][:4000]} [the error was too large to keep whole]"
    return new_error(error["code"][:200], cut)


def json_object(response: requests.Response) -> Mapping[str, Any]:
    """The body as a JSON object; empty if it is anything else."""
    try:
        return as_object(response.json())
    except (ValueError, RecursionError):
        return {}


def as_object(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
