"""checkov's opinion of the templates, and a reason for each time that it is not followed."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.infra.bicep import INFRA, TEMPLATES
from tests.support.checkers import checkov

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [str(checkov()), "--directory", str(INFRA), "--framework", "bicep", "--output", "json", "--skip-download"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_checkov_finds_nothing_but_what_the_templates_explain(report: dict[str, Any]) -> None:
    failed = report["results"]["failed_checks"]
    assert [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in failed] == []


def test_checkov_reads_every_template(report: dict[str, Any]) -> None:
    assert report["results"]["parsing_errors"] == []
    assert report["summary"]["passed"] > 0


def test_every_skip_says_why() -> None:
    skips = [line for path in TEMPLATES for line in path.read_text().splitlines() if "checkov:skip" in line]
    assert skips
    assert [line for line in skips if not re.fullmatch(r"\s*// checkov:skip=CKV\w*_\d+:\w.{20,}", line)] == []
