"""Outcomes on their way out: one CloudEvent for each remediation that ended."""

from collections.abc import Sequence

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from shared.documents import Document, to_document
from shared.remediation import Remediation

_SOURCE = "/backup-autoheal"


class NotPublished(Exception):
    """The topic took none of the outcomes; the message says why. Publish them again later."""


class OutcomeTopic:
    """An Event Grid custom topic that takes CloudEvents 1.0."""

    def __init__(self, endpoint: str, credential: TokenCredential) -> None:
        """Publish to the topic's endpoint; the identity needs the role "EventGrid Data Sender"."""
        self._client = EventGridPublisherClient(endpoint, credential)

    def publish(self, ended: Sequence[Remediation]) -> None:
        """Announce how these remediations ended, in one call.

        Raises:
            NotPublished: the topic did not take them.
        """
        try:
            # No retries of the client's own, an outcome stays due until it is delivered: a tick waits for no topic.
            self._client.send([outcome_event(remediation) for remediation in ended], retry_total=0)
        except (AzureError, ValueError) as cause:
            raise NotPublished(f"{type(cause).__name__}: {cause}") from cause


def outcome_event(remediation: Remediation) -> CloudEvent[Document]:
    """The event; its id is the remediation's, so that consumers can drop what they have seen."""
    return CloudEvent(
        source=_SOURCE,
        type=f"BackupAutoheal.Remediation.{remediation.status}",
        id=remediation.id,
        subject=str(remediation.instance),
        time=remediation.ended_at,
        data=to_document(remediation),
        datacontenttype="application/json",
    )
