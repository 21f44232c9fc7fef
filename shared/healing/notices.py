"""Notifications: what the topic is told is put into an outbox too, and sent from there to a webhook, grouped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.notice_webhook import NoticeWebhook, NotSent
from shared.clients.outcome_topic import PublishFailed
from shared.domain.back_off import MAX_CALL_BACK_OFF, back_off
from shared.domain.error_codes import ErrorCodes
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.notice import attention_id, incident_notice, message_of, notices_of
from shared.domain.remediation import Remediation
from shared.healing.ports import Topic
from shared.storage.conflicts import WriteConflict
from shared.storage.notice_outbox import NoticeOutbox

_BATCH_SIZE = 500
"""Notices in a message at most: with 1.5 kB each, below the 1 MB that Event Grid takes of a batch."""
_TURN = timedelta(minutes=2)
"""Longer than a message takes. A host that dies after the receiver took one leaves it to be sent again after that."""
KEPT = timedelta(days=7)
"""How long notices are known, and how long it is tried to send them."""


@dataclass(frozen=True, slots=True)
class NoticeTopic:
    """A topic that takes the notices of what it is told, before another one is told the same, if there is one."""

    outbox: NoticeOutbox
    error_codes: ErrorCodes
    topic: Topic | None

    def publish(self, news: Sequence[Remediation]) -> None:
        """As the topic's; a notice that was taken before is not taken again."""
        try:
            self.outbox.put(notice for each in news for notice in notices_of(each, self.error_codes))
        except AzureError as cause:
            raise PublishFailed(logs.describe_exception(cause)) from cause
        if self.topic is not None:
            self.topic.publish(news)

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        """As the topic's; what is to be told of its founders alone, and is not sent yet, it tells for them."""
        try:
            self.outbox.put([incident_notice(incident, event, self.error_codes)])
            self.outbox.withdraw(attention_id(founder) for founder in incident.founders)
        except AzureError as cause:
            raise PublishFailed(logs.describe_exception(cause)) from cause
        if self.topic is not None:
            self.topic.publish_incident(incident, event)


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends the notices that are due, all that are there in one message."""

    outbox: NoticeOutbox
    webhook: NoticeWebhook
    now: Callable[[], datetime]
    random: Callable[[], float]

    def run(self) -> None:
        """Send what is due, if no other host does; what the receiver does not take is sent later.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        notices = self.outbox.due(_BATCH_SIZE)
        if not notices:
            return
        try:
            failures = self.outbox.take_turn(_TURN)
        except WriteConflict:
            return  # other hosts are at it
        if failures is None:
            return
        # Read anew: another host may have sent some of them before its turn ended.
        notices = self.outbox.due(_BATCH_SIZE)
        try:
            if notices:
                self.webhook.send(message_of(notices))
        except NotSent as failure:
            asked = timedelta(seconds=failure.retry_after or 0)
            wait = min(max(asked, back_off(failures, self.random())), MAX_CALL_BACK_OFF)
            self.outbox.end_turn(wait, failures + 1)
            logs.warning("notice.not_sent", count=len(notices), reason=str(failure), againAt=self.now() + wait)
            return
        self.outbox.remove(notices)
        self.outbox.end_turn(timedelta(), 0)
        for notice in notices:
            logs.info("notice.sent", id=notice.id, kind=notice.kind)

    def purge(self) -> None:
        """Forget the notices that are older than `KEPT`; that some were never sent is an error in the log.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        unsent = self.outbox.purge(self.now() - KEPT)
        if unsent:
            logs.error("notice.given_up", count=unsent, reason=f"not sent within {KEPT.days} days")
