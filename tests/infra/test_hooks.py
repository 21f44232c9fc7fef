"""The hooks of azd and the scripts that connect subscriptions: dry runs with stand-ins for az, azd, curl and sleep."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep import INFRA
from tests.infra.test_bicep import FUNCTIONS

HOME = "00000000-0000-4000-8000-000000000001"
ONE, TWO = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
APP = "func-abc"
APP_GROUP = f"/subscriptions/{HOME}/resourceGroups/rg-app"
WATCH = f"rg-backup-autoheal-watch-{APP}"
DEPLOYED = {
    "AZURE_SUBSCRIPTION_ID": HOME,
    "AZURE_LOCATION": "westeurope",
    "AZURE_RESOURCE_GROUP": "rg-app",
    "FUNCTION_APP_NAME": APP,
    "FUNCTION_APP_ID": f"{APP_GROUP}/providers/Microsoft.Web/sites/{APP}",
    "FUNCTION_APP_URL": "https://app.example",
    "APP_IDENTITY_PRINCIPAL_ID": "principal",
    "ALERT_ACTION_GROUP_ID": f"{APP_GROUP}/providers/Microsoft.Insights/actionGroups/ag-backup-autoheal",
    "DEAD_LETTER_IDENTITY_ID": "letters-identity",
    "DEAD_LETTER_STORAGE_ID": "letters-account",
}
"""The values of azd after `azd provision`: the outputs of infra/main.bicep."""

STAND_IN = f"""#!{sys.executable} -S
import json, os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
typed = sys.stdin.read() if name == "curl" or "@-" in arguments else ""
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([name, arguments, typed]) + "\\n")
said = " ".join([name, *arguments])
for part, output, status in json.loads(os.environ["ANSWERS"]):
    if part in said:
        print(output)
        sys.exit(status)
