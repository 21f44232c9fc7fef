"""The notification webhook: taken with 2xx only, and its secret URL in no error."""

import pytest

from shared.clients.http_session import pooled_session
from shared.clients.notice_webhook import NoticeWebhook, NotSent
from shared.domain.notice import Notice, NoticeKind, message_of
from shared.domain.notify_settings import NoticeFormat
from tests.support.remediations import NOW
from tests.support.scripted_server import Answer, ScriptedServer

MESSAGE = message_of([Notice(id="x", kind=NoticeKind.RECOVERED, at=NOW, title="bi", text="back", subject="/x")])


def webhook(url: str) -> NoticeWebhook:
    return NoticeWebhook(url, NoticeFormat.GENERIC, None, pooled_session("https://localhost", 1))


def at(server: ScriptedServer) -> NoticeWebhook:
    return webhook(f"https://localhost:{server.port}/workflows/1/triggers?sig=secret")


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_answer_of_success_is_a_delivery(https: ScriptedServer, status: int) -> None:
    https.script([{"status": status, "text": ""}])
    at(https).send(MESSAGE)
    (request,) = https.requests
    assert request[:2] == ("POST", "/workflows/1/triggers?sig=secret")
    assert request[2]["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after"),
    [
        ({"status": 302, "headers": {"Location": "https://evil.example/"}, "text": ""}, "answered 302", None),
        ({"status": 404, "text": "no such workflow"}, "answered 404", None),
        ({"status": 429, "headers": {"Retry-After": "30"}, "text": ""}, "answered 429", 30.0),
        ({"status": 503, "headers": {"Retry-After": "soon"}, "text": ""}, "answered 503", None),
        (
            {
                "status": 503,
                "headers": {"Date": "Fri, 02 Jan 2026 03:04:05 GMT", "Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"},
                "text": "",
            },
            "answered 503",
            60.0,
        ),
    ],
)
def test_any_other_answer_leaves_the_message_to_be_sent_again(
    https: ScriptedServer, answer: Answer, reason: str, retry_after: float | None
) -> None:
    https.script([answer])
    with pytest.raises(NotSent) as failure:
        at(https).send(MESSAGE)
    assert str(failure.value) == reason
    assert failure.value.retry_after == retry_after
    assert len(https.requests) == 1


@pytest.mark.parametrize("url", ["https://localhost:1/hook?sig=secret", "https://no-such-host.invalid/hook?sig=secret"])
def test_a_receiver_that_cannot_be_reached_leaves_its_url_in_no_error(url: str) -> None:
    with pytest.raises(NotSent) as failure:
        webhook(url).send(MESSAGE)
    assert "secret" not in repr(failure.value) + repr(failure.value.__cause__)
    assert failure.value.__suppress_context__


def test_a_key_vault_reference_that_was_not_resolved_is_told_as_such() -> None:
    with pytest.raises(NotSent, match="Key Vault reference"):
        webhook("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/x)").send(MESSAGE)
