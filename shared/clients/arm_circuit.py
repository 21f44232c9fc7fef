"""Requests to Resource Manager behind a circuit breaker: a few calls find an outage out, not those of all instances."""

import re
from collections.abc import Mapping
from typing import Any

import requests

from shared import logs
from shared.clients.arm_transport import ArmTransport, is_verdict
from shared.domain.arm_results import NO_RESPONSE, TransientFailure, new_error
from shared.rate_limits.circuit_breaker import CircuitBreaker

CIRCUIT_OPEN = "CircuitOpen"
"""The code of the error where no request was made."""
_SUBSCRIPTION = re.compile(r"https://[^/]+/subscriptions/([^/?]+)", re.IGNORECASE)


class ArmCircuit:
    """Sends as `ArmTransport` does. A request about no subscription is always sent: it shows how Azure is."""

    def __init__(self, transport: ArmTransport, breaker: CircuitBreaker) -> None:
        """Send by this transport what the breaker lets through."""
        self._transport = transport
        self._breaker = breaker

    def send(
        self, method: str, url: str, request_id: str | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response | TransientFailure:
        """The response; while the subscription's circuit is open, a `TransientFailure` that says when to ask again."""
        found = _SUBSCRIPTION.match(url)
        if not found:
            return self._transport.send(method, url, request_id, body)
        subscription_id = found[1]
        wait = self._breaker.admit(subscription_id)
        if wait is not None:
            message = "Resource Manager fails for this subscription: no call is made until a probe has had an answer"
            return TransientFailure(new_error(CIRCUIT_OPEN, message), wait.total_seconds())
        result = self._transport.send(method, url, request_id, body)
        self._learn(subscription_id, result)
        return result

    def _learn(self, subscription_id: str, result: requests.Response | TransientFailure) -> None:
        """A missing token, or a refusal that nobody signs, says nothing of Resource Manager."""
        if isinstance(result, TransientFailure):
            is_outage, is_answer = result.error["code"] == NO_RESPONSE, False
        else:
            is_outage = result.status_code >= 500
            is_answer = not is_outage and is_verdict(result)
        if is_answer and self._breaker.succeeded(subscription_id):
            logs.info("circuit.closed", subscriptionId=subscription_id)
        opened = self._breaker.failed(subscription_id) if is_outage else None
        if opened is not None:
            logs.warning("circuit.opened", subscriptionId=subscription_id, seconds=round(opened.total_seconds(), 1))
