"""Incidents as data: under which causes a failure counts, and when failures are an incident."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import incident
from shared.domain.error_codes import BUILT_IN
from shared.domain.incident import MAX_NEWEST, MIN_MEMBERS, WINDOW, Counted, Incident, Tally
from shared.domain.incident_cause import Cause, ScopeKind, causes_of
from shared.domain.remediation import Remediation, new_id
from tests.support.remediations import INSTANCE, NOW, instance_named, queued

SUBSCRIPTION = "/subscriptions/1b1f6471-1bf0-4dda-aec3-cb9272f09590"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-keys"
KEY_VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
DISK = f"{SUBSCRIPTION}/resourceGroups/rg-data/providers/Microsoft.Compute/disks/disk"
CODE = "UserErrorMissingRequiredPermissions"
VAULT_A, VAULT_B = (Cause(CODE, ScopeKind.VAULT, name) for name in ("/a", "/b"))
WIDE = Cause(CODE, ScopeKind.SUBSCRIPTION, "/wide")


def failed(message: str, datasource: str | None = DISK, code: str = CODE, **more: Any) -> Remediation:
    return replace(queued(), error={"code": code, "message": message, **more}, datasource_id=datasource)


def scopes(failure: Remediation) -> list[str]:
    return [cause.scope for cause in causes_of(failure, BUILT_IN)]


def test_a_failure_counts_in_the_vault_and_in_the_datasources_subscription() -> None:
    assert scopes(failed("no role")) == [str(INSTANCE.vault_id), SUBSCRIPTION]


def test_without_a_datasource_it_counts_in_the_vault_alone() -> None:
    assert scopes(failed("no role", datasource=None)) == [str(INSTANCE.vault_id)]


@pytest.mark.parametrize(
    "message",
    [
        f"The client 'x' has no authorization over scope '{KEY_VAULT}'.",
        f"Access to {KEY_VAULT}, which the secret is in, was denied",
        f"not allowed on the linked scope(s) ('{INSTANCE.vault_id}'), ({KEY_VAULT}/secrets/name)",
        f"{DISK} uses {KEY_VAULT}/providers/Microsoft.Authorization/roleAssignments/1.",
    ],
)
def test_a_resource_that_the_error_names_is_the_narrowest_scope(message: str) -> None:
    assert scopes(failed(message))[0] == KEY_VAULT


def test_a_resource_that_is_named_deep_in_the_error_counts_as_well() -> None:
    inner = {"additionalInfo": {"DetailedNonLocalisedMessage": f"denied on {KEY_VAULT}"}}
    assert scopes(failed("no role", innerError=inner))[0] == KEY_VAULT


def test_a_key_vault_may_be_named_by_its_url() -> None:
    assert scopes(failed("no access to https://kv-a.vault.azure.net/secrets/s/1"))[0] == "https://kv-a.vault.azure.net"


@pytest.mark.parametrize("own", [DISK, f"{DISK}/x", str(INSTANCE), str(INSTANCE.vault_id)])
def test_the_instances_own_resources_are_no_scope_of_several(own: str) -> None:
    assert scopes(failed(f"no role on {own}")) == [str(INSTANCE.vault_id), SUBSCRIPTION]


def test_a_code_that_tells_of_no_incident_has_no_cause() -> None:
    assert causes_of(failed("gone", code="UserErrorManagedDiskNotFound"), BUILT_IN) == ()


@given(st.text(), st.text())
def test_whatever_an_error_says_a_scope_is_short_and_of_one_line(before: str, after: str) -> None:
    for scope in scopes(failed(f"{before}{KEY_VAULT}{after}")):
        assert scope.isprintable()
        assert len(scope) <= 1_000


class Causes:
    """Tallies and incidents as storage keeps them."""

    def __init__(self) -> None:
        self.now = NOW
        self.tallies: dict[str, Tally] = {}
        self.incidents: dict[str, Incident] = {}

    def fail(self, names: Iterable[str], *causes: Cause) -> Counted:
        tallies = {cause.key: self.tallies.get(cause.key, Tally()) for cause in causes}
        ids = [new_id(instance_named(name), self.now) for name in names]
        counted = incident.count(tallies, self.incidents, causes, ids, self.now)
        self.tallies |= counted.tallies
        if counted.incident:
            self.incidents[counted.incident.id] = counted.incident
            self.tallies = incident.without(self.tallies, counted.incident)
        return counted


def names(count: int, prefix: str = "bi") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def test_enough_failures_in_the_window_open_an_incident() -> None:
    counted = Causes().fail(names(MIN_MEMBERS), VAULT_A, WIDE)
    assert counted.incident is not None
    assert counted.is_new
    assert counted.incident.scope == VAULT_A.scope


def test_too_few_do_not() -> None:
    assert Causes().fail(names(MIN_MEMBERS - 1), VAULT_A, WIDE).incident is None


def test_the_failures_of_one_instance_count_once() -> None:
    assert Causes().fail(["bi-1"] * MIN_MEMBERS, VAULT_A).incident is None


def test_failures_before_the_window_count_no_more() -> None:
    causes = Causes()
    causes.fail(names(MIN_MEMBERS - 1), VAULT_A)
    causes.now += WINDOW
    assert causes.fail(["late"], VAULT_A).incident is None


def test_few_of_each_vault_are_one_incident_of_what_is_wider() -> None:
    causes = Causes()
    causes.fail(names(3, "a"), VAULT_A, WIDE)
    counted = causes.fail(names(2, "b"), VAULT_B, WIDE)
    assert counted.incident is not None
    assert counted.incident.scope == WIDE.scope


def test_the_members_of_one_incident_count_for_no_wider_one() -> None:
    causes = Causes()
    causes.fail(names(3, "a"), VAULT_A, WIDE)
    causes.fail(names(2, "c"), VAULT_A, WIDE)
    assert causes.fail(names(4, "b"), VAULT_B, WIDE).incident is None


def test_the_members_of_a_wide_incident_count_for_no_narrower_one() -> None:
    causes = Causes()
    causes.fail(names(3, "a"), VAULT_A, WIDE)
    wide = causes.fail(names(2, "b"), VAULT_B, WIDE).incident
    counted = causes.fail(names(4, "c"), VAULT_A, WIDE)
    assert wide is not None
    assert counted.incident is not None
    assert counted.incident.id == wide.id


def test_a_day_later_failures_are_an_incident_of_their_own() -> None:
    causes = Causes()
    causes.fail(names(MIN_MEMBERS), VAULT_A)
    causes.now += timedelta(hours=24)
    assert causes.fail(names(MIN_MEMBERS), VAULT_A).is_new


def test_after_its_end_failures_are_an_incident_of_their_own() -> None:
    causes = Causes()
    opened = causes.fail(names(MIN_MEMBERS), VAULT_A).incident
    assert opened is not None
    causes.incidents[opened.id] = incident.close(opened, causes.now)
    causes.now += WINDOW
    assert causes.fail(names(MIN_MEMBERS), VAULT_A).is_new


def test_who_is_counted_again_after_a_lost_answer_is_one_member() -> None:
    causes = Causes()
    causes.fail(names(MIN_MEMBERS), VAULT_A)
    for _ in range(2):
        known = causes.fail(["late", "later"], VAULT_A).incident
    assert known is not None
    assert known.members == MIN_MEMBERS + 2


def test_who_has_opened_it_and_is_counted_again_is_one_member() -> None:
    causes = Causes()
    for _ in range(2):
        known = causes.fail(names(MIN_MEMBERS), VAULT_A).incident
    assert known is not None
    assert known.members == MIN_MEMBERS


def test_who_is_counted_again_keeps_it_open_until_it_is_stored() -> None:
    causes = Causes()
    causes.fail(names(MIN_MEMBERS), VAULT_A)
    causes.now += timedelta(hours=1)
    known = causes.fail(names(1), VAULT_A).incident
    assert known is not None
    assert not incident.may_be_over(incident.without_founders(known), causes.now)


def test_so_many_members_make_no_document_grow() -> None:
    causes = Causes()
    causes.fail(names(MIN_MEMBERS), VAULT_A)
    known = causes.fail(names(1_000, "late"), VAULT_A).incident
    assert known is not None
    assert (known.members, len(known.newest)) == (MIN_MEMBERS + 1_000, MAX_NEWEST)
