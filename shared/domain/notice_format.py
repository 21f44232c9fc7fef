"""The bodies of notification webhooks: Teams, Slack, CloudEvents, and a plain one. Pure.

Texts of Azure stand in elements that read no markup: `TextRun` in Teams (Adaptive Cards, "TextRun": no markdown),
`plain_text` in Slack ("Text object").
"""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.domain.notice import Message, Notice, Section
from shared.domain.notify_settings import NoticeFormat

_SOURCE = "/backup-autoheal"
MAX_SHOWN = 20
"""Notices of one kind that a text for people shows; it counts the others."""
_MAX_BYTES = 27_000
"""A message of Teams may have 28 KB ("Limits and specifications for Microsoft Teams"); Slack takes as much."""
_MAX_SLACK_CHARS = 3000
"""Of a text object (Slack, "Section block")."""
_MAX_SLACK_HEADER_CHARS = 150
_MAX_SLACK_BLOCKS = 50
Body = Any
"""A JSON value."""


@dataclass(frozen=True, slots=True)
class Request:
    """The body of a POST."""

    body: bytes
    content_type: str


def request_of(message: Message, notice_format: NoticeFormat, page_url: str | None) -> Request:
    """The message as its receiver reads it: programs get every notice, people the first ones and a count.

    Args:
        page_url: of the app's page; None where it is not known.
    """
    if notice_format is NoticeFormat.CLOUD_EVENTS:
        return Request(_encoded(_cloud_events(message, page_url)), "application/cloudevents-batch+json")
    if notice_format is NoticeFormat.GENERIC:
        return Request(_encoded(_generic(message, page_url)), "application/json")
    make = _teams if notice_format is NoticeFormat.TEAMS else _slack
    shown = MAX_SHOWN
    while not _fits(body := make(message, page_url, shown)) and shown:
        shown //= 2
    return Request(_encoded(body), "application/json")


def _fits(body: Body) -> bool:
    return len(body.get("blocks", ())) <= _MAX_SLACK_BLOCKS and len(_encoded(body)) <= _MAX_BYTES


def _encoded(body: Body) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")


def _teams(message: Message, page_url: str | None, most: int) -> Body:
    body: list[Body] = [_heading(message.title, "Large")]
    for section in message.sections:
        if len(message.sections) > 1:
            body.append(_heading(section.title, "Medium"))
        body += [_card_of(notice) for notice in section.notices[:most]]
        body += [_paragraph(_run(text)) for text in _count_of_others(section, most)]
    card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4"}
    actions = [{"type": "Action.OpenUrl", "title": "Open the page", "url": page_url}] if page_url else []
    content = {**card, "msteams": {"width": "Full"}, "body": body, "actions": actions}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _heading(text: str, size: str) -> Body:
    # A `TextBlock` reads markdown: only the app's own words stand in one.
    return {"type": "TextBlock", "text": text, "size": size, "weight": "Bolder", "wrap": True}


def _card_of(notice: Notice) -> Body:
    runs = [_run(notice.title, weight="Bolder"), _run(f"\n{notice.text}")]
    return _paragraph(*runs, *([_run(f"\n{notice.next_step}")] if notice.next_step else []))


def _paragraph(*runs: Body) -> Body:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **more: str) -> Body:
    return {"type": "TextRun", "text": text, **more}


def _slack(message: Message, page_url: str | None, most: int) -> Body:
    blocks: list[Body] = [{"type": "header", "text": _plain(message.title, _MAX_SLACK_HEADER_CHARS)}]
    for section in message.sections:
        if len(message.sections) > 1:
            blocks.append({"type": "header", "text": _plain(section.title, _MAX_SLACK_HEADER_CHARS)})
        texts = [*map(_lines_of, section.notices[:most]), *_count_of_others(section, most)]
        blocks += [{"type": "section", "text": _plain(text)} for text in texts]
    if page_url:
        button = {"type": "button", "text": _plain("Open the page"), "url": page_url}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": message.title, "blocks": blocks}


def _plain(text: str, most: int = _MAX_SLACK_CHARS) -> Body:
    return {"type": "plain_text", "text": text[:most], "emoji": False}


def _cloud_events(message: Message, page_url: str | None) -> Body:
    return [
        {
            "specversion": "1.0",
            "id": notice.id,
            "source": _SOURCE,
            "type": f"BackupAutoheal.Notice.{notice.kind}",
            **({"subject": notice.subject} if notice.subject else {}),
            "time": msgspec.to_builtins(notice.at),
            "datacontenttype": "application/json",
            "data": {**msgspec.to_builtins(notice), "pageUrl": page_url},
        }
        for section in message.sections
        for notice in section.notices
    ]


def _generic(message: Message, page_url: str | None) -> Body:
    lines = [message.title]
    for section in message.sections:
        lines += [*map(_lines_of, section.notices[:MAX_SHOWN]), *_count_of_others(section, MAX_SHOWN)]
    notices = [msgspec.to_builtins(notice) for section in message.sections for notice in section.notices]
    return {"title": message.title, "text": "\n\n".join(lines), "pageUrl": page_url, "notices": notices}


def _lines_of(notice: Notice) -> str:
    return "\n".join(filter(None, (notice.title, notice.text, notice.next_step)))


def _count_of_others(section: Section, shown: int) -> list[str]:
    """A line that counts the notices that are not shown, if there are any."""
    others = len(section.notices) - shown
    return [f"and {others} more"] if others > 0 else []
