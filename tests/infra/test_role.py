"""The custom role and the calls of the app are the same thing said twice: here they are compared."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args, get_origin, get_type_hints
from unittest.mock import create_autospec
from urllib.parse import urlsplit

import pytest
import requests

from shared.clients.arm import ArmClient
from shared.clients.arm_backups import ArmBackups
from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import INSTANCES_QUERY, JOBS_QUERY, POLICIES_QUERY
from shared.clients.credential import TokenCache
from shared.clock import utc_now
from shared.domain.arm_results import OperationUrls
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from shared.domain.signal import SyncType
from shared.rate_limits.rate_limiter import RateLimiter
from tests.infra.bicep import INFRA, PROJECT, resources

ARM = "https://management.azure.com"
SUBSCRIPTION = "/subscriptions/6d1f0e2a-0000-4000-8000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
PROVIDER = "/providers/Microsoft.DataProtection"
ROLE_ACTIONS: dict[str, list[str]] = json.loads((INFRA / "modules" / "role-actions.json").read_text())
"""By what needs them."""
INSTANCE = BackupInstanceId(SUBSCRIPTION.split("/")[2], "rg", "vault", "instance")

OPERATIONS = [
    f"{GROUP}{PROVIDER}/backupVaults/vault/operationStatus/1",
    f"{GROUP}{PROVIDER}/backupVaults/vault/operationResults/1",
    f"{GROUP}{PROVIDER}/backupVaults/vault/backupInstances/instance/operationResults/1",
    f"{GROUP}{PROVIDER}/locations/westeurope/operationStatus/1",
    f"{SUBSCRIPTION}{PROVIDER}/locations/westeurope/operationStatus/1",
    f"{SUBSCRIPTION}{PROVIDER}/locations/westeurope/operationResults/1",
]
"""Where Azure lets an operation be followed (REST reference of Microsoft.DataProtection, "OperationUrls Status" and
"OperationUrls Result"): whichever of them the header of a sync call names."""


ROLES = "Microsoft.Authorization/roleDefinitions"


def permissions() -> list[Mapping[str, Any]]:
    """The permissions of the role, once where it is made for a subscription and once for a management group."""
    found = [permission for role in resources(ROLES) for permission in role["properties"]["permissions"]]
    assert len(found) == 2
    return found


class Recording(requests.Session):
    """Answers every call with the same object, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.answer: object = {}

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        self.calls.append((str(method), str(url)))
        response = requests.Response()
        response.status_code = 200
        response._content = json.dumps(self.answer).encode()
        return response


@pytest.fixture
def session() -> Recording:
    return Recording()


@pytest.fixture
def arm(session: Recording) -> ArmClient:
    tokens = create_autospec(TokenCache, instance=True)
    tokens.get.return_value = "token"
    writes, reads = (create_autospec(RateLimiter, instance=True) for _ in range(2))
    return ArmClient(ARM, (), ArmTransport(tokens, session), writes, reads)


SAMPLES: dict[Any, list[Any]] = {
    BackupInstanceId: [INSTANCE],
    BackupVaultId: [INSTANCE.vault_id],
    SyncType: [SyncType.DEFAULT],
    OperationUrls: [OperationUrls(ARM + path, None) for path in OPERATIONS],
    str: ["text"],
    bool: [False, True],
}
"""Arguments for the client's methods, by the types of their parameters."""


def samples(hint: Any) -> list[Any]:
    """Arguments of a type; what may be absent is, and what may be empty is."""
    if hint in SAMPLES:
        return SAMPLES[hint]
    if type(None) in get_args(hint):
        return [None]
    if get_origin(hint) in {Sequence, Mapping, Iterable}:
        return [()]
    pytest.fail(f"add a sample of {hint} to SAMPLES, so that the calls of ArmClient can be compared with the role")


def drive(client: ArmClient | ArmBackups, *methods: str) -> None:
    """Call these methods in all ways, however the answers are taken."""
    for name in methods:
        hints = {key: hint for key, hint in get_type_hints(getattr(client, name)).items() if key != "return"}
        for call in product(*map(samples, hints.values())):
            answer = getattr(client, name)(*call)
            if isinstance(answer, Iterator):
                list(answer)


