"""The operator's next step about a remediation that is not well: words, and a command where one repairs it. Pure.

Derived when it is shown, so that a better catalogue also explains what ended long ago. Names of Azure's resources are
foreign text: every value in a command is quoted for a POSIX shell.
"""

from shlex import quote
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.domain.error_codes import Assignee, CodeEntry, ErrorClass, ErrorCodes, Remedy, Scope
from shared.domain.remediation import Remediation, Status

_THEN_SYNC = "Then ask for a sync (POST /api/sync, or the page)."
_THEN_WAIT = "The next attempt is made by itself."
_BY_STATUS = {
    Status.UNHEALTHY: f"Follow what the error says, at the datasource or the vault. {_THEN_SYNC}",
    Status.FAILED: f"Follow what the error says, at the datasource or the vault. {_THEN_SYNC}",
    Status.REJECTED: "See whether the instance still exists, and whether the app's identity may sync it; the error says"
    " why Azure refused.",
    Status.TIMED_OUT: "Look at the vault's jobs: the operation may still run. If it does not, ask for a sync.",
    Status.NOT_RECOVERED: "Look at the vault's backup jobs: no recovery point newer than the failure came in time. Then"
    " make a backup on demand.",
    Status.CANCELLED: "Ask for a sync when it is time: an operator ended this remediation.",
}
"""Where nothing is known of the error's code."""
_NOT_SHOWN = (
    "See whether the instance still exists, and whether the app's identity may read its policy and its recovery"
)
" points; the error says why Azure did not show them."
_INTENDED = "Resume the instance's protection if it should be protected; if not, put it into EXCLUDE."
_PRINCIPAL = "--query identity.principalId --output tsv"


class NextStep(Struct, frozen=True, kw_only=True, rename="camel"):
    """The operator's next step about a remediation that is not well."""

    text: Annotated[str, Meta(min_length=1, max_length=700)]
    command: Annotated[
        str | None,
        Meta(description="For a POSIX shell with Azure's CLI; what is not known stands in it in angle brackets."),
    ] = None
    link: Annotated[str, Meta(pattern="^https://", description="An article about the error.")] | None = None


def next_step_of(remediation: Remediation, error_codes: ErrorCodes) -> NextStep | None:
    """The next step of an ended remediation that is not well, and of one that waits for a person; else None."""
    status, entry = remediation.status, error_codes.entry_of(remediation.error)
    if status is Status.WAITING_TO_RETRY:
        is_persons = entry is not None and entry.error_class is ErrorClass.PERSON
        return _from_entry(remediation, entry, _THEN_WAIT) if entry and is_persons else None
    if status not in _BY_STATUS:
        return None
    if status is Status.NOT_RECOVERED:
        return _after_recovery(remediation, entry)
    if status is not Status.CANCELLED and entry:
        return _from_entry(remediation, entry, "" if entry.error_class is ErrorClass.JOB else _THEN_SYNC)
    is_intended = status is Status.UNHEALTHY and remediation.error is None
    return NextStep(text=_INTENDED if is_intended else _BY_STATUS[status])


def _after_recovery(remediation: Remediation, entry: CodeEntry | None) -> NextStep:
    """Where no recovery point came; the error is that of the backup on demand, or of what could not be read."""
    backup = remediation.recovery.backup if remediation.recovery else None
    is_of_backup = remediation.error is None or (backup is not None and backup.error == remediation.error)
    if entry:
        step = _from_entry(remediation, entry, "Then make a backup on demand.")
        return replace(step, command=step.command or _backup_command(remediation))
    if not is_of_backup:
        return NextStep(text=_NOT_SHOWN)
    return NextStep(text=_BY_STATUS[Status.NOT_RECOVERED], command=_backup_command(remediation))


def _backup_command(remediation: Remediation) -> str | None:
    """`az dataprotection backup-instance adhoc-backup`; None where the policy's rule is not known."""
    instance, recovery = remediation.instance, remediation.recovery
    if recovery is None or recovery.rule is None:
        return None
    tag = f" --retention-tag-override {quote(recovery.retention_tag)}" if recovery.retention_tag else ""
    return (
        f"az dataprotection backup-instance adhoc-backup --subscription {quote(instance.subscription_id)}"
        f" --resource-group {quote(instance.resource_group)} --vault-name {quote(instance.vault)}"
        f" --backup-instance-name {quote(instance.name)} --rule-name {quote(recovery.rule)}{tag}"
    )


