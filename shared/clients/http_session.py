"""HTTP sessions that read the environment, and the certificates that they trust, once.

`requests` asks the environment for proxies, a CA bundle and a .netrc before every call, looks for the bundle on
the disk at every call, and reads all of it for every connection: 20 ms of processor time for the public ones.
None of that changes while the app runs.
"""

import os
from ssl import CERT_REQUIRED, SSLContext
from typing import Any

from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import create_urllib3_context


def pooled_session(url: str, connections: int) -> Session:
    """A session for this endpoint that keeps so many connections open; no .netrc is read.

    Raises:
        OSError: the CA bundle that the environment names cannot be read.
    """
    session = Session()
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=connections))
    if url.startswith("https:"):
        bundle = session.verify if isinstance(session.verify, str) else DEFAULT_CA_BUNDLE_PATH
        session.mount("https://", _Verified(_trust(bundle), connections))
    return session


def _trust(bundle: str) -> SSLContext:
    context = create_urllib3_context(cert_reqs=CERT_REQUIRED)
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as cause:
        raise OSError(f"the CA bundle {bundle} cannot be read ({cause}): see REQUESTS_CA_BUNDLE") from cause
    return context


class _Verified(HTTPAdapter):
    """Connections whose certificates are verified by one context, made for all of them."""

    def __init__(self, trust: SSLContext, connections: int) -> None:
        self._trust = trust
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options, ssl_context=self._trust)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.lower().startswith("https:"):
            options["proxy_ssl_context"] = self._trust  # for the connection to the proxy itself
        return super().proxy_manager_for(proxy, **options, ssl_context=self._trust)

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: object, cert: Any = None) -> Any:
        """As for a session that verifies and names no bundle: the context has it, and nothing turns it off."""
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: Any) -> None:
        """Left to the context; here `requests` would name the bundle again, to be read for each connection."""
