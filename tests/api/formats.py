"""Values that schemathesis generates for the formats named in openapi.json."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import schemathesis
from hypothesis import strategies as st

_groups = st.from_regex(r"[A-Za-z0-9_.()-]{0,40}[A-Za-z0-9_()-]", fullmatch=True)
_vaults = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{1,49}", fullmatch=True)
_names = st.from_regex(r"[A-Za-z0-9_-]([A-Za-z0-9_. ();-]{0,40}[A-Za-z0-9_()-])?", fullmatch=True)


@st.composite
def _backup_instance_ids(draw: st.DrawFn) -> str:
    vault = f"/providers/Microsoft.DataProtection/backupVaults/{draw(_vaults)}"
    arm_id = f"/subscriptions/{draw(st.uuids())}/resourceGroups/{draw(_groups)}{vault}/backupInstances/{draw(_names)}"
    in_some_casing = draw(st.sampled_from([arm_id, arm_id.lower(), arm_id.upper()]))
    return in_some_casing + draw(st.sampled_from(["", "/", "/sync"]))


# Until when somebody acknowledges or pauses has to lie ahead, and not far: no schema can say so.
schemathesis.openapi.format(
    "date-time",
    st.integers(1, 80 * 24 * 60).map(lambda minutes: (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()),
)
schemathesis.openapi.format("arm-id", _backup_instance_ids())
schemathesis.openapi.format(
    "continuation",
    st.from_regex(r"fe[0-9a-f]{10}-[0-9a-f]{16}", fullmatch=True).map(
        lambda place: urlsafe_b64encode(place.encode()).decode().rstrip("=")
    ),
)
