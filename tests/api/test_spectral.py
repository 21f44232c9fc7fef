"""openapi.json has no finding of Spectral's recommended rules, with which editors and gateways look at it."""

import json
import subprocess
from pathlib import Path

import pytest

from shared.api.meta import openapi
from tests.support.checkers import spectral

pytestmark = pytest.mark.once
BARE = {"/nothing": {"get": {"responses": {"200": {"description": "Nothing."}}}}}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Of this API, and of one that is hardly described."""
    folder = tmp_path_factory.mktemp("openapi")
    for name, document in (("api", openapi()), ("bare", {**openapi(), "paths": BARE})):
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    executable, packages = spectral()
    command = [executable, Path(__file__).parent / "spectral.cjs", packages, folder / "api", folder / "bare"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    found: dict[str, list[str]] = json.loads(ran.stdout)
    return found


def test_it_has_no_finding(findings: dict[str, list[str]]) -> None:
    assert findings["api"] == []


def test_what_is_not_described_would_be_one(findings: dict[str, list[str]]) -> None:
    rules = {each.partition(" ")[0] for each in findings["bare"]}
    assert {"operation-description", "operation-operationId", "operation-tags"} <= rules
