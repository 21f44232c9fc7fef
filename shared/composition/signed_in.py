"""The door for those who have signed in, and the use cases behind it."""

from collections.abc import Callable

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.principal import Platform
from shared.api.signed_in import Door, Routes, Serve
from shared.api.signed_in_request import Principal
from shared.composition import api, dashboard, reports, settings
from shared.composition.once import once
from shared.dashboard.refusal import refusal_page
from shared.storage.storage_clock import STORAGE_CLOCK


@once
def door() -> Door:
    """`/api/signed-in/...`."""

    def refuse(error: ApiError, principal: Principal | None, sign_in: str) -> func.HttpResponse:
        return refusal_page(error, principal, sign_in, settings().mode, STORAGE_CLOCK())

    return Door(Platform.from_environment(), routes(), refuse)


def routes() -> Routes:
    """All that people use, each by the path that it has with a key; `/alerts` is for machines alone."""
    return {
        ("GET", "/dashboard"): lambda request, jobs: dashboard.page().answer(request, jobs),
        ("POST", "/dashboard"): lambda request, jobs: dashboard.page().answer(request, jobs),
        ("GET", "/report"): _without_jobs(lambda request: reports.page().show(request)),
        ("POST", "/sync"): lambda request, jobs: api.sync().sync(request, jobs),
        ("POST", "/sweep"): _without_jobs(lambda request: api.sweep().request(request)),
        ("GET", "/remediations"): _without_jobs(lambda request: api.remediations().list(request)),
        ("GET", "/remediations/{id}"): _without_jobs(lambda request: api.remediations().show(request)),
        ("POST", "/remediations/{id}/cancel"): _without_jobs(lambda request: api.remediations().cancel(request)),
        ("GET", "/incidents"): _without_jobs(lambda request: api.incidents().list(request)),
        ("POST", "/instances/acknowledge"): _without_jobs(lambda request: api.instances().acknowledge(request)),
        ("GET", "/pauses"): _without_jobs(lambda request: api.pauses().list(request)),
        ("POST", "/pauses/begin"): _without_jobs(lambda request: api.pauses().begin(request)),
        ("POST", "/pauses/end"): _without_jobs(lambda request: api.pauses().end(request)),
        ("GET", "/error-codes"): _without_jobs(lambda request: api.error_codes().list(request)),
        ("GET", "/status"): _without_jobs(lambda request: api.status().show(request)),
        ("GET", "/health"): _without_jobs(lambda request: api.meta().check_health()),
        ("GET", "/openapi.json"): _without_jobs(lambda request: api.meta().describe(request)),
    }


def _without_jobs(serve: Callable[[func.HttpRequest], func.HttpResponse]) -> Serve:
    """A use case that queues nothing."""
    return lambda request, jobs: serve(request)
