"""`test.http` shows every route of the API."""

import json
import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_route_has_a_request() -> None:
    described = json.loads((PROJECT / "shared" / "api" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    requests = (PROJECT / "test.http").read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:GET|POST) \{\{host\}\}/api(/[^?\s]+)", requests, re.MULTILINE))
    patterns = {path: re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in described}
    assert [path for path, pattern in patterns.items() if not any(re.fullmatch(pattern, one) for one in shown)] == []
