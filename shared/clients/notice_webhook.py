"""The webhook for notices: one POST to a channel of Teams or Slack, or to whoever else is to know.

Its URL is a secret, for whoever has it may post: it stands in no error and no log line.
"""

from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests import Session

from shared.domain.notice import Message
from shared.domain.notice_format import request_of
from shared.domain.notify_settings import UNRESOLVED, NoticeFormat

_TIMEOUT = (5.0, 20.0)
"""Seconds: to connect, and between two bytes."""


class NotSent(Exception):
    """The receiver did not take the message: send it again later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        """`retry_after`: seconds, where the receiver named them."""
        super().__init__(reason)
        self.retry_after = retry_after


class NoticeWebhook:
    """Posts messages to one URL."""

    def __init__(self, url: str, notice_format: NoticeFormat, page_url: str | None, session: Session) -> None:
        """`url` is https, on a host that the settings allow; `page_url` as in `notice_format.request_of`."""
        self._url = url
        self._format = notice_format
        self._page_url = page_url
        self._session = session

    def send(self, message: Message) -> None:
        """Post a message.

        Raises:
            NotSent: without an answer, or with another one than 2xx; a redirection is not followed.
        """
        if self._url.startswith(UNRESOLVED):
            raise NotSent("NOTIFY_WEBHOOK_URL is a Key Vault reference that App Service could not resolve")
        request = request_of(message, self._format, self._page_url)
        try:
            # Whatever it has to say is of no use: the answer's body is not read.
            with self._session.post(
                self._url,
                data=request.body,
                headers={"Content-Type": request.content_type},
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status, headers = answer.status_code, answer.headers
        except (requests.RequestException, ValueError, OSError) as cause:
            raise NotSent(f"no answer: {type(cause).__name__}") from None  # its text has the URL
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}", _seconds(headers))


def _seconds(headers: Any) -> float | None:
    """`Retry-After` in seconds; as a date (RFC 9110, section 10.2.3) it counts from the answer's own."""
    text = str(headers.get("Retry-After", "")).strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
