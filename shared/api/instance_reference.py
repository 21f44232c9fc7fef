"""How a request's body names a backup instance: by its ARM id, or by the four parts of it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from shared.domain.resource_ids import BackupInstanceId


class InstanceReference(BaseModel):
    """The fields of a body that name an instance."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")

    backup_instance_id: str | None = None
    subscription_id: str | None = None
    resource_group_name: str | None = None
    vault_name: str | None = None
    backup_instance_name: str | None = None

    @model_validator(mode="after")
    def _names_an_instance(self) -> Self:
        self.instance()
        return self

    def instance(self) -> BackupInstanceId:
        """The instance that the body names.

        Raises:
            ValueError: it names none, or none that could exist.
        """
        if self.backup_instance_id is not None:
            return BackupInstanceId.parse(self.backup_instance_id)
        parts = (self.subscription_id, self.resource_group_name, self.vault_name, self.backup_instance_name)
        if any(part is None for part in parts):
            raise ValueError(
                "give backupInstanceId, or subscriptionId, resourceGroupName, vaultName and backupInstanceName"
            )
        return BackupInstanceId(*(part or "" for part in parts))
