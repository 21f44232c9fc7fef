"""The simulated Azure as a process of its own, and what a test asks of it."""

from typing import Any

import requests

API_VERSION = "2024-04-01"
SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testRG/providers/Microsoft.DataProtection/backupVaults/testVault"
INSTANCE = f"{VAULT}/backupInstances/testBI"
ARM_AUDIENCE = "https://management.azure.com"
TOPIC_AUDIENCE = "https://eventgrid.azure.net"

AT_ONCE = {"operationSeconds": 0}
ENDLESS = {"operationSeconds": 3600}
EVENT = {"specversion": "1.0", "id": "1", "source": "/app", "type": "T", "data": {"a": 1}}

Json = dict[str, Any]


class Simulator:
    """A running simulator: its control plane, and plain calls with a good token."""

    def __init__(self, ready: Json) -> None:
        self.ready = ready
        self.url: str = ready["url"]
        self.session = requests.Session()
        self.session.verify = ready["ca"]
        self.session.trust_env = False

    def put(self, instance_id: str = INSTANCE, **properties: object) -> None:
        """Create or replace an instance; `behaviour` and the rest as the control plane takes them."""
        self.control("PUT", "instances", {"id": instance_id, **properties})

    def set(self, **settings: object) -> None:
        self.control("PUT", "settings", settings)

    def journal(self, *kinds: str) -> list[Json]:
        """The requests received so far, of these kinds or of all."""
        entries: list[Json] = self.control("GET", "requests").json()["requests"]
        return [entry for entry in entries if not kinds or entry["kind"] in kinds]

    def events(self, topic: str = "outcomes") -> list[Json]:
        events: list[Json] = self.control("GET", f"events?topic={topic}").json()["events"]
        return events

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        answer = self.session.request(method, f"{self.url}/_simulator/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer

    def token(self, audience: str = ARM_AUDIENCE) -> str:
        answer = self.session.get(
            self.ready["identityEndpoint"],
            params={"api-version": "2019-08-01", "resource": audience},
            headers={"X-IDENTITY-HEADER": self.ready["identityHeader"]},
            timeout=10,
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def arm(self, method: str, path_or_url: str, **options: Any) -> requests.Response:
        """One ARM call with a good token and api-version, unless `headers` or `params` say otherwise."""
        if not path_or_url.startswith("https:"):
            path_or_url = self.url + path_or_url
            options.setdefault("params", {"api-version": API_VERSION})
        if "headers" not in options:
            options["headers"] = {"Authorization": f"Bearer {self.token()}"}
        options.setdefault("timeout", 10)
        return self.session.request(method, path_or_url, **options)

    def sync(self, instance_id: str = INSTANCE, **options: Any) -> requests.Response:
        options.setdefault("json", {"syncType": "Default"})
        return self.arm("POST", f"{instance_id}/sync", **options)

    def read(self, instance_id: str = INSTANCE, **options: Any) -> requests.Response:
        return self.arm("GET", instance_id, **options)


def code_of(answer: requests.Response) -> str:
    """The code of a CloudError."""
    code: str = answer.json()["error"]["code"]
    return code


def properties_of(simulator: Simulator, instance_id: str = INSTANCE) -> Json:
    properties: Json = simulator.read(instance_id).json()["properties"]
    return properties


def publish(
    simulator: Simulator,
    events: object,
    audience: str = TOPIC_AUDIENCE,
    content_type: str = "application/cloudevents-batch+json",
) -> requests.Response:
    return simulator.session.post(
        simulator.ready["topicEndpoint"],
        params={"api-version": "2018-01-01"},
        json=events,
        headers={"Authorization": f"Bearer {simulator.token(audience)}", "Content-Type": content_type},
        timeout=10,
    )