def action_of(method: str, url: str) -> str | None:
    """The permission that a call needs: its type, then `read` for a GET, and for a POST what it does.

    Names of actions leave out the names of resources. One type is registered with its whole path: operations in a
    location of a resource group (Azure RBAC, permissions of Microsoft.DataProtection).
    """
    scope, of_provider, rest = urlsplit(url).path.partition("/providers/")
    if not of_provider:
        return None  # the list of subscriptions: everybody who signs in sees those where he may do anything
    provider, *segments = rest.split("/")
    types = segments[::2]
    if scope.count("/") == 4 and types[0] == "locations":
        types = ["subscriptions", "resourceGroups", "providers", *types]
    return "/".join([provider, *types, "read" if method == "GET" else "action"])


def public_methods(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_")}


def called(session: Recording) -> set[str | None]:
    return {action_of(method, url) for method, url in session.calls} - {None}


def test_the_role_allows_what_a_heal_calls_and_nothing_else(arm: ArmClient, session: Recording) -> None:
    # The last two make no call of their own: they are how `ArmBackups` makes its.
    drive(arm, *public_methods(ArmClient) - {"send", "check_url"})
    assert set(ROLE_ACTIONS["heal"]) == called(session)


@pytest.mark.parametrize(("mode", "methods"), [("watch", {"schedule", "points"}), ("backup", {"back_up", "job"})])
def test_the_role_grows_by_what_the_recovery_calls_and_nothing_else(
    arm: ArmClient, session: Recording, mode: str, methods: set[str]
) -> None:
    policy = f"{INSTANCE.vault_id}/backupPolicies/daily"
    session.answer = {"properties": {"policyInfo": {"policyId": policy}}, "value": []}
    drive(ArmBackups(ARM, arm, utc_now), *methods)
    assert set(ROLE_ACTIONS[mode]) == called(session) - set(ROLE_ACTIONS["heal"])


def test_the_role_lets_resource_graph_show_what_the_search_for_findings_asks_it_for() -> None:
    queries = POLICIES_QUERY + JOBS_QUERY + INSTANCES_QUERY
    shown = {f"{name}/read" for name in re.findall(r"where type =~ '([^']+)'", queries)}
    allowed = {action.lower() for action in ROLE_ACTIONS["heal"] + ROLE_ACTIONS["stale"]}
    assert shown <= allowed
    assert {action.lower() for action in ROLE_ACTIONS["stale"]} <= shown


def test_the_calls_of_each_recovery_mode_are_all_that_its_client_makes() -> None:
    assert public_methods(ArmBackups) == {"schedule", "points", "back_up", "job"}


@pytest.mark.parametrize("template", ["subscription.bicep", "management-group.bicep"])
def test_each_template_gives_the_role_what_the_setting_needs(template: str) -> None:
    watch, backup = "recovery == 'Off' ? [] : roleActions.watch", "recovery == 'Backup' ? roleActions.backup : []"
    text = (INFRA / template).read_text()
    stale = "toLower(staleAfter) == 'off' ? [] : roleActions.stale"
    assert f"actions: union(roleActions.heal, {watch}, {backup}, {stale})\n" in text
    assert "var roleActions = loadJsonContent('modules/role-actions.json')\n" in text


def test_the_role_has_no_wildcard_and_touches_no_data() -> None:
    action = re.compile(r"Microsoft\.DataProtection(/\w+)+/(read|action)")
    every = [one for actions in ROLE_ACTIONS.values() for one in actions]
    assert [one for one in every if not action.fullmatch(one)] == []
    assert [len(actions) for actions in ROLE_ACTIONS.values()] == [len(set(each)) for each in ROLE_ACTIONS.values()]
    for permission in permissions():
        assert permission["dataActions"] == permission["notActions"] == permission["notDataActions"] == []


@pytest.mark.parametrize("scope", ["subscription", "management_group"])
def test_the_role_can_be_assigned_where_it_is_made_only(scope: str) -> None:
    scopes = [role["properties"]["assignableScopes"] for role in resources(ROLES)]
    made = [one["operator"]["operands"]["operand_1"]["function"]["type"] for (one,) in scopes]
    assert made.count(scope) == 1
    assert len(made) == 2


def test_no_room_but_these_calls_resource_manager() -> None:
    imports = re.compile(r"^\s*(import requests|from requests)\b", re.MULTILINE)
    callers = {path.name for path in (PROJECT / "shared").rglob("*.py") if imports.search(path.read_text())}
    # These make sessions and connections for others, or send what others ask.
    makers = {"arm_circuit.py", "arm_transport.py", "http_session.py", "storage_transport.py"}
    elsewhere = {"notice_webhook.py"}
    # Resource Graph is open to everybody who signs in; it shows what the caller may read anyway.
    assert callers - makers - elsewhere == {"arm.py", "arm_backups.py", "resource_graph.py"}
