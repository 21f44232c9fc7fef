"""The door for those who have signed in: `/api/signed-in/...` serves page and API without a key.

Its function lets everybody in, so that everything is checked here, in this order: whether App Service says who calls,
who that is, what their role allows, and whether a form comes from a page of the app's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.meta import find_path, not_taken
from shared.api.principal import PRINCIPAL_HEADER, NoPrincipal, Platform, read_principal
from shared.api.requests import KEY_PARAMETERS
from shared.api.responses import error_response, log_error
from shared.api.signed_in_request import PREFIX, START, Principal, Role, SignedInRequest

_LOGIN = "/.auth/login/aad"
"""Of App Service ("Customize sign-in and sign-out in Azure App Service authentication")."""
_MAX_RETURN_CHARS = 1_000
"""Of the address to return to, which travels through the identity provider."""
_READS = ("GET", "HEAD", "OPTIONS")

Serve = Callable[[func.HttpRequest, func.Out[list[str]]], func.HttpResponse]
Routes = Mapping[tuple[str, str], Serve]
"""The use cases by method and path, as openapi.json has them."""


_UNKNOWN_CALLER = frozenset({"NotSignedIn", "SignInNotConfigured"})
"""Codes of errors that anybody can cause without having signed in."""

RefusalPage = Callable[[ApiError, Principal | None, str], func.HttpResponse]
"""Shows a browser why its request is refused, to whom, and where to sign in, if that helps."""


@dataclass(frozen=True, slots=True)
class Door:
    """Lets requests in whose principal may make them."""

    platform: Platform
    routes: Routes
    refusal_page: RefusalPage

    def answer(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """The response of the use case, or why there is none; `jobs` takes what is to be queued."""
        principal = None
        try:
            if self.platform.problem:
                raise ApiError(503, "SignInNotConfigured", self.platform.problem)
            header = request.headers.get(PRINCIPAL_HEADER)
            if not header:
                return self._ask_to_sign_in(request)
            principal = self._principal(header)
            _check_role(principal, request.method)
            _check_origin(request)
        except ApiError as error:
            return self._refuse(request, error, principal)
        path = request.route_params.get("path") or ""
        if not path.strip("/"):
            return _redirect(START)
        template, route_params = find_path(path) or ("", {})
        methods = {method for method, of in self.routes if of == template}
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            return not_taken(request.method, f"{PREFIX}/{path}", methods)
        return self.routes[method, template](SignedInRequest(request, principal, route_params), jobs)

    def _principal(self, header: str) -> Principal:
        try:
            return read_principal(header, self.platform.tenants)
        except NoPrincipal as reason:
            message = f"App Service has signed somebody in whom this app does not know: {reason}"
            raise ApiError(403, "UnknownPrincipal", message) from reason

    def _ask_to_sign_in(self, request: func.HttpRequest) -> func.HttpResponse:
        """A browser that comes from elsewhere is sent to sign in. A page of the app's own is told first.

        Where a form is sent after the session's end, browsers would not follow to another site (`form-action`).
        """
        sign_in = f"{_LOGIN}?{urlencode({'post_login_redirect_uri': self._return_path(request)})}"
        is_read = request.method in ("GET", "HEAD")
        if is_read and _wants_html(request) and request.headers.get("Sec-Fetch-Site") != "same-origin":
            return _redirect(sign_in)
        error = ApiError(401, "NotSignedIn", "sign in with Microsoft Entra ID, or send a token for this app as Bearer")
        response = self._refuse(request, error, None, sign_in)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _return_path(self, request: func.HttpRequest) -> str:
        """Where the browser returns to: the page that it asked for or was on, and never another site."""
        asked_path, params = _page(request)
        found = find_path(asked_path)
        if not found or ("GET", found[0]) not in self.routes:
            return START
        query = {name: value for name, value in params.items() if name.lower() not in KEY_PARAMETERS}
        path = PREFIX + found[0].format(**{name: quote(value, safe="") for name, value in found[1].items()})
        asked = f"{path}?{urlencode(query, errors='replace')}" if query else path
        return next((each for each in (asked, path) if len(each) <= _MAX_RETURN_CHARS), START)

    def _refuse(
        self, request: func.HttpRequest, error: ApiError, principal: Principal | None, sign_in: str = ""
    ) -> func.HttpResponse:
        # Anybody could fill the log, with texts of their own: no line for whoever has not signed in. Where
        # App Service's authentication is off, /api/health says so.
        if error.code not in _UNKNOWN_CALLER:
            log_error(error, request)
        if _wants_html(request):
            return self.refusal_page(error, principal, sign_in)
        return error_response(error)


def _page(request: func.HttpRequest) -> tuple[str, Mapping[str, str]]:
    """Path behind the door, and query, of the page that is asked for, or that a form was on; empty if not known."""
    if request.method == "GET":
        return request.route_params.get("path") or "", request.params
    referer = request.headers.get("Referer") or ""
    if not _host(referer) or _host(referer) != _host(request.url):
        return "", {}
    _, _, path, query, _ = urlsplit(referer)
    is_behind = path.startswith(f"{PREFIX}/")
    return (unquote(path.removeprefix(PREFIX)), dict(parse_qsl(query))) if is_behind else ("", {})


def _check_role(principal: Principal, method: str) -> None:
    if principal.role is None:
        message = (
            f"this account has neither the role {Role.READER} nor {Role.OPERATOR} of this app: whoever administers it"
            f" gives one with `infra/sign-in.sh assign <account> {Role.READER}`; sign out and in again then"
        )
        raise ApiError(403, "NoRole", message)
    if principal.role is Role.READER and method not in _READS:
        message = (
            f"the role {Role.READER} may only look: whoever administers the app gives another one with"
            f" `infra/sign-in.sh assign <account> {Role.OPERATOR}`; sign out and in again then"
        )
        raise ApiError(403, "ReaderMayNotAct", message)


def _check_origin(request: func.HttpRequest) -> None:
    """Refuse what another site has a signed-in browser send.

    App Service refuses such a POST of a known browser itself, by `Origin` and `Referer`, unless it is of a site that
    its settings allow ("Authentication and authorization in Azure App Service", section "Cross-site request forgery
    mitigation"). This asks the browser's own word first (Fetch Metadata Request Headers, `Sec-Fetch-Site`).
    """
    if request.method in _READS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_own = site == "same-origin"
    elif origin is not None:
        # Not the scheme: behind App Service's front end the app may see http for https.
        is_own = bool(_host(origin)) and _host(origin) == _host(request.url)
    else:
        is_own = not request.headers.get("Cookie")
    if not is_own:
        raise ApiError(403, "CrossSiteRequest", "another site has sent this: act on the app's own page")


def _host(url: str) -> str:
    """Host and port; empty where there are none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _wants_html(request: func.HttpRequest) -> bool:
    return "text/html" in (request.headers.get("Accept") or "").lower()


def _redirect(location: str) -> func.HttpResponse:
    return func.HttpResponse(status_code=302, headers={"Location": location, "Cache-Control": "no-store"})
