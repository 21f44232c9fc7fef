"""Client of the Event Grid topic: CloudEvents for ends, instances that need a person, incidents, findings."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ServiceResponseError
from azure.core.messaging import CloudEvent
from azure.core.pipeline import PipelineResponse
from azure.eventgrid import EventGridPublisherClient

from shared.clock import from_iso, from_millis, to_millis
from shared.domain import announcements
from shared.domain.attention import is_unannounced
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.incident import Incident, IncidentEvent, as_told, event_id, shown_incident
from shared.domain.remediation import Remediation
from shared.domain.remediation_json import Document, shown_document
from shared.logs import describe_exception

ATTENTION_NEEDED = "BackupAutoheal.Instance.AttentionNeeded"
FINDING = "BackupAutoheal.Finding.Stale"
_SOURCE = "/backup-autoheal"
_CLIENT_OPTIONS: Mapping[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 10}
"""Seconds. No retries of the client's own: an outcome stays due until it is delivered, and no poll run waits for it."""
_EVENT_STATUSES = frozenset({400, 413, 422})
"""Refusals that say nothing about the topic: there are too many events at once, or one cannot be taken."""


class PublishFailed(Exception):
    """The topic took none of the outcomes; the message says why. Publish them again later."""

    def __init__(self, reason: str, in_parts: bool = False) -> None:
        """`in_parts`: fewer at once may go through; else the topic takes nothing now."""
        super().__init__(reason)
        self.in_parts = in_parts


class OutcomeTopic:
    """An Event Grid custom topic that takes CloudEvents 1.0."""

    def __init__(self, endpoint: str, credential: TokenCredential, error_codes: ErrorCodes = BUILT_IN) -> None:
        """Publish to the topic's endpoint; the identity needs the role "EventGrid Data Sender"."""
        self._client = EventGridPublisherClient(endpoint, credential)
        self._error_codes = error_codes

    def publish(self, news: Sequence[Remediation]) -> None:
        """Announce how these remediations ended, and whose instances need a person, in one call.

        Raises:
            PublishFailed: the topic did not take them.
        """
        self._send([event for remediation in news for event in events_of(remediation, self._error_codes)])

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        """Announce that an incident was opened or closed; raises as `publish` does."""
        self._send([incident_event(incident, event, self._error_codes)])

    def publish_findings(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Announce findings, given by their documents, in one call; raises as `publish` does."""
        self._send([finding_event(document) for document in documents])

    def _send(self, events: list[CloudEvent[Any]]) -> None:
        # The events are made by now: one that cannot be made says nothing about the topic, and raises as it is.
        try:
            self._client.send(events, **_CLIENT_OPTIONS, raw_response_hook=_refuse_page)
        except HttpResponseError as refusal:
            in_parts = refusal.status_code in _EVENT_STATUSES
            raise PublishFailed(describe_exception(refusal), in_parts) from refusal
        except (AzureError, ValueError) as cause:
            raise PublishFailed(describe_exception(cause)) from cause


def _refuse_page(response: PipelineResponse[Any, Any]) -> None:
    """A topic takes events with 200 and an empty body ("Publish events to custom topics"); a gateway has a page."""
    answer = response.http_response
    if answer.status_code == 200 and answer.body().strip():
        raise ServiceResponseError("200 with a body: not an answer of the topic")


def events_of(remediation: Remediation, error_codes: ErrorCodes = BUILT_IN) -> list[CloudEvent[Document]]:
    """The events about it that are due: that its instance needs a person, its end, or both."""
    news = [attention_event(remediation, error_codes)] if is_unannounced(remediation) else []
    return [*news, outcome_event(remediation, error_codes)] if remediation.status.is_terminal else news


def attention_event(remediation: Remediation, error_codes: ErrorCodes = BUILT_IN) -> CloudEvent[Document]:
    """The event that an instance needs a person; its id is derived from that of the remediation in which it began."""
    attention = remediation.attention
    return CloudEvent(
        source=_SOURCE,
        type=ATTENTION_NEEDED,
        id=f"{remediation.id}-attention",
        subject=str(remediation.instance),
        time=_as_stored(attention.since if attention else None),
        data=shown_document(remediation, error_codes),
        datacontenttype="application/json",
    )


def outcome_event(remediation: Remediation, error_codes: ErrorCodes = BUILT_IN) -> CloudEvent[Document]:
    """The event; its id is derived from the remediation's, so that consumers can drop a repeat.

    A recovery has an outcome of its own, after that of its heal.
    """
    recovery = remediation.recovery if remediation.status.ends_recovery else None
    return CloudEvent(
        source=_SOURCE,
        type=f"BackupAutoheal.Remediation.{remediation.status}",
        id=f"{remediation.id}-recovery" if recovery else remediation.id,
        subject=str(remediation.instance),
        time=_as_stored(recovery.ended_at if recovery else remediation.ended_at),
        data=shown_document(announcements.as_told(remediation), error_codes),
        datacontenttype="application/json",
    )


def incident_event(
    incident: Incident, event: IncidentEvent, error_codes: ErrorCodes = BUILT_IN
) -> CloudEvent[Mapping[str, Any]]:
    """The event that an incident was opened or closed; its id is derived from the incident's."""
    return CloudEvent(
        source=_SOURCE,
        type=f"BackupAutoheal.Incident.{event}",
        id=event_id(incident, event),
        subject=incident.scope,
        time=_as_stored(incident.opened_at if event is IncidentEvent.OPENED else incident.closed_at),
        data=shown_incident(as_told(incident, event), error_codes),
        datacontenttype="application/json",
    )


def _as_stored(time: datetime | None) -> datetime | None:
    """To the millisecond: so a repeat, made of what storage has, tells the same time."""
    return from_millis(to_millis(time)) if time else None


def finding_event(document: Mapping[str, Any]) -> CloudEvent[Mapping[str, Any]]:
    """The event of a finding, given by its document (`domain.finding.finding_document`), whose id it has."""
    return CloudEvent(
        source=_SOURCE,
        type=FINDING,
        id=document["id"],
        subject=document["backupInstanceId"],
        time=from_iso(document["failedAt"]),
        data=dict(document),
        datacontenttype="application/json",
    )
