"""The sign-in of people: what the templates ask of App Service, and the script that makes the app registration."""

import json
from typing import Any

import pytest

from shared.api.signed_in_request import Role
from tests.infra import azd
from tests.infra.bicep import INFRA, PROJECT, parsed, resources, variable
from tests.infra.test_app_settings import union_of_settings
from tests.infra.test_hooks import DEPLOYED, HOME, option, run, verbs

__all__ = ["run"]
CLIENT = "00000000-0000-4000-8000-0000000000c1"
TENANT = "00000000-0000-4000-8000-0000000000f1"
ROLES: list[dict[str, Any]] = json.loads((INFRA / "modules" / "app-roles.json").read_text())
FEDERATED = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
MAKES = [
    ("account show", TENANT, 0),
    ("query endpoints.activeDirectory", "https://login.example/", 0),
    ("query endpoints.microsoftGraphResourceId", "https://graph.example/", 0),
    ("ad app create", CLIENT, 0),
]


def auth_settings() -> dict[str, Any]:
    (settings,) = [each for each in resources("Microsoft.Web/sites/config") if each["name"] == "authsettingsV2"]
    properties: dict[str, Any] = settings["properties"]
    return properties


# The templates.


def test_keys_go_on_working_beside_the_sign_in() -> None:
    assert auth_settings()["platform"] == {"enabled": True}
    assert auth_settings()["globalValidation"] == {
        "requireAuthentication": False,
        "unauthenticatedClientAction": "AllowAnonymous",
    }


def test_the_platform_takes_accounts_of_the_tenant_for_this_app_alone() -> None:
    entra = auth_settings()["identityProviders"]["azureActiveDirectory"]
    assert set(auth_settings()["identityProviders"]) == {"azureActiveDirectory"}
    assert entra["registration"]["openIdIssuer"].endswith("${tenant().tenantId}/v2.0")
    assert entra["validation"] == {"allowedAudiences": ["signInClientId", "api://${signInClientId}"]}


def test_no_secret_is_kept_and_no_token() -> None:
    entra = auth_settings()["identityProviders"]["azureActiveDirectory"]
    assert "identitySettingName" in entra["registration"].values()
    assert variable(INFRA / "modules" / "function-app.bicep", "identitySettingName") == FEDERATED
    assert auth_settings()["login"] == {"tokenStore": {"enabled": False}}


def test_without_an_app_registration_nothing_changes() -> None:
    template = parsed(INFRA / "modules" / "function-app.bicep")
    assert "condition" in template["resources"]["signIn"]["config"]
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


def test_the_registration_is_made_with_roles_address_and_the_apps_identity(run: Any) -> None:
    ran = run("sign-in.sh", answers=[*MAKES, ("federated-credential show", "", 3)])
    assert ran.status == 0, ran.said
    create = next(call for call in ran.az if verbs(call) == ["ad", "app", "create"])
    assert option(create, "--web-redirect-uris") == "https://app.example/.auth/login/aad/callback"
    assert option(create, "--sign-in-audience") == "AzureADMyOrg"
    assert option(create, "--app-roles").endswith("/modules/app-roles.json")
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


def test_nobody_gets_in_without_being_assigned(run: Any) -> None:
    ran = run("sign-in.sh", answers=MAKES)
    [update] = [call for call in ran.az if verbs(call) == ["ad", "sp", "update"]]
    assert option(update, "--set") == "appRoleAssignmentRequired=true"


def test_azd_learns_the_client_id(run: Any) -> None:
    ran = run("sign-in.sh", answers=MAKES)
    [kept] = [arguments for name, arguments, _ in ran.all if name == "azd" and arguments[:2] == ["env", "set"]]
    assert kept == ["env", "set", "AUTOHEAL_SIGN_IN_CLIENT_ID", CLIENT]


def test_what_is_there_already_is_mended_and_not_made_again(run: Any) -> None:
    ran = run("sign-in.sh", answers=MAKES)
    made = [verbs(call) for call in ran.az]
    assert ["ad", "sp", "create"] not in made
    assert ["ad", "app", "federated-credential", "update"] in made
    assert ["ad", "app", "federated-credential", "create"] not in made


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("ad app create", "Application Developer"),
        ("federated-credential update", "federated credential cannot be changed"),
    ],
)
def test_a_refusal_stops_the_script_before_azd_keeps_anything(run: Any, refused: str, words: str) -> None:
    ran = run("sign-in.sh", answers=[(refused, "", 1), *MAKES])
    assert (ran.status, words in ran.said) == (1, True)
    assert not [arguments for name, arguments, _ in ran.all if name == "azd" and "set" in arguments]


def assigned(run: Any, account: str, role: str, **more: str) -> Any:
    answers = [
        ("ad user show", "user-id", 0),
        ("appRoles[?value=='Operator']", "role-id", 0),
        ("ad sp show", "enterprise-id", 0),
        *MAKES,
    ]
    return run("sign-in.sh", "assign", account, role, answers=answers, AUTOHEAL_SIGN_IN_CLIENT_ID=CLIENT, **more)


@pytest.mark.parametrize(("account", "found"), [("ada@example.com", "user-id"), (HOME, HOME)])
def test_a_role_is_given_to_a_user_or_to_an_object_by_its_id(run: Any, account: str, found: str) -> None:
    ran = assigned(run, account, "Operator")
    assert ran.status == 0, ran.said
    [(_, rest, typed)] = [each for each in ran.all if each[1][0] == "rest"]
    assert option(rest, "--url") == "https://graph.example/v1.0/servicePrincipals/enterprise-id/appRoleAssignedTo"
    assert json.loads(typed) == {"principalId": found, "resourceId": "enterprise-id", "appRoleId": "role-id"}


def test_there_are_no_other_roles(run: Any) -> None:
    ran = assigned(run, "ada@example.com", "operator")
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
