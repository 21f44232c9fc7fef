from datetime import timedelta

import pytest

from shared.domain.error_codes import ErrorCodes
from shared.domain.mode import Mode
from shared.domain.notify_settings import NoticeFormat
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.signal import SyncType
from shared.settings import InvalidSettings, Settings

ID = "04cf684a-d41f-4550-9f70-7708a3a2283b"
OTHER_ID = "14cf684a-d41f-4550-9f70-7708a3a2283b"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        pytest.param("POLL_SCHEDULE", " ", "*/30 * * * * *", id="an empty variable counts as absent"),
        *(("SWEEP_SCHEDULE", text, None) for text in ("", " ", "off", "OFF")),
        *(("DIGEST_SCHEDULE", text, None) for text in ("", "off")),
        ("DIGEST_SCHEDULE", "0 0 7 * * 1-5", "0 0 7 * * 1-5"),
        ("SWEEP_SUBSCRIPTIONS", f"{OTHER_ID.upper()}, {ID},", (OTHER_ID, ID)),
        ("OPERATION_TIMEOUT", "PT6H", timedelta(hours=6)),
        ("OPERATION_TIMEOUT", "pt90s", timedelta(seconds=90)),
        ("OPERATION_TIMEOUT", "P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("OPERATION_TIMEOUT", "P2D", timedelta(days=2)),
        ("OPERATION_TIMEOUT", "06:00:00", timedelta(hours=6)),
        ("SYNC_TYPE", "forceresync", SyncType.FORCE_RESYNC),
        ("MODE", "observe", Mode.OBSERVE),
        ("RECOVERY", "WATCH", RecoveryMode.WATCH),
        ("NOTIFY_FORMAT", "cloudevents", NoticeFormat.CLOUD_EVENTS),
        ("ARM_ALLOWED_HOSTS", "Api.Example.com, *.arm.example:8443", ("api.example.com", "*.arm.example:8443")),
        ("EVENT_OPERATIONS", "*/Backup/action, */write", ("*/backup/action", "*/write")),
        *(("RETENTION_DAYS", str(days), days) for days in (1, 90, 3650)),
    ],
)
def test_a_value_is_read_from_its_variable(variable: str, text: str, value: object) -> None:
    assert getattr(Settings.from_environment({variable: text}), variable.lower()) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ARM_ENDPOINT", "http://management.azure.com"),
        ("ARM_ENDPOINT", "https://user@management.azure.com"),
        ("ARM_ALLOWED_HOSTS", "*"),
        ("ARM_ALLOWED_HOSTS", "https://x.example"),
        ("SYNC_TYPE", "Maybe"),
        ("MODE", "Off"),
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


def test_error_codes_of_ones_own_are_json_or_a_file_of_the_app() -> None:
    entry = '[{"codes": ["UserErrorOurs"], "class": "Never", "whatToDo": "Ask the platform team."}]'
    assert [each.codes for each in Settings.from_environment({"ERROR_CODES": entry}).error_codes] == [
        ("UserErrorOurs",)
    ]
    file = Settings.from_environment({"ERROR_CODES": "shared/domain/error_codes.json"})
    assert file.error_codes == ErrorCodes().entries


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[{"codes": []}]', "codes"),
        ("[", "Expecting value"),
        ("no-such.json", "no file 'no-such.json' in the app"),
        ("../../../etc/passwd", "in the app"),
        ("/etc/passwd", "in the app"),
        ("shared", "in the app"),
        ("x\0y", "null (byte|character)"),
        ("host.json", "Expected `array`"),
    ],
)
def test_error_codes_that_cannot_be_used_are_explained(text: str, complaint: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"ERROR_CODES=.*expected a JSON list.*{complaint}") as invalid:
        Settings.from_environment({"ERROR_CODES": text})
    assert "\n" not in str(invalid.value)


@pytest.mark.parametrize("text", ["-1", "1000000", "never"])
def test_a_count_that_may_be_nothing_says_so(text: str) -> None:
    with pytest.raises(InvalidSettings, match="expected a whole number from 0 to 999999"):
        Settings.from_environment({"FORCE_RESYNC_FROM_ATTEMPT": text})


def test_one_message_lists_every_bad_value() -> None:
    with pytest.raises(InvalidSettings) as invalid:
        Settings.from_environment({"SYNC_TYPE": "x", "POLL_CONCURRENCY": "y"})
    assert all(name in str(invalid.value) for name in ("SYNC_TYPE", "POLL_CONCURRENCY"))


HOOK = "https://prod-12.westeurope.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=secret"


@pytest.mark.parametrize(
    ("notice_format", "url", "hosts"),
    [
        ("Teams", HOOK, ""),
        ("Slack", "https://hooks.slack.com/services/secret", ""),
        ("Generic", "https://alerts.example.com/hook?key=secret", "alerts.example.com"),
        ("CloudEvents", "https://a.example.com:8443/hook", "*.example.com:8443"),
        ("Teams", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/hook)", ""),
    ],
)
def test_a_webhook_on_a_host_of_its_format_is_taken(notice_format: str, url: str, hosts: str) -> None:
    environment = {"NOTIFY_WEBHOOK_URL": url, "NOTIFY_FORMAT": notice_format, "NOTIFY_HOSTS": hosts}
    assert Settings.from_environment(environment).notify_webhook_url == url


@pytest.mark.parametrize(
    ("notice_format", "url"),
    [
        ("Generic", HOOK),
        ("Slack", "https://hooks.slack.com.evil.example/secret"),
        ("Slack", "https://hooks.slack.com@evil.example/secret"),
        ("Slack", "http://hooks.slack.com/secret"),
        ("Slack", "https://hooks.slack.com:99999/secret"),
        ("Slack", "https://hooks.slack.com:8443/secret"),
        ("Teams", "https://logic.azure.com/secret"),
        ("Teams", "secret"),
    ],
)
def test_any_other_webhook_stops_the_app_and_is_not_shown(notice_format: str, url: str) -> None:
    with pytest.raises(InvalidSettings, match="NOTIFY_WEBHOOK_URL: ") as stopped:
        Settings.from_environment({"NOTIFY_WEBHOOK_URL": url, "NOTIFY_FORMAT": notice_format})
    assert "secret" not in str(stopped.value)
