// What a watched subscription needs: a role for the app, its failures as events, its backup alerts.
// Deployed once for each subscription, after the app itself (Event Grid asks the function whether it is there):
//   az deployment sub create --subscription <id> --location <region> --template-file infra/subscription.bicep ...
targetScope = 'subscription'

@description('Resource id of the function app (FUNCTION_APP_ID of main.bicep).')
param functionAppId string

@description('Principal id of the identity that the app signs in with (APP_IDENTITY_PRINCIPAL_ID of main.bicep).')
param appPrincipalId string

@description('Resource id of the storage account that takes undeliverable events (STORAGE_ACCOUNT_ID of main.bicep).')
param storageAccountId string

@description('Resource id of the identity that may write them there (DEAD_LETTER_IDENTITY_ID of main.bicep).')
param deadLetterIdentityId string

@description('Resource group in this subscription for what this template makes.')
param resourceGroupName string = 'rg-backup-autoheal-watch'

@description('Region of that resource group; what is in it is global.')
param location string = deployment().location

@description('A system topic of this subscription that exists already, as a resource id: a subscription can have only one. It must have the dead-letter identity.')
param existingSystemTopicId string = ''

@description('Whether Azure Backup\'s alerts on failed jobs go to the app. Scheduled jobs are seen in no other way.')
param alertsEnabled bool = true

var tags = {
  application: 'backup-autoheal'
}

// Exactly what the app calls (Azure RBAC, "Microsoft.DataProtection" permissions). Resource Graph needs no action:
// it answers with what the identity may read.
var actions = [
  'Microsoft.DataProtection/backupVaults/backupInstances/sync/action'
  'Microsoft.DataProtection/backupVaults/backupInstances/read'
  'Microsoft.DataProtection/backupVaults/backupInstances/operationResults/read'
  'Microsoft.DataProtection/backupVaults/operationResults/read'
  'Microsoft.DataProtection/backupVaults/operationStatus/read'
  'Microsoft.DataProtection/locations/operationResults/read'
  'Microsoft.DataProtection/locations/operationStatus/read'
  'Microsoft.DataProtection/subscriptions/resourceGroups/providers/locations/operationStatus/read'
]

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'backup-autoheal')
  properties: {
    // A role's name must be unique in the tenant, and each subscription has its own.
    roleName: 'Backup Autoheal (${subscription().subscriptionId})'
    description: 'Sync failed backup instances of Backup vaults and follow the operation. Nothing else.'
    type: 'CustomRole'
    permissions: [
      {
        actions: actions
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      subscription().id
    ]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, appPrincipalId, role.id)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
  }
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: resourceGroupName
  location: location
  tags: tags
}

module systemTopic 'modules/system-topic.bicep' = if (empty(existingSystemTopicId)) {
  name: 'system-topic'
  scope: group
  params: {
    name: 'evgst-backup-autoheal'
    tags: tags
    identityId: deadLetterIdentityId
  }
}

module events 'modules/event-subscription.bicep' = {
  name: 'event-subscription'
  scope: resourceGroup(empty(existingSystemTopicId) ? resourceGroupName : split(existingSystemTopicId, '/')[4])
  params: {
    systemTopicName: empty(existingSystemTopicId) ? systemTopic!.outputs.name : last(split(existingSystemTopicId, '/'))
    functionAppId: functionAppId
    storageAccountId: storageAccountId
    deadLetterIdentityId: deadLetterIdentityId
  }
}

module backupAlerts 'modules/backup-alerts.bicep' = if (alertsEnabled) {
  name: 'backup-alerts'
  scope: group
  params: {
    tags: tags
    functionAppId: functionAppId
  }
}

output roleDefinitionId string = role.id
