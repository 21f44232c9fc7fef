"""The query of the alert, run over what the app logs: DuckDB answers it as Azure Monitor would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.bicep import PROJECT
from tests.support.attention_week import HOUR, MISSING_ROLE, Week
from tests.support.checkers import kql_engine
from tests.support.remediations import instance_named

QUERY = PROJECT / "docs" / "kql" / "needs-attention.kql"
MEMBERS = [f"storm-{number}" for number in range(6)]


def causes(*logs: list[str]) -> list[set[str]]:
    """The subjects of the alert after each of these logs."""
    command: list[str | Path] = [sys.executable, Path(__file__).parent / "run_kql.py", QUERY]
    environment = {**os.environ, "PYTHONPATH": str(kql_engine())}
    ran = subprocess.run(
        command, input=json.dumps(logs), env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    return [{row["Cause"] for row in rows} for rows in json.loads(ran.stdout)]


def test_an_alert_is_about_an_incident_or_an_instance_until_it_is_mended_or_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "backup_autoheal")
    week = Week()
    week.fail("stopped", "ProtectionStopped")
    week.fail("role", error=MISSING_ROLE)
    week.fail("known", error=MISSING_ROLE)
    week.run_to(1)
    alone = f"remediation {week.rounds('role')[-1].id}", f"remediation {week.rounds('known')[-1].id}"
    first = [*caplog.messages]
    for name in MEMBERS:
        week.fail(name, error=MISSING_ROLE)
    week.run_to(2)
    [incident] = {each.incident_id for name in MEMBERS for each in week.rounds(name)}
    second = [*caplog.messages]
    week.mend("role")
    week.app.host.acknowledge.run(instance_named("known"), "ada", "known", week.app.clock() + 24 * HOUR)
    week.run_to(4)
    third = [*caplog.messages, "not JSON: attention.needed"]
    for name in MEMBERS:
        week.mend(name)
    week.run_to(14)
    assert causes(first, second, third, [*caplog.messages]) == [
        {*alone},
        {*alone, f"incident {incident}"},
        {f"incident {incident}"},
        set(),
    ]
