"""Those who have signed in reach all that people use, by the path that it has with a key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.api.meta import openapi
from shared.composition.signed_in import routes

PROJECT = Path(__file__).parents[3]


def test_they_reach_all_but_the_webhook_of_alerts() -> None:
    described = {
        (method.upper(), path)
        for path, item in openapi()["paths"].items()
        for method in item
        if method in ("get", "post")
    }
    assert set(routes()) == described - {("POST", "/alerts")}


@pytest.mark.parametrize(("setting", "opens"), [("", False), ("Entra", True)])
def test_the_door_is_there_only_where_it_is_wanted(setting: str, opens: bool) -> None:
    script = (
        "import function_app, json; print(json.dumps([each.get_trigger().get_dict_repr()['authLevel'].name"
        " for each in function_app.app.get_functions() if each.is_http_function()]))"
    )
    ran = python(script, setting)
    assert (ran.returncode, "ANONYMOUS" in ran.stdout) == (0, opens)


def test_a_setting_that_is_misspelt_stops_the_app() -> None:
    ran = python("import function_app", "Enta")
    assert ran.returncode == 1
    assert "SIGN_IN='Enta': expected one of Off, Entra" in ran.stderr


def python(script: str, sign_in: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SIGN_IN": sign_in}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