"""
Answer = tuple[str, str, int]
WELL: Sequence[Answer] = (
    ("functionapp function list", "\n".join(f"{APP}/{name}" for name in sorted(FUNCTIONS)), 0),
    ("functionapp keys list", "the-key", 0),
    ("curl", "200", 0),
    ("group exists", "true", 0),
)


class Run:
    """A script that ended: its status, its words, and the calls that it made."""

    def __init__(self, ran: subprocess.CompletedProcess[str], calls: Path) -> None:
        self.status, self.said = ran.returncode, ran.stdout + ran.stderr
        lines = calls.read_text().splitlines() if calls.exists() else []
        self.all: list[tuple[str, list[str], str]] = [tuple(json.loads(line)) for line in lines]
        self.az = [arguments for name, arguments, _ in self.all if name == "az" and arguments[0] != "account"]

    def steps(self) -> list[str]:
        """The commands of az, in order, and where: `deployment sub create ONE`."""
        return [" ".join([*verbs(call), *where(call)]) for call in self.az]


def verbs(call: Sequence[str]) -> list[str]:
    return list(call[: next((at for at, word in enumerate(call) if word.startswith("-")), len(call))])


def where(call: Sequence[str]) -> list[str]:
    given = option(call, "--subscription") or option(call, "--management-group-id")
    return [{HOME: "HOME", ONE: "ONE", TWO: "TWO"}.get(given, given)] if given else []


def option(call: Sequence[str], name: str) -> str:
    return call[call.index(name) + 1] if name in call else ""


def parameters(call: Sequence[str]) -> dict[str, str]:
    """The parameters of a deployment."""
    given = call[call.index("--parameters") + 1 :]
    return dict(word.split("=", 1) for word in given if "=" in word)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("az", "azd", "curl", "sleep"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)

    def script(
        name: str, *arguments: str, answers: Sequence[Answer] = (), known: Mapping[str, str] = DEPLOYED, **more: str
    ) -> Run:
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        rules = [*answers, *WELL, ("azd env get-value", "ERROR: key not found", 1)]
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "ANSWERS": json.dumps(rules)}
        ran = subprocess.run(
            [INFRA / name, *arguments],
            env={**environment, **known, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return Run(ran, calls)

    return script


CONNECT = ["provider register"] * 3 + ["eventgrid system-topic list", "deployment sub create"]


def connecting(name: str) -> list[str]:
    return [f"{step} {name}" for step in CONNECT]


# preprovision


def test_before_provisioning_nothing_is_changed_where_nothing_is_needed(run: Any) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_COOLDOWN="PT30M", AUTOHEAL_EXCLUDE="/subscriptions/*/rg-[ab]?/*")
    assert (ran.status, ran.steps()) == (0, [])


def test_a_network_needs_a_provider_in_the_apps_subscription(run: Any) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_VNET_ENABLED="true", answers=[("provider show", "NotRegistered", 0)])
    assert (ran.status, ran.steps()) == (0, ["provider show HOME", "provider register HOME"])
    assert [option(call, "--namespace") for call in ran.az] == ["Microsoft.App"] * 2


def test_who_may_not_register_needs_not_where_it_is_done(run: Any) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_VNET_ENABLED="true", answers=[("provider show", "Registered", 0)])
    assert (ran.status, ran.steps()) == (0, ["provider show HOME"])


@pytest.mark.parametrize("value", ['say "no"', "rg\\d", "two\nlines", "tab\there"])
def test_a_value_that_azd_cannot_put_into_json_is_told_before(run: Any, value: str) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_EXCLUDE=value)
    assert ran.status == 1
    assert "AUTOHEAL_EXCLUDE has a quotation mark, a backslash or a line break" in ran.said


def test_a_mistyped_setting_is_told(run: Any) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_COOLDWN="PT30M")
    assert ran.status == 1
    assert "AUTOHEAL_COOLDWN is no setting" in ran.said


@pytest.mark.parametrize("watch", ["my-group", f"{ONE},sub", "mg:"])
def test_what_cannot_be_watched_is_told_before_anything_is_deployed(run: Any, watch: str) -> None:
    ran = run("hooks/preprovision.sh", AUTOHEAL_WATCH=watch)
    assert ran.status == 1
    assert "is neither a subscription's id nor mg:" in ran.said


@pytest.mark.parametrize("script", ["hooks/preprovision.sh", "connect.sh", "status.sh", "hooks/postdeploy.sh"])
def test_without_a_sign_in_it_says_so(run: Any, script: str) -> None:
    ran = run(script, answers=[("az account show", "", 1)])
    assert (ran.status, ran.steps()) == (1, [])
    assert "az login" in ran.said


# postdeploy


def test_after_deployment_the_app_is_looked_at_then_alerts_then_each_subscription(run: Any) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH=f"{ONE}, {TWO}")
    looked = ["rest", "functionapp function list HOME", "functionapp keys list HOME"]
    assert ran.status == 0, ran.said
    assert ran.steps() == [*looked, "deployment group create HOME", *connecting("ONE"), *connecting("TWO")]


def test_a_subscription_gets_what_main_put_out(run: Any) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH=ONE)
    deployment = ran.az[-1]
    assert option(deployment, "--location") == "westeurope"
    assert Path(option(deployment, "--template-file")).resolve() == INFRA / "subscription.bicep"
    assert parameters(deployment) == {
        "functionAppId": DEPLOYED["FUNCTION_APP_ID"],
        "appPrincipalId": "principal",
        "alertActionGroupId": DEPLOYED["ALERT_ACTION_GROUP_ID"],
        "deadLetterStorageAccountId": "letters-account",
        "deadLetterIdentityId": "letters-identity",
        "existingSystemTopicId": "",
        "recovery": "Off",
        "staleAfter": "off",
        "wakeEnabled": "false",
    }


def test_the_key_is_on_no_command_line(run: Any) -> None:
    ran = run("hooks/postdeploy.sh")
    (typed,) = [typed for name, _, typed in ran.all if name == "curl"]
    assert typed == 'header = "x-functions-key: the-key"\n'
    assert [arguments for _, arguments, _ in ran.all if "the-key" in str(arguments)] == []
    assert "the-key" not in ran.said


def test_without_a_word_no_subscription_is_connected(run: Any) -> None:
    ran = run("hooks/postdeploy.sh")
    assert ran.status == 0
    assert ran.steps()[-1] == "deployment group create HOME"
    assert "azd env set AUTOHEAL_WATCH" in ran.said


def test_functions_that_azure_does_not_list_stop_everything(run: Any) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH=ONE, answers=[("functionapp function list", f"{APP}/WarmUp", 0)])
    assert ran.status == 1
    assert "another Python than 3.13" in ran.said
    assert "receive_alert" in ran.said
    assert not [step for step in ran.steps() if "deployment" in step]
    assert len([name for name, *_ in ran.all if name == "sleep"]) == 29


def test_functions_are_asked_to_be_listed_because_azure_may_forget_to(run: Any) -> None:
    ran = run("hooks/postdeploy.sh")
    assert option(ran.az[0], "--url").startswith(f"{DEPLOYED['FUNCTION_APP_ID']}/host/default/sync?")
    assert option(ran.az[0], "--method") == "post"


@pytest.mark.parametrize("status", ["503", "401", "000"])
def test_an_app_that_is_not_well_stops_everything(run: Any, status: str) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH=ONE, answers=[("curl", status, 0)])
    assert ran.status == 1
    assert f"/api/health answers {status}, not 200" in ran.said
    assert not [step for step in ran.steps() if "deployment" in step]


def test_an_app_that_is_closed_to_this_machine_is_connected_all_the_same(run: Any) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH=ONE, answers=[("curl", "403", 0)])
    assert ran.status == 0
    assert "allowedIpRanges" in ran.said
    assert ran.steps()[-1] == "deployment sub create ONE"


def test_a_management_group_gets_the_policy(run: Any) -> None:
    ran = run("hooks/postdeploy.sh", AUTOHEAL_WATCH="mg:all-of-us")
    assert ran.status == 0, ran.said
    assert ran.steps()[-1] == "deployment mg create all-of-us"
    assert Path(option(ran.az[-1], "--template-file")).resolve() == INFRA / "management-group.bicep"
    assert parameters(ran.az[-1])["alertActionGroupId"] == DEPLOYED["ALERT_ACTION_GROUP_ID"]


# connect, disconnect, status


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("provider register", "cannot be registered. You need Owner there."),
        ("system-topic list", "cannot be read: you need Reader there."),
        ("deployment sub create", f"Subscription {ONE} is not connected: Azure's reason is above."),
    ],
)
def test_a_subscription_that_cannot_be_connected_is_named_with_the_reason(run: Any, refused: str, words: str) -> None:
    ran = run("connect.sh", ONE, TWO, answers=[(refused, "", 1)])
    assert ran.status == 1
    assert words in ran.said
    assert ONE in ran.said
    assert refused in ran.steps()[-1]


def test_a_topic_that_is_there_already_is_used_and_dead_letters_are_not(run: Any) -> None:
    topic = f"/subscriptions/{ONE}/resourceGroups/theirs/providers/Microsoft.EventGrid/systemTopics/them"
    ran = run("connect.sh", ONE, answers=[("system-topic list", topic, 0)])
    given = parameters(ran.az[-1])
    assert given["existingSystemTopicId"] == topic
    assert given["deadLetterStorageAccountId"] == given["deadLetterIdentityId"] == ""
    assert "are dropped" in ran.said


@pytest.mark.parametrize(
    "topic", ["None", "", f"/subscriptions/{ONE}/resourceGroups/{WATCH}/providers/x/systemTopics/y"]
)
def test_the_own_topic_is_no_other(run: Any, topic: str) -> None:
    ran = run("connect.sh", ONE, answers=[("system-topic list", topic, 0)])
    assert parameters(ran.az[-1])["existingSystemTopicId"] == ""


def test_in_a_terminal_azd_is_asked(run: Any) -> None:
    asked = [(f"azd env get-value {name}", value, 0) for name, value in DEPLOYED.items()]
    ran = run("connect.sh", ONE, known={}, answers=asked)
    assert ran.status == 0, ran.said
    assert parameters(ran.az[-1])["functionAppId"] == DEPLOYED["FUNCTION_APP_ID"]


def test_before_a_deployment_there_is_nothing_to_connect_to(run: Any) -> None:
    ran = run("connect.sh", ONE, known={})
    assert (ran.status, ran.az) == (1, [])
    assert "azd knows no AZURE_SUBSCRIPTION_ID" in ran.said


def test_going_down_ends_policies_first_and_then_every_watch_that_there_is(run: Any) -> None:
    found = [("graph query", f"{ONE}\n{TWO}\nNone", 0), ("policy assignment list", "None", 0)]
    ran = run("hooks/predown.sh", AUTOHEAL_WATCH=f"mg:us,{ONE}", answers=found)
    assert ran.status == 0, ran.said
    roles = ["role assignment list", "role definition list"]
    groups = [["eventgrid system-topic list", "group exists", "group delete"], roles]
    each = [[f"{step} {name}" for step in groups[0]] + roles for name in ("ONE", "TWO")]
    assert ran.steps() == [
        "graph query",
        "policy assignment list",
        "policy definition list",
        *roles,
        *each[0],
        *each[1],
    ]
    deleted = [call for call in ran.az if verbs(call) == ["group", "delete"]]
    assert [option(call, "--name") for call in deleted] == [WATCH, WATCH]


def test_more_than_a_thousand_watches_are_all_found(run: Any) -> None:
    pages = [("--skip-token next", f"{TWO}\nNone", 0), ("graph query", f"{ONE}\nnext", 0)]
    ran = run("disconnect.sh", "--all", answers=pages)
    assert ran.status == 0, ran.said
    assert [where(call) for call in ran.az if verbs(call) == ["group", "delete"]] == [["ONE"], ["TWO"]]


def test_only_roles_of_this_installation_are_removed(run: Any) -> None:
    roles = [("role assignment list", "assigned", 0), ("role definition list", "role", 0)]
    ran = run("disconnect.sh", ONE, answers=roles)
    queries = [option(call, "--query") for call in ran.az if verbs(call)[:1] == ["role"] and "list" in call]
    assert queries == [
        f"[?{key}=='Backup Autoheal {APP} ({ONE})'].{of}"
        for key, of in (("roleDefinitionName", "id"), ("roleName", "name"))
    ]
    assert [verbs(call) for call in ran.az if "delete" in call][1:] == [
        ["role", "assignment", "delete"],
        ["role", "definition", "delete"],
    ]


def test_on_somebody_elses_topic_only_the_own_event_subscription_is_removed(run: Any) -> None:
    ran = run("disconnect.sh", ONE, answers=[("system-topic list", "/their/topic", 0)])
    (removed,) = [option(call, "--ids") for call in ran.az if verbs(call) == ["resource", "delete"]]
    assert removed == f"/their/topic/eventSubscriptions/backup-autoheal-{APP}"


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("graph query", "which subscriptions are watched is not known"),
        ("group delete", f"the resource group {WATCH} cannot be removed"),
        ("role assignment list", "the role assignments cannot be read"),
    ],
)
def test_a_watch_that_cannot_be_ended_keeps_the_app(run: Any, refused: str, words: str) -> None:
    ran = run("hooks/predown.sh", answers=[(refused, "", 1), ("graph query", ONE, 0)])
    assert ran.status == 1
    assert words in ran.said
    assert "so the app is kept" in ran.said


def test_without_a_deployment_there_is_nothing_to_end(run: Any) -> None:
    ran = run("hooks/predown.sh", known={})
    assert (ran.status, ran.az) == (0, [])


def test_the_status_lists_what_is_watched_and_what_is_missing(run: Any) -> None:
    found: Sequence[Answer] = [
        ("graph query", ONE, 0),
        (f"/subscriptions/{TWO}/resourceGroups/{WATCH}", "", 3),
        ("eventSubscriptions", "Succeeded", 0),
        ("actionRules", "true", 0),
        ("role assignment list", "Backup Autoheal", 0),
    ]
    ran = run("status.sh", AUTOHEAL_WATCH=TWO, answers=found)
    assert f"Subscription {ONE}: role assigned, events Succeeded, alerts true\n" in ran.said
    assert f"Subscription {TWO}: role assigned, events MISSING, alerts MISSING\n" in ran.said
    assert (ran.status, "connect.sh <id> mends it" in ran.said) == (1, True)


def test_the_status_is_good_when_nothing_is_missing(run: Any) -> None:
    found = [("graph query", ONE, 0), ("resource show", "Succeeded", 0), ("role assignment list", "role", 0)]
    assert run("status.sh", answers=found).status == 0
