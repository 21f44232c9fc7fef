"""App Service's authentication, as a request meets it: it takes callers' headers away and sets its own."""

import base64
import json
from collections.abc import Mapping, Sequence

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def principal_header(
    name: str = "ada@example.com",
    roles: Sequence[str] = ("Operator",),
    tenant: str = TENANT,
    provider: str = "aad",
    role_claim: str = "roles",
) -> str:
    """`X-MS-CLIENT-PRINCIPAL` of somebody who has signed in."""
    claims = [("preferred_username", name), ("tid", tenant), *((role_claim, role) for role in roles)]
    return encoded(
        {
            "auth_typ": provider,
            "claims": [{"typ": kind, "val": value} for kind, value in claims],
            "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            "role_typ": _ROLE_TYPE,
        }
    )


def encoded(document: object) -> str:
    """A document as the header has it."""
    return base64.b64encode(json.dumps(document).encode()).decode()


def signed_in_headers(name: str = "ada@example.com", roles: Sequence[str] = ("Operator",)) -> Mapping[str, str]:
    """All the headers that App Service sets for a browser's session, and what the browser sends with a form."""
    return {
        "X-MS-CLIENT-PRINCIPAL": principal_header(name, roles),
        "X-MS-CLIENT-PRINCIPAL-NAME": name,
        "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
        "Cookie": "AppServiceAuthSession=secret",
        "Sec-Fetch-Site": "same-origin",
    }
