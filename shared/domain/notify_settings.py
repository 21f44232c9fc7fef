"""The settings of the notification webhook, apart from what is sent: they are read at every cold start. Pure."""

from collections.abc import Mapping
from enum import StrEnum

UNRESOLVED = "@Microsoft.KeyVault("
"""How a Key Vault reference begins that App Service could not resolve ("Use Key Vault references")."""


class NoticeFormat(StrEnum):
    """The receiver's own format."""

    TEAMS = "Teams"
    SLACK = "Slack"
    CLOUD_EVENTS = "CloudEvents"
    GENERIC = "Generic"


HOSTS: Mapping[NoticeFormat, tuple[str, ...]] = {
    NoticeFormat.TEAMS: ("*.logic.azure.com", "*.api.powerplatform.com", "*.webhook.office.com"),
    NoticeFormat.SLACK: ("hooks.slack.com", "hooks.slack-gov.com"),
    NoticeFormat.CLOUD_EVENTS: (),
    NoticeFormat.GENERIC: (),
}
"""Hosts of the webhooks that Teams' workflows and Slack give out; of others the operator names the host."""
