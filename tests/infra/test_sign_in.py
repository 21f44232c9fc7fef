"""The sign-in of people: what the templates ask of App Service, and the script that makes the app registration."""

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import pytest

from shared.api.signed_in_request import Role
from tests.infra import azd
from tests.infra.bicep import INFRA, PROJECT, parsed, resources, variable
from tests.infra.test_app_settings import union_of_settings
from tests.infra.test_hooks import APP, DEPLOYED, HOME, option, run, verbs

__all__ = ["run"]
CLIENT = "00000000-0000-4000-8000-0000000000c1"
TENANT = "00000000-0000-4000-8000-0000000000f1"
ROLES: list[dict[str, Any]] = json.loads((INFRA / "modules" / "app-roles.json").read_text())
FEDERATED = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
TENANT_ANSWERS = [
    ("account show", TENANT, 0),
    ("query name", "AzureCloud", 0),
    ("query endpoints.activeDirectory", "https://login.example/", 0),
    ("query endpoints.microsoftGraphResourceId", "https://graph.example/", 0),
]
MAKES = [*TENANT_ANSWERS, ("v1.0/applications", CLIENT, 0)]
KEPT = [["AUTOHEAL_SIGN_IN_CLIENT_ID", CLIENT]]
GRAPH = "https://graph.example/v1.0"
ASSIGNED_TO = f"{GRAPH}/servicePrincipals/enterprise-id/appRoleAssignedTo"


def auth_settings() -> dict[str, Any]:
    (settings,) = [each for each in resources("Microsoft.Web/sites/config") if each["name"] == "authsettingsV2"]
    properties: dict[str, Any] = settings["properties"]
    return properties


def providers() -> dict[str, Any]:
    """The conditional on whether there is an app registration."""
    conditional: dict[str, Any] = auth_settings()["identityProviders"]["operator"]["operands"]
    return conditional


# The templates.


def test_keys_go_on_working_beside_the_sign_in() -> None:
    assert auth_settings()["globalValidation"] == {
        "requireAuthentication": False,
        "unauthenticatedClientAction": "AllowAnonymous",
    }


def test_the_platform_takes_accounts_of_the_tenant_for_this_app_alone() -> None:
    [(provider, entra)] = providers()["false_value"].items()
    assert provider == "azureActiveDirectory"
    assert entra["registration"]["openIdIssuer"].endswith("${tenant().tenantId}/v2.0")
    assert entra["validation"] == {"allowedAudiences": ["signInClientId", "api://${signInClientId}"]}


def test_no_secret_is_kept_and_no_token() -> None:
    entra = providers()["false_value"]["azureActiveDirectory"]
    assert "identitySettingName" in entra["registration"].values()
    assert variable(INFRA / "modules" / "function-app.bicep", "identitySettingName") == FEDERATED
    assert auth_settings()["login"] == {"tokenStore": {"enabled": False}}


def test_without_an_app_registration_the_platforms_authentication_is_off() -> None:
    template = parsed(INFRA / "modules" / "function-app.bicep")
    no_registration = {"function": {"type": "empty", "parameters": {"item_to_test": "signInClientId"}}}
    assert "condition" not in template["resources"]["signIn"]["config"], "what was turned on before would stay on"
    enabled = auth_settings()["platform"]["enabled"]
    assert enabled == {"operator": {"type": "not", "operands": {"bool_value": no_registration}}}
    assert (providers()["condition"], providers()["true_value"]) == (no_registration, {})
    assert union_of_settings()["arg_3"]["operator"]["operands"]["true_value"] == {}
    assert azd.filled({})["signInClientId"] == ""


def test_with_one_the_platform_gets_its_settings() -> None:
    given = union_of_settings()["arg_3"]["operator"]["operands"]["false_value"]
    assert set(given) == {FEDERATED, "WEBSITE_AUTH_AAD_ALLOWED_TENANTS"}
    assert given[FEDERATED] == "identityClientId"
    assert azd.filled({"AUTOHEAL_SIGN_IN_CLIENT_ID": CLIENT})["signInClientId"] == CLIENT


def test_the_app_roles_are_those_that_the_app_knows() -> None:
    assert [role["value"] for role in ROLES] == [*Role]
    assert len({role["id"] for role in ROLES}) == len(ROLES)
    assert all(role["allowedMemberTypes"] == ["User", "Application"] and role["isEnabled"] for role in ROLES)


# The script.


def options(call: list[str], name: str) -> list[str]:
    """All the values of an option that takes several."""
    after = call[call.index(name) + 1 :]
    return list(takewhile(lambda word: not word.startswith("--"), after))


def rest(ran: Any) -> list[tuple[str, str, str]]:
    """Method, address and body of each call of Graph."""
    return [(option(call, "--method"), option(call, "--url"), typed) for _, call, typed in ran.all if call[0] == "rest"]


def updated(ran: Any) -> list[str]:
    """The call that writes the registration."""
    call: list[str] = next(call for call in ran.az if verbs(call) == ["ad", "app", "update"])
    return call


