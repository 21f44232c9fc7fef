"""The SDK's poller: `python -m dev.bench.sdk_baseline URL SUBSCRIPTION COUNT THREADS` heals instances.

A thread for each instance under way, which is how `begin_sync_backup_instance(...).result()` is used. Prints
`{"seconds", "cpuMs"}`, the processor time for each instance. What is made once, client, token and connections,
is made before the time begins: the app's are there too when its time begins.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from azure.identity import ManagedIdentityCredential
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.dataprotection.models import SyncBackupInstanceRequest

from dev.bench.workload import GROUP, VAULT, instance_name

_SCOPE = "https://management.azure.com/.default"


def main(url: str, subscription: str, count: int, threads: int) -> None:
    """Heal the instances 0 to `count`; the one numbered `count` is for warming up."""
    credential = ManagedIdentityCredential()
    with (
        DataProtectionMgmtClient(credential, subscription, base_url=url, credential_scopes=[_SCOPE]) as client,
        ThreadPoolExecutor(threads) as pool,
    ):
        list(pool.map(partial(_read, client), [count] * threads))
        began, cpu = time.perf_counter(), time.process_time()
        list(pool.map(partial(_heal, client), range(count)))
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": round(seconds, 3), "cpuMs": round(used / count * 1000, 2)}), flush=True)


def _read(client: DataProtectionMgmtClient, number: int) -> None:
    client.backup_instances.get(GROUP, VAULT, instance_name(number))


def _heal(client: DataProtectionMgmtClient, number: int) -> None:
    request = SyncBackupInstanceRequest(sync_type="Default")
    client.backup_instances.begin_sync_backup_instance(GROUP, VAULT, instance_name(number), request).result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
