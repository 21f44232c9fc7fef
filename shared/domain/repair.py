"""A repair: a change in Azure that may have removed the cause of failures. Pure."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.arm_scope import group_of, subscription_of


@dataclass(frozen=True, slots=True)
class Repair:
    """A change in Azure that may have removed the cause of failures."""

    scope: str
    """The scope that it acts on, as `arm_scope.read_scope` gives it."""
    acts_below: bool
    """Whether it acts on everything below the scope too, as a role or a lock does."""
    operation: str
    """Its name, for people."""
    occurred_at: datetime

    @property
    def subscription_id(self) -> str:
        """The subscription that the scope is in, or is."""
        return subscription_of(self.scope)

    @property
    def group(self) -> str | None:
        """The resource group that the scope is in, or is; None for a whole subscription."""
        return group_of(self.scope)
