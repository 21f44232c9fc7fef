"""The frame around every page: its links, who has signed in, and what they may do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func

from shared.api.signed_in_request import Principal, Role, principal_of
from shared.dashboard.links import LIVE_OFF, Links
from shared.domain.mode import Mode
from shared.domain.report import Month


@dataclass(frozen=True, slots=True)
class Frame:
    """The facts that it shows around one response."""

    links: Links
    mode: Mode
    now: datetime
    principal: Principal | None
    """None where a key let the request in."""

    @classmethod
    def of(cls, request: func.HttpRequest, mode: Mode, now: datetime) -> "Frame":
        """That of the response to this request."""
        # Names in any casing, as the host takes the key's.
        query = {name.lower(): value for name, value in request.params.items()}
        return cls(Links(query.get("code", ""), query.get("live") != LIVE_OFF), mode, now, principal_of(request))

    def values(self) -> dict[str, Any]:
        """By the names that `base.html` knows."""
        return {
            "link": self.links.url,
            "key": self.links.key,
            "is_live": self.links.is_live,
            "here": None,
            "refresh_seconds": 0,
            "now": self.now,
            "mode": self.mode,
            "report_months": _report_months(self.now),
            "principal": self.principal,
            "may_act": self.principal is None or self.principal.role is Role.OPERATOR,
        }


def _report_months(now: datetime) -> tuple[str, str]:
    """The months that each page leads to: this one, and the last one."""
    month = Month.of(now)
    return str(month), str(Month.of(month.start - timedelta(days=1)))
