"""Renders the Jinja2 templates as HTML responses with security headers.

Jinja2 escapes every value on its way into a page, so foreign text stays text; an unknown name is an error. Were a
tag to get through all the same, the page's Content-Security-Policy lets a browser run no script but the page's own,
and load nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import azure.functions as func
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shared.clock import to_iso
from shared.dashboard import formatting
from shared.dashboard.detail import short_job_id
from shared.domain.duration_text import duration_text, short_duration_text

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE_FILES = ("page.css", "list.css", "detail.css", "status.css", "report.css")
_STYLE = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in _STYLE_FILES)
_SCRIPT = (_TEMPLATES / "page.js").read_text(encoding="utf-8")


def _source(text: str) -> str:
    """The one text of this kind that a Content-Security-Policy allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # The page's address may hold the function key: no other site is to learn it, no cache to keep it. Under no-referrer
    # a form would name neither Origin nor Referer, and App Service would refuse it where its browser has a session of
    # the sign-in ("Authentication and authorization", "Cross-site request forgery mitigation").
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every response of the page."""

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {"style": Markup(_STYLE), "script": Markup(_SCRIPT)}
_ENVIRONMENT.filters |= {
    "count": formatting.format_count,
    "day": formatting.format_day,
    "duration": duration_text,
    "error_class_meaning": formatting.error_class_meaning,
    "iso": to_iso,
    "percent": formatting.format_percent,
    "relative": formatting.format_relative,
    "short_duration": short_duration_text,
    "short_job_id": short_job_id,
    "status_label": formatting.status_label,
    "status_meaning": formatting.status_meaning,
    "sync_type_text": formatting.sync_type_text,
    "time": formatting.format_time,
}


def render(status: int, template: str, values: Mapping[str, Any]) -> func.HttpResponse:
    """The template with these values, as a response with this HTTP status."""
    html = _ENVIRONMENT.get_template(template).render(values)
    # A lone surrogate, which JSON can bring, is no character that UTF-8 could write.
    body = html.encode(errors="replace")
    return func.HttpResponse(body, status_code=status, headers=dict(HEADERS), mimetype="text/html", charset="utf-8")


def redirect(url: str) -> func.HttpResponse:
    """`303 See Other`: the browser follows with GET."""
    return func.HttpResponse(status_code=303, headers={**HEADERS, "Location": url})
