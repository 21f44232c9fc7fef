"""HTTP sessions that read the environment, and the certificates that they trust, once.

`requests` asks the environment for proxies, a CA bundle and a .netrc before every call, looks for the bundle on
the disk at every call, and reads all of it for every connection: 20 ms of processor time for the public ones.
None of that changes while the app runs.
"""

import os
import re
import time
from collections.abc import Mapping
from datetime import timedelta
from ssl import CERT_REQUIRED, SSLContext
from typing import Any

from requests import PreparedRequest, Request, Response, Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, default_user_agent
from urllib3.util import create_urllib3_context

from shared.version import VERSION

_AS_IT_IS = re.compile(
    r"https?://[a-z0-9][a-z0-9.-]*(:[0-9]+)?(?!.*/\.)/[\w/.~%!$&'()*+,;=:@-]*(\?[\w/.~%!$&'()*+,;=:@?-]*)?", re.ASCII
)
"""A URL that is sent as it is: quoted, without a user, a fragment, or a path to be resolved. To take it apart and quote
it again takes `requests` 0.15 ms for an operation's, whose signature has thousands of characters."""


def pooled_session(url: str, connections: int) -> Session:
    """A session for this endpoint that keeps so many connections open; no .netrc is read.

    Raises:
        OSError: the CA bundle that the environment names cannot be read.
    """
    environment = Session().merge_environment_settings(url, {}, None, None, None)
    session = _PlainSession()
    session.headers["User-Agent"] = f"backup-autoheal/{VERSION} {default_user_agent()}"
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=connections))
    if url.startswith("https:"):
        bundle = session.verify if isinstance(session.verify, str) else DEFAULT_CA_BUNDLE_PATH
        session.mount("https://", _SharedContextAdapter(_ssl_context(bundle), connections))
    return session


def _ssl_context(bundle: str) -> SSLContext:
    """A context that verifies certificates by this bundle, a file or a directory."""
    context = create_urllib3_context(cert_reqs=CERT_REQUIRED)
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as cause:
        raise OSError(f"the CA bundle {bundle} cannot be read ({cause}): see REQUESTS_CA_BUNDLE") from cause
    return context


class _PlainSession(Session):
    """A session that keeps no cookies, follows no redirection, and has one setting of everything for all its calls.

    To merge its own settings with those of a call, and to look for cookies and redirections where there are none,
    takes `requests` a third of a call's processor time. A call that asks for what is not done raises a TypeError: an
    update of an SDK that comes to rely on it fails at its first call.
    """

    def prepare_request(self, request: Request) -> PreparedRequest:
        """The request, with those of this session's headers that it has not itself; None leaves one out."""
        _refuse(cookies=request.cookies, hooks=any(request.hooks.values()))
        prepared = PreparedRequest()
        prepared.prepare_method(request.method)
        if _AS_IT_IS.fullmatch(request.url) and not request.params:
            prepared.url = request.url
        else:
            prepared.prepare_url(request.url, request.params or "")
        prepared.prepare_headers(_merged(self.headers, request.headers))
        prepared.prepare_body(request.data, request.files, request.json)
        prepared.prepare_auth(request.auth, str(prepared.url))
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Only whether the body is to be read later: proxies and certificates are the session's own."""
        _refuse(proxies=proxies, verify=verify not in (None, True), cert=cert)
        return {"stream": stream}

    def send(
        self,
        request: PreparedRequest,
        *,
        stream: bool | None = None,
        timeout: Any = None,
        allow_redirects: bool = False,
        **others: Any,
    ) -> Response:
        """The answer, whatever it is: also a redirection; its body is read, unless it is asked for as a stream."""
        _refuse(**others)
        adapter, began = self.get_adapter(str(request.url)), time.monotonic()
        answer = adapter.send(request, bool(stream), timeout, self.verify or True, None, self.proxies)
        answer.elapsed = timedelta(seconds=time.monotonic() - began)
        for hook in self.hooks["response"]:
            hook(answer)
        if not stream:
            _ = answer.content
        return answer


def _refuse(**settings: object) -> None:
    if refused := [name for name, value in settings.items() if value]:
        raise TypeError(f"no call of this session sets its own {', '.join(refused)}")


def _merged(of_session: Mapping[str, Any], of_call: Mapping[str, Any]) -> dict[str, Any]:
    """The headers of both, those of the call last, which win in any casing."""
    merged = {**of_session, **of_call}
    left_out = {name.lower() for name, value in of_call.items() if value is None}
    return {name: value for name, value in merged.items() if name.lower() not in left_out} if left_out else merged


class _SharedContextAdapter(HTTPAdapter):
    """All connections verify certificates by one context, made once."""

    def __init__(self, context: SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.lower().startswith("https:"):
            options["proxy_ssl_context"] = self._context  # for the connection to the proxy itself
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: object, cert: Any = None) -> Any:
        """As for a session that verifies and names no bundle: the context has it, and nothing turns it off."""
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: Any) -> None:
        """Left to the context; here `requests` would name the bundle again, to be read for each connection."""
