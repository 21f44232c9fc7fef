"""Templates to pages: bytes with the headers that keep them what they are.

Jinja2 escapes every value on its way into a page, so foreign text stays text; an unknown name is an error. Were a
tag to get through all the same, the page's policy lets a browser run no script and load nothing.
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

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # The page's address holds the function key: no other site is to learn it, no cache to keep it.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer of the page."""


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "absolute": formatting.absolute,
        "count": formatting.count_words,
        "duration": formatting.duration,
        "iso": to_iso,
        "percent": formatting.percent_words,
        "status_meaning": formatting.status_meaning,
        "status_words": formatting.status_words,
        "sync_type_words": formatting.sync_type_words,
        "day_words": formatting.day_words,
        "relative": formatting.relative,
    }
    environment.globals |= {"style": Markup(_STYLE)}
    return environment


_ENVIRONMENT = _environment()


def render(status: int, template: str, values: Mapping[str, Any]) -> func.HttpResponse:
    """A page of this template."""
    html = _ENVIRONMENT.get_template(template).render(values)
    # A lone surrogate, which JSON can bring, is no character that UTF-8 could write.
    body = html.encode(errors="replace")
    return func.HttpResponse(body, status_code=status, headers=dict(HEADERS), mimetype="text/html", charset="utf-8")


def redirect(reference: str) -> func.HttpResponse:
    """`303`: look there, with GET."""
    return func.HttpResponse(status_code=303, headers={**HEADERS, "Location": reference})