def next_step_of_code(code: str, error_codes: ErrorCodes) -> NextStep | None:
    """The next step about instances that fail with this code and wait; None for an unknown one."""
    found = error_codes.find(code)
    if found is None:
        return None
    return NextStep(text=f"{found[1].what_to_do} {_THEN_WAIT}", link=found[1].link)


def _from_entry(remediation: Remediation, entry: CodeEntry, then: str) -> NextStep:
    text = f"{entry.what_to_do} {then}".strip()
    return NextStep(text=text, command=_command(remediation, entry), link=entry.link)


def _command(remediation: Remediation, entry: CodeEntry) -> str | None:
    match entry.remedy:
        case Remedy.ROLE if entry.role and entry.scope:
            return (
                f'az role assignment create --assignee-object-id "$({_principal(remediation, entry.assignee)})"'
                f" --assignee-principal-type ServicePrincipal --role {quote(entry.role)}"
                f" --scope {quote(_scope(remediation, entry.scope))}"
            )
        case Remedy.LOCK if entry.scope is Scope.SNAPSHOT_RESOURCE_GROUP:
            subscription, group = _group(remediation.snapshot_group_id) or ("<subscription>", "<resource group>")
            return f"az lock list --subscription {quote(subscription)} --resource-group {quote(group)} --output table"
        case Remedy.LOCK if entry.scope:
            return f"az lock list --resource {quote(_scope(remediation, entry.scope))} --output table"
        case Remedy.REGISTRATION if entry.provider:
            known = _group(remediation.datasource_id)
            subscription = known[0] if known else remediation.instance.subscription_id
            return f"az provider register --namespace {quote(entry.provider)} --subscription {quote(subscription)}"
        case _:
            return None


def _principal(remediation: Remediation, assignee: Assignee) -> str:
    """The command that shows the object id of whose role is missing."""
    if assignee is Assignee.VAULT:
        vault = remediation.instance
        return (
            f"az dataprotection backup-vault show --subscription {quote(vault.subscription_id)}"
            f" --resource-group {quote(vault.resource_group)} --vault-name {quote(vault.vault)} {_PRINCIPAL}"
        )
    subscription, group = _group(remediation.datasource_id) or ("<subscription>", "<resource group>")
    cluster = _name(remediation.datasource_id) or "<cluster>"
    return (
        f"az k8s-extension show --name azure-aks-backup --cluster-type managedClusters --cluster-name {quote(cluster)}"
        f" --resource-group {quote(group)} --subscription {quote(subscription)}"
        " --query aksAssignedIdentity.principalId --output tsv"
    )


def _scope(remediation: Remediation, scope: Scope) -> str:
    """The id of the resource, or what it is in angle brackets."""
    datasource = remediation.datasource_id
    known = {
        Scope.DATASOURCE: datasource,
        # The datasource of a database backup is a database of its server.
        Scope.DATABASE_SERVER: "/".join(datasource.split("/")[:9]) if datasource else None,
        Scope.SNAPSHOT_RESOURCE_GROUP: remediation.snapshot_group_id,
    }
    return known.get(scope) or _UNKNOWN[scope]


_UNKNOWN = {
    Scope.DATASOURCE: "<id of the datasource>",
    Scope.DATABASE_SERVER: "<id of the database server>",
    Scope.SNAPSHOT_RESOURCE_GROUP: "<id of the resource group for snapshots>",
    Scope.DISK_ENCRYPTION_SET: "<id of the disk encryption set>",
    Scope.KEY_VAULT: "<id of the key vault>",
    Scope.STAGING_STORAGE_ACCOUNT: "<id of the storage account>",
}


def _group(resource_id: str | None) -> tuple[str, str] | None:
    """Subscription and resource group of an ARM id."""
    segments = (resource_id or "").split("/")
    is_id = len(segments) >= 5 and [segments[1].lower(), segments[3].lower()] == ["subscriptions", "resourcegroups"]
    return (segments[2], segments[4]) if is_id else None


def _name(resource_id: str | None) -> str | None:
    """The name of a resource in its ARM id."""
    segments = (resource_id or "").split("/")
    return segments[8] if len(segments) > 8 else None