def kept(ran: Any) -> list[list[str]]:
    """The values that azd is told to keep."""
    return [arguments[2:] for name, arguments, _ in ran.all if name == "azd" and arguments[:2] == ["env", "set"]]


def test_the_registration_is_made_with_roles_address_and_the_apps_identity(run: Any) -> None:
    ran = run("sign-in.sh", answers=[*MAKES, ("federated-credential show", "", 3)])
    assert ran.status == 0, ran.said
    [(method, url, typed)] = rest(ran)
    assert (method, url) == ("post", f"{GRAPH}/applications")
    assert json.loads(typed) == {"displayName": f"Backup Autoheal {APP}", "signInAudience": "AzureADMyOrg"}
    assert not [call for call in ran.az if verbs(call) == ["ad", "app", "create"]], "it would change one of that name"
    update = updated(ran)
    assert option(update, "--id") == CLIENT
    assert options(update, "--web-redirect-uris") == ["https://app.example/.auth/login/aad/callback"]
    assert options(update, "--identifier-uris") == [f"api://{CLIENT}"]
    assert option(update, "--sign-in-audience") == "AzureADMyOrg"
    assert option(update, "--app-roles").endswith("/modules/app-roles.json")
    [credential] = [
        json.loads(typed) for _, arguments, typed in ran.all if "federated-credential" in arguments and typed
    ]
    assert credential == {
        "name": "backup-autoheal",
        "issuer": f"https://login.example/{TENANT}/v2.0",
        "subject": DEPLOYED["APP_IDENTITY_PRINCIPAL_ID"],
        "audiences": ["api://AzureADTokenExchange"],
    }
    assert "azd provision" in ran.said


def test_a_registration_that_somebody_made_before_under_its_name_is_not_used(run: Any) -> None:
    ran = run("sign-in.sh", answers=[("ad app list", "somebodys-id", 0), *MAKES])
    assert (ran.status, kept(ran), rest(ran)) == (1, [], [])
    assert not [call for call in ran.az if "update" in call or "create" in call]
    assert "somebodys-id" in ran.said
    assert "az ad app owner list" in ran.said
    assert "azd env set AUTOHEAL_SIGN_IN_CLIENT_ID <id>" in ran.said


def test_the_known_registration_is_mended_and_none_is_made(run: Any) -> None:
    answers = [("ad app list", "somebodys-id", 0), *TENANT_ANSWERS]
    ran = run("sign-in.sh", answers=answers, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT)
    assert (ran.status, rest(ran), option(updated(ran), "--id")) == (0, [], CLIENT)


def test_a_known_registration_that_is_gone_is_told_with_the_way_out(run: Any) -> None:
    answers = [("ad app show", "", 3), *TENANT_ANSWERS]
    ran = run("sign-in.sh", answers=answers, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT)
    assert (ran.status, "AUTOHEAL_SIGN_IN_CLIENT_ID ''" in ran.said) == (1, True)


def test_addresses_that_somebody_added_to_the_registration_stay(run: Any) -> None:
    answers = [
        ("web.redirectUris", "https://own.example/.auth/login/aad/callback\nhttps://*.example", 0),
        ("identifierUris", "api://own.example/x", 0),
        *TENANT_ANSWERS,
    ]
    update = updated(run("sign-in.sh", answers=answers, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT))
    assert options(update, "--web-redirect-uris") == [
        "https://app.example/.auth/login/aad/callback",
        "https://own.example/.auth/login/aad/callback",
        "https://*.example",
    ]
    assert options(update, "--identifier-uris") == [f"api://{CLIENT}", "api://own.example/x"]


def test_nobody_gets_in_without_being_assigned(run: Any) -> None:
    ran = run("sign-in.sh", answers=MAKES)
    [update] = [call for call in ran.az if verbs(call) == ["ad", "sp", "update"]]
    assert option(update, "--set") == "appRoleAssignmentRequired=true"


def test_what_is_there_already_is_mended_and_not_made_again(run: Any) -> None:
    ran = run("sign-in.sh", answers=MAKES)
    made = [verbs(call) for call in ran.az]
    assert ["ad", "sp", "create"] not in made
    assert ["ad", "app", "federated-credential", "update"] in made
    assert ["ad", "app", "federated-credential", "create"] not in made


@pytest.mark.parametrize(
    ("refused", "words", "known"),
    [
        ("v1.0/applications", "Application Developer", []),
        ("ad app update", "you need to own it", KEPT),
        ("federated-credential update", "federated credential cannot be changed", KEPT),
    ],
)
def test_a_refusal_stops_the_script_and_azd_knows_the_registration_once_it_is_made(
    run: Any, refused: str, words: str, known: list[list[str]]
) -> None:
    ran = run("sign-in.sh", answers=[(refused, "", 1), *MAKES])
    assert (ran.status, words in ran.said) == (1, True), ran.said
    assert kept(ran) == known


