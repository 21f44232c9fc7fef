"""The page that tells a browser why the door for those who have signed in stays closed, and the way out."""

from datetime import datetime

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.signed_in_request import START, Principal
from shared.dashboard.frame import Frame
from shared.dashboard.html import render
from shared.dashboard.links import Links
from shared.domain.mode import Mode


def refusal_page(
    error: ApiError, principal: Principal | None, sign_in: str, mode: Mode, now: datetime
) -> func.HttpResponse:
    """The page with this error.

    Args:
        sign_in: where to sign in; empty if that does not help.
    """
    frame = Frame(Links(), mode, now, principal).values()
    own = {"link": lambda: START, "report_months": (), "error": error, "sign_in": sign_in}
    return render(error.status, "refusal.html", {**frame, **own})
