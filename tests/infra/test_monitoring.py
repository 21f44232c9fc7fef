"""The queries of alerts and workbook: read by Kusto's own parser, and true to the lines that the app logs."""

import ast
import json
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.healing.transition_log import log_transitions
from tests.infra.bicep import INFRA, PROJECT, variable
from tests.support.checkers import kusto_parser
from tests.support.remediations import recovered

KQL = PROJECT / "docs" / "kql"
QUERIES = sorted(KQL.glob("*.kql"))
ALERTS = INFRA / "modules" / "alerts.bicep"
WORKBOOK = INFRA / "modules" / "workbook.bicep"
RULES = variable(ALERTS, "rules")
TERMINAL = {status.value for status in Status if status.is_terminal}
WRITERS = {f"logs.{level}" for level in ("info", "warning", "error")}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
each_query = pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def analysed() -> dict[str, Any]:
    executable, package = kusto_parser()
    command = [executable, Path(__file__).parent / "kusto.cjs", package, *QUERIES]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def loaded_by(path: Path) -> dict[str, Path]:
    """The query of each rule or chart, by its name."""
    rule = r"name: '([\w-]+)'(?:(?!name:).)*?query: loadTextContent\('([^']+)'\)"
    pairs = re.findall(rule, path.read_text(), re.DOTALL)
    return {name: (path.parent / file).resolve() for name, file in pairs}


@cache
def logged_fields() -> dict[str, set[str]]:
    """The fields of the app's log lines, by event, as the calls in its code give them."""
    fields: dict[str, set[str]] = {}
    for path in (PROJECT / "shared").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in WRITERS:
                # The event may be one of two, as in healer.py: then it is a variable, and the fields are of both.
                event = call.args[0]
                names = (
                    [event.value] if isinstance(event, ast.Constant) else ["remediation.deferred", "remediation.paced"]
                )
                for name in names:
                    fields.setdefault(str(name), set()).update(keyword.arg or "" for keyword in call.keywords)
    return fields


def ended() -> Remediation:
    instance = BackupInstanceId("6d1f0e2a-0000-4000-8000-000000000001", "rg", "vault", "instance")
    signal = Signal(instance, "Event", "backup failed", NOW)
    return lifecycle.cancel(lifecycle.open_remediation(signal, SyncType.DEFAULT, NOW), "junk", NOW)


def transition_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    caplog.set_level("INFO")
    log_transitions(None, ended())
    log_transitions(None, recovered())
    return [json.loads(record.getMessage()) for record in caplog.records]


@each_query
def test_the_parser_understands_the_query(path: Path, analysed: dict[str, Any]) -> None:
    assert analysed[path.name]["errors"] == []


@each_query
def test_the_query_is_used(path: Path) -> None:
    assert path in {*loaded_by(ALERTS).values(), *loaded_by(WORKBOOK).values()}


@each_query
def test_the_query_begins_with_what_it_tells(path: Path) -> None:
    assert re.match(r"// [A-Z].{20,}[.]\nAppTraces\n", path.read_text())


@each_query
def test_the_query_reads_lines_that_the_app_writes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    query = path.read_text()
    events = set(re.findall(r'"((?:remediation|tick|job|outcome|signal|finding|incident|attention)\.\w+)"', query))
    fields = set(re.findall(r'Line(?:\.(\w+)|\["(\w+)"\])', query))
    assert events
    known = {**logged_fields(), "remediation.transition": set().union(*transition_lines(caplog))}
    assert events <= set(known)
    written = {"event"}.union(*(known[event] for event in events))
    assert {one or other for one, other in fields} <= written


@each_query
def test_the_query_finds_the_lines_of_the_journal(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert """Message startswith '{"event":'""" in path.read_text()
    assert all(json.dumps(line).startswith('{"event":') for line in transition_lines(caplog))


@pytest.mark.parametrize("name", ["ended-not-healed", "outcomes-by-vault", "remediations-over-time"])
def test_the_query_knows_every_end_of_a_remediation(name: str) -> None:
    (listed,) = re.findall(r"Status in \(([^)]*)\)", (KQL / f"{name}.kql").read_text())
    # What was only observed is not to alert anybody.
    left_out = {"Healed", "Recovered", "WouldHeal"} if name == "ended-not-healed" else set()
    assert set(re.findall(r'"(\w+)"', listed)) == TERMINAL - left_out


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_an_alert_measures_columns_that_its_query_has(rule: dict[str, Any], analysed: dict[str, Any]) -> None:
    columns = analysed[loaded_by(ALERTS)[rule["name"]].name]["columns"]
    assert {dimension["name"] for dimension in rule["dimensions"]} <= set(columns)
    assert (rule["aggregation"] == "Count") == (rule["column"] is None)
    if rule["column"]:
        assert columns[rule["column"]] in {"long", "real"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_an_alert_has_a_paragraph_in_the_runbook(rule: dict[str, Any]) -> None:
    assert f"### {rule['displayName']}\n" in (PROJECT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_end_has_a_paragraph_in_the_runbook(status: str) -> None:
    assert f"### {status}\n" in (PROJECT / "docs" / "operations.md").read_text()


def test_every_alert_has_a_query_of_its_own_file() -> None:
    names = [rule["name"] for rule in RULES]
    assert names == ["needs-attention", "poison-message", "late-due-entry", "no-tick", "forbidden"]
    assert set(loaded_by(ALERTS)) == set(names)


def test_every_chart_has_a_query_of_its_own_file() -> None:
    charts = variable(WORKBOOK, "charts")
    assert set(loaded_by(WORKBOOK)) == {chart["name"] for chart in charts}
