"""An instance as Azure shows it, and the effect that a sync would have."""

import pytest

from shared.domain.arm_results import InstanceRead, InstanceResult, Refused, TransientFailure
from shared.domain.error_codes import BUILT_IN
from shared.domain.instance_view import Answer, SyncEffect, view_of
from shared.domain.signal import SyncType


def error(code: str) -> dict[str, str]:
    return {"code": code, "message": "m"}


@pytest.mark.parametrize(
    ("state", "code", "effect"),
    [
        ("ProtectionError", None, SyncEffect.MAY_HEAL),
        ("ProtectionError", "SomethingNew", SyncEffect.MAY_HEAL),
        ("ProtectionError", "CloudInternalError", SyncEffect.MAY_HEAL),
        ("ProtectionError", "UserErrorMissingRequiredPermissions", SyncEffect.NEEDS_PERSON),
        ("ProtectionError", "UserErrorManagedDiskNotFound", SyncEffect.NO_USE),
        ("ProtectionError", "UserErrorBackupRequestThrottled", SyncEffect.NEEDS_BACKUP),
        ("StateOfTomorrow", None, SyncEffect.MAY_HEAL),
        ("ProtectionConfigured", None, SyncEffect.NOTHING_TO_REPAIR),
        ("ProtectionStopped", None, SyncEffect.INTENDED),
        ("UpdatingProtection", None, SyncEffect.CHANGING),
    ],
)
def test_state_and_code_tell_what_a_sync_would_do(state: str, code: str | None, effect: SyncEffect) -> None:
    view = view_of(InstanceRead(state, error(code) if code else None), SyncType.DEFAULT, BUILT_IN)
    assert (view.answer, view.protection_state, view.effect) == (Answer.READ, state, effect)
    assert view.reason.startswith(f"the instance is {state}: ")


def test_a_forced_resync_acts_on_a_valid_instance_too() -> None:
    assert "all the same" in view_of(InstanceRead("ProtectionConfigured", None), SyncType.FORCE_RESYNC, BUILT_IN).reason


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (Refused(404, error("ResourceNotFound")), Answer.NOT_FOUND),
        (Refused(400, error("BadRequest")), Answer.REFUSED),
        (TransientFailure(error("AuthorizationFailed"), status=403), Answer.FORBIDDEN),
        (TransientFailure(error("InvalidAuthenticationTokenTenant"), status=401), Answer.FORBIDDEN),
        (TransientFailure(error("Http403")), Answer.UNREACHABLE),
        (TransientFailure(error("NoResponse")), Answer.UNREACHABLE),
        (TransientFailure(error("SubscriptionRequestsThrottled"), 5.0, status=429), Answer.UNREACHABLE),
    ],
)
def test_an_instance_that_azure_does_not_show_has_no_effect_but_a_reason(
    result: InstanceResult, answer: Answer
) -> None:
    view = view_of(result, SyncType.DEFAULT, BUILT_IN)
    assert (view.answer, view.effect, view.protection_state) == (answer, None, None)
    assert view.error
    assert view.reason