@pytest.mark.parametrize("arguments", [[], ["remove", "ada@example.com"]])
def test_another_tenants_directory_is_left_alone(run: Any, arguments: list[str]) -> None:
    elsewhere = [(f"account show --subscription {HOME}", "another-tenant", 0), *MAKES]
    ran = run("sign-in.sh", *arguments, answers=elsewhere, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT)
    assert (ran.status, ran.az) == (1, [])
    assert f"az account set --subscription {HOME}" in ran.said


def test_another_cloud_is_refused(run: Any) -> None:
    ran = run("sign-in.sh", answers=[("query name", "AzureChinaCloud", 0), *MAKES])
    assert (ran.status, rest(ran), "not for AzureChinaCloud" in ran.said) == (1, [], True)


def roles_of(run: Any, *arguments: str, has: str = "", refused: Sequence[tuple[str, str, int]] = ()) -> Any:
    """The script about somebody who has these assignments: `<role>/<assignment>`."""
    answers = [
        *refused,
        ("method get", has, 0),
        ("ad user show", "user-id", 0),
        ("appRoles[?value=='Operator']", "operator-id", 0),
        ("appRoles[?value=='Reader']", "reader-id", 0),
        ("ad sp show", "enterprise-id", 0),
        *TENANT_ANSWERS,
    ]
    return run("sign-in.sh", *arguments, answers=answers, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT)


@pytest.mark.parametrize(("account", "found"), [("ada@example.com", "user-id"), (HOME, HOME), (CLIENT.upper(), CLIENT)])
def test_a_role_is_given_to_a_user_or_to_an_object_by_its_id(run: Any, account: str, found: str) -> None:
    ran = roles_of(run, "assign", account, "Operator")
    assert ran.status == 0, ran.said
    [(_, asked, _), (method, url, typed)] = rest(ran)
    assert asked == f"{ASSIGNED_TO}?$top=999"
    assert (method, url) == ("post", ASSIGNED_TO)
    assert json.loads(typed) == {"principalId": found, "resourceId": "enterprise-id", "appRoleId": "operator-id"}


def test_a_role_takes_the_place_of_those_before(run: Any) -> None:
    ran = roles_of(run, "assign", "ada@example.com", "Reader", has="operator-id/one\nold-id/two")
    assert [(method, url) for method, url, _ in rest(ran)[1:]] == [
        ("post", ASSIGNED_TO),
        ("delete", f"{ASSIGNED_TO}/one"),
        ("delete", f"{ASSIGNED_TO}/two"),
    ]
    assert (ran.status, "has the role Reader and no other one" in ran.said) == (0, True)


def test_the_role_that_somebody_has_is_not_given_again(run: Any) -> None:
    ran = roles_of(run, "assign", "ada@example.com", "Reader", has="reader-id/one")
    assert (ran.status, [method for method, _, _ in rest(ran)]) == (0, ["get"])


def test_every_role_can_be_taken_away(run: Any) -> None:
    ran = roles_of(run, "remove", "ada@example.com", has="operator-id/one\nreader-id/two")
    assert [(method, url) for method, url, _ in rest(ran)[1:]] == [
        ("delete", f"{ASSIGNED_TO}/one"),
        ("delete", f"{ASSIGNED_TO}/two"),
    ]
    assert (ran.status, "has no role any more" in ran.said) == (0, True)


@pytest.mark.parametrize(
    ("has", "refused", "words"),
    [
        ("operator-id/one", ("method delete", "", 1), "cannot be taken away"),
        ("", ("method get", "", 1), "Who has a role cannot be read"),
        ("operator-id/one\n@odata.nextLink", ("nothing", "", 0), "More than 999"),
    ],
)
def test_nobody_is_said_to_have_lost_a_role_that_they_may_still_have(
    run: Any, has: str, refused: tuple[str, str, int], words: str
) -> None:
    ran = roles_of(run, "assign", "ada@example.com", "Reader", has=has, refused=[refused])
    assert (ran.status, words in ran.said, "from the next sign-in on" in ran.said) == (1, True, False), ran.said


def test_there_are_no_other_roles(run: Any) -> None:
    ran = roles_of(run, "assign", "ada@example.com", "operator")
    assert (ran.status, "is no role: Reader or Operator" in ran.said, ran.az) == (1, True, [])


def test_without_a_registration_nobody_can_be_assigned(run: Any) -> None:
    ran = run("sign-in.sh", "assign", "ada@example.com", "Reader", answers=MAKES)
    assert (ran.status, "There is no app registration yet" in ran.said) == (1, True)


def test_anything_else_is_explained(run: Any) -> None:
    ran = run("sign-in.sh", "assign", "ada@example.com", answers=MAKES)
    assert (ran.status, "sign-in.sh assign <account>" in ran.said, ran.az) == (1, True, [])


def test_the_refusal_of_the_app_names_the_script_that_there_is() -> None:
    assert "infra/sign-in.sh assign" in (PROJECT / "shared/api/signed_in.py").read_text()
    assert (INFRA / "sign-in.sh").is_file()
