"""The settings of the app: environment variable, type, default and meaning of each.

Read once at start. Standard library only: this is on the way of every cold start.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared import setting_values
from shared.domain.hosts import DEFAULT_PORT, is_allowed
from shared.domain.mode import Mode
from shared.domain.notify_settings import HOSTS, UNRESOLVED, NoticeFormat
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.resource_ids import INSTANCE_OPERATIONS
from shared.domain.sign_in import SignIn
from shared.domain.signal import SyncType

if TYPE_CHECKING:
    from shared.domain.error_codes import CodeEntry, ErrorCodes
    from shared.domain.policy import Policy

STORAGE_CONNECTION = "AzureWebJobsStorage"
"""The storage connection that triggers and app share: a setting, or the prefix of `__accountName` and so on."""


class InvalidSettings(ValueError):
    """One or more settings cannot be used; the message lists every one of them."""


def _setting(
    variable: str,
    default: Any,
    read: Callable[[str], Any],
    meaning: str,
    empty: str = "",
    is_secret: bool = False,
) -> Any:
    """One setting; `empty` is the text that an empty variable stands for, if it does not count as absent."""
    metadata = {"variable": variable, "read": read, "meaning": meaning, "empty": empty, "is_secret": is_secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. An empty variable counts as absent, but an empty `SWEEP_SCHEDULE` is `off`."""

    mode: Mode = _setting(
        "MODE",
        Mode.HEAL,
        setting_values.one_of(Mode),
        "Heal; or Observe: judge and record what fails, make no call that changes anything, and say what it would be; "
        "or Paused: take up nothing, and let the next attempts wait.",
    )
    arm_endpoint: str = _setting(
        "ARM_ENDPOINT", "https://management.azure.com", setting_values.https_url, "URL of Azure Resource Manager."
    )
    arm_audience: str | None = _setting(
        "ARM_AUDIENCE",
        None,
        setting_values.https_url,
        "Audience of the token for ARM_ENDPOINT; the endpoint itself if not set.",
    )
    arm_allowed_hosts: tuple[str, ...] = _setting(
        "ARM_ALLOWED_HOSTS",
        (),
        setting_values.hosts,
        "Further hosts whose operation URLs may be polled with the token, besides the endpoint and its subdomains.",
    )
    client_id: str | None = _setting(
        "AZURE_CLIENT_ID",
        None,
        setting_values.text,
        "Client id of a user-assigned managed identity; system-assigned if not set.",
    )
    sync_type: SyncType = _setting(
        "SYNC_TYPE", SyncType.DEFAULT, setting_values.sync_type, "Sync that signals start: Default or ForceResync."
    )
    max_attempts: int = _setting(
        "MAX_ATTEMPTS",
        5,
        setting_values.whole_number(1, 999_999),
        "Most attempts of one remediation, the first included; with more than 1, two more after errors that pass.",
    )
    retry_delays: tuple[timedelta, ...] = _setting(
        "RETRY_DELAYS",
        (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6)),
        setting_values.durations,
        "Waits between attempts, separated by commas; the last one repeats.",
    )
    force_resync_from_attempt: int = _setting(
        "FORCE_RESYNC_FROM_ATTEMPT",
        0,
        setting_values.whole_number(0, 999_999),
        "From this attempt on the sync is a ForceResync; 0: never.",
    )
    cooldown: timedelta = _setting(
        "COOLDOWN",
        timedelta(minutes=15),
        setting_values.duration,
        "How long signals are dropped after a remediation of the instance.",
    )
    daily_cap: int = _setting(
        "DAILY_CAP", 6, setting_values.whole_number(1, 99), "Most remediations of one instance within 24 hours."
    )
    include: tuple[str, ...] = _setting(
        "INCLUDE",
        (),
        setting_values.globs,
        "Globs on ARM ids, separated by commas: only these instances are healed; all if not set.",
    )
    exclude: tuple[str, ...] = _setting(
        "EXCLUDE", (), setting_values.globs, "Globs on ARM ids, separated by commas: these instances are left alone."
    )
    event_operations: tuple[str, ...] = _setting(
        "EVENT_OPERATIONS",
        (f"{INSTANCE_OPERATIONS}*",),
        setting_values.globs,
        "Globs on operation names, separated by commas: these operations start a heal when they fail. Syncs, "
        "restores, reads, validations and what ends protection never do.",
    )
    error_codes: "tuple[CodeEntry, ...]" = _setting(
        "ERROR_CODES",
        (),
        setting_values.error_codes,
        "Entries of one's own in the catalogue of error codes, which come before its own: JSON text, or the path of a "
        "JSON file in the app.",
    )
    operation_timeout: timedelta = _setting(
        "OPERATION_TIMEOUT",
        timedelta(hours=6),
        setting_values.positive_duration,
        "Counted from when Azure accepts a sync: what lasts longer ends as TimedOut, unless the instance is healed.",
    )
    wake_delay: timedelta = _setting(
        "WAKE_DELAY",
        timedelta(minutes=2),
        setting_values.duration,
        "Counted from the event of a repair, such as a role that was assigned: when what waited for it is tried again.",
    )
    canary_timeout: timedelta = _setting(
        "CANARY_TIMEOUT",
        timedelta(minutes=30),
        setting_values.duration,
        "Counted from when an incident is opened: how long its members hold an attempt back for its canaries.",
    )
    recovery: RecoveryMode = _setting(
        "RECOVERY",
        RecoveryMode.OFF,
        setting_values.one_of(RecoveryMode),
        "What follows a heal. Off: nothing. Watch: wait for a recovery point newer than the failure. Backup: as Watch, "
        "and make one backup where a backup failed or the newest point is older than the policy's interval.",
    )
    recovery_timeout: timedelta | None = _setting(
        "RECOVERY_TIMEOUT",
        None,
        setting_values.positive_duration,
        "How long a recovery point is waited for; two intervals of the instance's policy if not set, or 48 hours.",
    )
    backup_daily_cap: int = _setting(
        "BACKUP_DAILY_CAP",
        1,
        setting_values.whole_number(1, 99),
        "Most backups of one instance within 24 hours that the app makes.",
    )
    poll_schedule: str = _setting(
        "POLL_SCHEDULE",
        "*/30 * * * * *",
        setting_values.schedule,
        "When operations are polled (NCRONTAB with six fields).",
    )
    poll_concurrency: int = _setting(
        "POLL_CONCURRENCY", 32, setting_values.whole_number(1, 999_999), "How many remediations are polled at a time."
    )
    arm_writes_per_second: int = _setting(
        "ARM_WRITES_PER_SECOND",
        10,
        setting_values.whole_number(1, 999_999),
        "Sync calls each second in one subscription: the refill of Resource Manager's bucket.",
    )
    arm_write_burst: int = _setting(
        "ARM_WRITE_BURST",
        200,
        setting_values.whole_number(1, 999_999),
        "Sync calls at once in one subscription: Resource Manager's full bucket.",
    )
    arm_reads_per_second: int = _setting(
        "ARM_READS_PER_SECOND",
        25,
        setting_values.whole_number(1, 999_999),
        "Reads each second in one subscription: the refill of Resource Manager's bucket.",
    )
    arm_read_burst: int = _setting(
        "ARM_READ_BURST",
        250,
        setting_values.whole_number(1, 999_999),
        "Reads at once in one subscription: Resource Manager's full bucket.",
    )
    sweep_schedule: str | None = _setting(
        "SWEEP_SCHEDULE",
        "0 7 * * * *",
        setting_values.schedule_or_off,
        "When the sweep looks for broken instances (NCRONTAB with six fields); empty or off: never by itself.",
        empty="off",
    )
    sweep_subscriptions: tuple[str, ...] = _setting(
        "SWEEP_SUBSCRIPTIONS",
        (),
        setting_values.subscriptions,
        "Ids of the subscriptions that are swept, separated by commas; all that the identity can read if not set.",
    )
    stale_after: timedelta | None = _setting(
        "STALE_AFTER",
        None,
        setting_values.duration_or_off,
        "How much older than its policy's interval an instance's newest recovery point may be. If set, the sweep also "
        "finds instances that are well, but whose points are older, or whose last scheduled backup failed.",
    )
    retention_days: int = _setting(
        "RETENTION_DAYS",
        90,
        setting_values.whole_number(1, setting_values.MAX_DAYS),
        "How many days remediations are kept, from their announced end.",
    )
    outcome_topic_endpoint: str | None = _setting(
        "OUTCOME_TOPIC_ENDPOINT",
        None,
        setting_values.https_url,
        "Event Grid topic that receives the outcomes; none if not set.",
    )
    notify_webhook_url: str | None = _setting(
        "NOTIFY_WEBHOOK_URL",
        None,
        setting_values.webhook_url,
        "Webhook that is told which instances need attention, which backups are back, and of incidents; nobody is told "
        "if not set. A secret: a Key Vault reference is best.",
        is_secret=True,
    )
    notify_format: NoticeFormat = _setting(
        "NOTIFY_FORMAT",
        NoticeFormat.GENERIC,
        setting_values.one_of(NoticeFormat),
        "How NOTIFY_WEBHOOK_URL is told: Teams (a workflow that posts an Adaptive Card), Slack, CloudEvents (a batch), "
        "or Generic (title, text and notices as JSON).",
    )
    notify_hosts: tuple[str, ...] = _setting(
        "NOTIFY_HOSTS",
        (),
        setting_values.hosts,
        "Further hosts that NOTIFY_WEBHOOK_URL may be on, separated by commas; those of Teams and Slack are known.",
    )

    digest_schedule: str | None = _setting(
        "DIGEST_SCHEDULE",
        None,
        setting_values.schedule_or_off,
        "When NOTIFY_WEBHOOK_URL gets a digest of what was healed and recovered since the last one and of what needs "
        "attention, such as 0 0 7 * * * for each morning (NCRONTAB with six fields, in UTC); never if not set, or off.",
    )

    sign_in: SignIn = _setting(
        "SIGN_IN",
        SignIn.OFF,
        setting_values.one_of(SignIn),
        "Entra: people sign in with Microsoft Entra ID at /api/signed-in/dashboard, by the authentication of App "
        "Service. Off: everybody uses keys, as machines do in either case.",
    )

    def policy(self) -> "Policy":
        """The settings that decide about signals and attempts."""
        from shared.domain.policy import Policy  # not on the way of a cold start

        return Policy(
            mode=self.mode,
            default_sync_type=self.sync_type,
            max_attempts=self.max_attempts,
            retry_delays=self.retry_delays,
            force_resync_from_attempt=self.force_resync_from_attempt,
            cooldown=self.cooldown,
            daily_cap=self.daily_cap,
            recovery=self.recovery,
            include=self.include,
            exclude=self.exclude,
            error_codes=self.code_catalogue(),
        )

    def code_catalogue(self) -> "ErrorCodes":
        """The catalogue of error codes, with the entries of these settings."""
        from shared.domain.error_codes import ErrorCodes  # not on the way of a cold start

        return ErrorCodes(self.error_codes)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read all settings.

        Raises:
            InvalidSettings: listing every variable that cannot be used, with the reason.
        """
        values: dict[str, Any] = {}
        invalid: list[str] = []
        for setting in fields(cls):
            variable = setting.metadata["variable"]
            text = environment.get(variable)
            text = "" if text is None else text.strip() or setting.metadata["empty"]
            if not text:
                continue
            try:
                values[setting.name] = setting.metadata["read"](text)
            except ValueError as reason:
                shown = variable if setting.metadata["is_secret"] else f"{variable}={text[:100]!r}"
                invalid.append(f"{shown}: {reason}")
        settings = cls(**values)
        invalid += settings._conflicts()
        if invalid:
            raise InvalidSettings("Settings that cannot be used: " + "; ".join(invalid))
        return settings

    def _conflicts(self) -> list[str]:
        """Settings that cannot be used together, with the reason."""
        url = self.notify_webhook_url
        if url is None or url.startswith(UNRESOLVED):
            return []
        allowed = (*HOSTS[self.notify_format], *self.notify_hosts)
        parts = urlsplit(url)
        if is_allowed(parts.hostname or "", parts.port or DEFAULT_PORT, allowed):
            return []
        names = ", ".join(allowed) or "none so far"
        return [f"NOTIFY_WEBHOOK_URL: its host is none of those for {self.notify_format} ({names}): see NOTIFY_HOSTS"]
