from datetime import timedelta

import pytest

from shared.domain.signal import SyncType
from shared.settings import InvalidSettings, Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.from_environment({"POLL_SCHEDULE": " "}).poll_schedule == "*/30 * * * * *"


@pytest.mark.parametrize("text", ["", " ", "off", "OFF"])
def test_an_empty_sweep_schedule_turns_the_sweep_off(text: str) -> None:
    assert Settings.from_environment({"SWEEP_SCHEDULE": text}).sweep_schedule is None


def test_swept_subscriptions_are_a_list() -> None:
    ids = "04CF684A-d41f-4550-9f70-7708a3a2283b, 14cf684a-d41f-4550-9f70-7708a3a2283b,"
    assert Settings.from_environment({"SWEEP_SUBSCRIPTIONS": ids}).sweep_subscriptions == (
        "04cf684a-d41f-4550-9f70-7708a3a2283b",
        "14cf684a-d41f-4550-9f70-7708a3a2283b",
    )


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT6H", timedelta(hours=6)),
        ("pt90s", timedelta(seconds=90)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("P2D", timedelta(days=2)),
        ("06:00:00", timedelta(hours=6)),
    ],
)
def test_durations_are_iso_8601_or_a_clock(text: str, duration: timedelta) -> None:
    assert Settings.from_environment({"OPERATION_TIMEOUT": text}).operation_timeout == duration


def test_the_sync_type_is_read_in_any_casing() -> None:
    assert Settings.from_environment({"SYNC_TYPE": "forceresync"}).sync_type is SyncType.FORCE_RESYNC


def test_allowed_hosts_are_a_list() -> None:
    hosts = Settings.from_environment({"ARM_ALLOWED_HOSTS": "Api.Example.com, *.arm.example:8443"})
    assert hosts.arm_allowed_hosts == ("api.example.com", "*.arm.example:8443")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ARM_ENDPOINT", "http://management.azure.com"),
        ("ARM_ENDPOINT", "https://user@management.azure.com"),
        ("ARM_ALLOWED_HOSTS", "*"),
        ("ARM_ALLOWED_HOSTS", "https://x.example"),
        ("SYNC_TYPE", "Maybe"),
        ("OPERATION_TIMEOUT", "6 hours"),
        ("OPERATION_TIMEOUT", "PT"),
        ("OPERATION_TIMEOUT", "P"),
        ("OPERATION_TIMEOUT", "PT0S"),
        ("COOLDOWN", "P99999999999D"),
        ("COOLDOWN", "PT99999999999999999999M"),
        ("POLL_SCHEDULE", "often"),
        ("POLL_SCHEDULE", "a b c d e f"),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "3651"),
        ("RETENTION_DAYS", "999999"),
        ("POLL_CONCURRENCY", "0"),
        ("POLL_CONCURRENCY", "many"),
        ("OUTCOME_TOPIC_ENDPOINT", "topic.example"),
        ("SWEEP_SCHEDULE", "never"),
        ("SWEEP_SUBSCRIPTIONS", "production"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=variable):
        Settings.from_environment({variable: text})


@pytest.mark.parametrize("text", ["-1", "1000000", "never"])
def test_a_count_that_may_be_nothing_says_so(text: str) -> None:
    with pytest.raises(InvalidSettings, match="expected 0 or a whole number to 999999"):
        Settings.from_environment({"FORCE_RESYNC_FROM_ATTEMPT": text})


@pytest.mark.parametrize("days", [1, 90, 3650])
def test_retention_lasts_up_to_ten_years(days: int) -> None:
    assert Settings.from_environment({"RETENTION_DAYS": str(days)}).retention_days == days


def test_one_message_lists_every_bad_value() -> None:
    with pytest.raises(InvalidSettings) as invalid:
        Settings.from_environment({"SYNC_TYPE": "x", "POLL_CONCURRENCY": "y"})
    assert all(name in str(invalid.value) for name in ("SYNC_TYPE", "POLL_CONCURRENCY"))


def test_the_operations_that_count_are_globs_in_any_casing() -> None:
    settings = Settings.from_environment({"EVENT_OPERATIONS": "*/Backup/action, */write"})
    assert settings.event_operations == ("*/backup/action", "*/write")
