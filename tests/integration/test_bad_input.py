"""Events and alerts in a host with the app in it: nothing that anybody can send is answered with 5xx."""

import json
from typing import Any

import pytest
import requests

from dev.stack.stack import Stack
from tests.support.corpus import cases

BODIES: dict[str, bytes] = {
    f"{kind} {case.id}": json.dumps(case.values[0].input).encode()  # type: ignore[union-attr] # a parameter is a Case
    for kind in ("alerts", "events")
    for case in cases(kind)
}
EVENT = next(iter(cases("events"))).values[0].input  # type: ignore[union-attr] # likewise
ODD = {
    "utf-16": json.dumps(EVENT).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(EVENT).encode(),
    "latin-1": '{"eventType": "gr\u00fcn"}'.encode("latin-1"),
    "no utf-8": b"\xff\xfe\x00\xd8",
    "nul": b"\x00" * 100,
    "deep": b'{"data":' * 200_000,
    "deep and whole": b'{"eventType":"A","data":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "huge number": b'{"eventType":' + b"9" * 5_000 + b"}",
    "huge float": b'{"eventType":"A","eventTime":1e999,"data":{}}',
    "twice the same key": b'{"eventType":"A","eventType":"B"}',
    "a mebibyte": json.dumps({**EVENT, "topic": "x" * 1_000_000}).encode(),
    "lone surrogate": b'{"eventType":"\\ud800","subject":"\\udfff","data":{"backupInstanceId":"\\ud800"}}',
    "no text": b'{"eventType":"A","eventTime":{"a":1},"subject":[],"data":{"backupInstanceId":{}}}',
    "batch of anything": b'[{},{"data":5},{"eventType":5},{"eventTime":"yesterday","eventType":"A","data":{}}]',
}


def statuses(stack: Stack, bodies: dict[str, bytes], path: str, key: str, **headers: str) -> dict[str, int]:
    with requests.Session() as session:
        url, headers = (
            f"{stack.host.url}{path}code={stack.host.keys[key]}",
            {"content-type": "application/json"} | headers,
        )
        return {
            name: session.post(url, data=body, headers=headers, timeout=60).status_code for name, body in bodies.items()
        }


@pytest.mark.parametrize("bodies", [BODIES, ODD], ids=["corpus", "odd"])
@pytest.mark.parametrize(
    ("path", "key", "headers"),
    [
        ("/runtime/webhooks/EventGrid?functionName=on_backup_failure&", "system", {"aeg-event-type": "Notification"}),
        ("/api/alerts?", "function", {}),
    ],
    ids=["events", "alerts"],
)
def test_whatever_comes_is_taken_or_refused(
    stack: Stack, bodies: dict[str, bytes], path: str, key: str, headers: dict[str, Any]
) -> None:
    answers = statuses(stack, bodies, path, key, **headers)
    assert {name: status for name, status in answers.items() if status >= 500} == {}
