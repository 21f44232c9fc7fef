"""autoheal.py with the app itself."""

import io
import json
import re
import time

from autoheal import DONE, NOT_WELL, REFUSED, main
from dev.stack.stack import Stack
from tests.integration.test_flow import instance
from tests.support.simulator import Simulator

__all__ = ["instance"]
FAST = {"operationSeconds": 0, "retryAfter": 0}


def run(stack: Stack, *arguments: str) -> tuple[int, str]:
    environment = {"AUTOHEAL_URL": stack.host.url, "AUTOHEAL_KEY": stack.host.keys["function"]}
    out = io.StringIO()
    # An app of this machine is asked more often than it asks for.
    return main(arguments, environment, out, lambda seconds: time.sleep(min(seconds, 0.2))), out.getvalue()


def test_it_heals_and_shows_an_instance(stack: Stack, simulator: Simulator, instance: str) -> None:
    simulator.put(instance, behaviour=FAST)
    code, output = run(stack, "heal", instance, "--dry-run")
    assert (code, output.splitlines()[1]) == (DONE, "Azure: Read: the instance is ProtectionError: a sync may heal it")
    code, output = run(stack, "heal", instance, "--wait", "--timeout", "60", "--reason", "by hand")
    assert code == DONE, output
    assert "Healed  remediation " in output
    code, shown = run(stack, "show", instance)
    assert (code, "by Request: by hand" in shown) == (DONE, True)
    code, listed = run(stack, "list", "--text", instance.rpartition("/")[2], "--json")
    assert (code, [row["status"] for row in json.loads(listed)]) == (DONE, ["Healed"])


def test_what_is_not_healed_has_an_exit_code_and_the_next_step(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    error = {"code": "UserErrorManagedDiskNotFound", "message": "The disk is gone."}
    simulator.put(instance, behaviour={**FAST, "finalStatus": "Failed", "finalError": error})
    code, output = run(stack, "heal", instance, "--wait", "--timeout", "60")
    assert (code, output.splitlines()[-1].startswith("To do: ")) == (NOT_WELL, True)
    code, output = run(stack, "list", "--attention", "--code", "UserErrorManagedDiskNotFound")
    assert code == DONE
    assert re.search(r"^! Rejected .* UserErrorManagedDiskNotFound$", output, re.MULTILINE)


def test_an_instance_that_nobody_healed_is_not_found(stack: Stack, instance: str) -> None:
    assert run(stack, "show", f"{instance}-never")[0] == REFUSED
    assert run(stack, "heal", f"{instance}-never", "--dry-run")[0] == NOT_WELL


def test_the_doctor_tells_every_part(stack: Stack) -> None:
    code, output = run(stack, "doctor")
    assert code in (DONE, NOT_WELL)  # other tests leave rows that make the app `degraded`
    assert re.search(r"^ok +storage", output, re.MULTILINE)
    assert "last poll run" in output
