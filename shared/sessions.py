"""HTTP sessions that read the environment once.

`requests` asks the environment for proxies, a CA bundle and a .netrc before every call, which costs more than a
twentieth of the call. What it says does not change while the app runs.
"""

from requests import Session
from requests.adapters import HTTPAdapter


def pooled_session(url: str, connections: int) -> Session:
    """A session for this endpoint that keeps so many connections open; no .netrc is read."""
    session = Session()
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False
    adapter = HTTPAdapter(pool_maxsize=connections)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session
