"""Attention: whether an instance needs a person, since when and why. Pure.

The fact is carried from one remediation of an instance to the next, so that a new one hides nothing. It begins with the
first end that is no heal, or with the first error that a person must mend or no sync mends; it ends with a heal, and
where the instance is gone or is as somebody intends. The remediation in which it began announces it.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from shared.domain.document_fields import UNKNOWN, Time, UnknownFields

if TYPE_CHECKING:
    from shared.domain.remediation import Remediation


class Acknowledgement(Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody knows, and is not to be reminded for a while."""

    at: Time
    by: Annotated[str, Meta(description="Who, as App Service signed them in; `an operator` where it does not say.")]
    reason: str
    until: Annotated[Time, Meta(description="From then on the instance needs attention again, if it is not healed.")]
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)


class Attention(Struct, frozen=True, kw_only=True, rename="camel"):
    """The instance needs a person."""

    since: Annotated[Time, Meta(description="The first end that was no heal, or the first error that no sync mends.")]
    remediation_id: Annotated[str, Meta(description="The remediation in which it began, and which announces it.")]
    reason: str
    announced_at: Annotated[
        Time | None, Meta(description="When the topic took `BackupAutoheal.Instance.AttentionNeeded`.")
    ] = None
    acknowledgement: Annotated[
        Acknowledgement | None, Meta(description="The latest one; it is carried on with the need, and ends with it.")
    ] = None
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)

    @property
    def calls_from(self) -> datetime:
        """From when on somebody is called for: since it began, or once it is acknowledged no more."""
        return max(self.since, self.acknowledgement.until) if self.acknowledgement else self.since


def with_attention(remediation: "Remediation", now: datetime, reason: str) -> "Remediation":
    """The instance needs a person from now on, if it did not before."""
    if remediation.attention is not None:
        return remediation
    return replace(remediation, attention=Attention(since=now, remediation_id=remediation.id, reason=reason))


def without_attention(remediation: "Remediation") -> "Remediation":
    """The instance needs nobody; since when it had needed somebody stays known."""
    if remediation.attention is None:
        return remediation
    since = remediation.needed_attention_since or remediation.attention.since
    return replace(remediation, attention=None, needed_attention_since=since)


def acknowledged(remediation: "Remediation", acknowledgement: Acknowledgement) -> "Remediation":
    """Somebody knows that the instance needs a person; what needs nobody stays as it is."""
    attention = remediation.attention
    if attention is None:
        return remediation
    return replace(remediation, attention=replace(attention, acknowledgement=acknowledgement))


def is_unannounced(remediation: "Remediation") -> bool:
    """Whether this remediation is still to announce that its instance needs a person."""
    attention = remediation.attention
    return attention is not None and attention.remediation_id == remediation.id and attention.announced_at is None


def announced(remediation: "Remediation", now: datetime) -> "Remediation":
    """The topic has taken the event, if there was one to take."""
    attention = remediation.attention
    if attention is None or not is_unannounced(remediation):
        return remediation
    return replace(remediation, attention=replace(attention, announced_at=now))
