// What a watched subscription needs: a role for the app, its failures as events, its backup alerts.
// Deployed once for each subscription by infra/connect.sh (connect.ps1), after the app itself: Event Grid asks the
// function whether it is there. For all subscriptions of a management group there is management-group.bicep.
targetScope = 'subscription'

@description('Resource id of the function app (FUNCTION_APP_ID of main.bicep).')
param functionAppId string

@description('Principal id of the identity that the app signs in with (APP_IDENTITY_PRINCIPAL_ID of main.bicep).')
param appPrincipalId string

@description('Resource id of the action group that hands alerts to the app (ALERT_ACTION_GROUP_ID of main.bicep). Empty: alerts do not go to the app, and failed jobs of schedules are found by the sweep only.')
param alertActionGroupId string = ''

@description('Resource id of the storage account that takes undeliverable events (DEAD_LETTER_STORAGE_ID of main.bicep). Empty: they are dropped after a day.')
param deadLetterStorageAccountId string = ''

@description('Resource id of the identity that may write them there (DEAD_LETTER_IDENTITY_ID of main.bicep); empty like the other.')
param deadLetterIdentityId string = ''

@description('The setting RECOVERY of the app (AUTOHEAL_RECOVERY): Watch reads policies and recovery points, Backup makes backups, too.')
@allowed([
  'Off'
  'Watch'
  'Backup'
])
param recovery string = 'Off'

@description('The setting STALE_AFTER of the app (AUTOHEAL_STALE_AFTER): unless it is off, policies and jobs are read in Resource Graph.')
param staleAfter string = 'off'

@description('Whether role assignments, lock deletions and writes that may have mended a failure go to the app as well, so that what waits for them is tried at once.')
param wakeEnabled bool = false

@description('Resource group in this subscription for what this template makes. Its name and all others end with the app\'s, so that two installations can watch one subscription.')
param resourceGroupName string = 'rg-backup-autoheal-watch-${last(split(functionAppId, '/'))}'

@description('Region of that resource group; what is in it is global.')
param location string = deployment().location

@description('A system topic of this subscription that exists already, as a resource id: a subscription can have only one. For dead letters it must have their identity.')
param existingSystemTopicId string = ''

var installation = last(split(functionAppId, '/'))
var roleActions = loadJsonContent('modules/role-actions.json')
var tags = {
  application: 'backup-autoheal'
  'backup-autoheal-app': functionAppId
}

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'backup-autoheal', installation)
  properties: {
    // A role's name must be unique in the tenant, and each subscription has its own.
    roleName: 'Backup Autoheal ${installation} (${subscription().subscriptionId})'
    description: 'Sync failed backup instances of Backup vaults and follow the operation. Nothing else.'
    type: 'CustomRole'
    permissions: [
      {
        // Exactly what the app calls (Azure RBAC, "Microsoft.DataProtection" permissions). Resource Graph needs no
        // action of its own: it answers with what the identity may read.
        actions: union(roleActions.heal, recovery == 'Off' ? [] : roleActions.watch, recovery == 'Backup' ? roleActions.backup : [], toLower(staleAfter) == 'off' ? [] : roleActions.stale)
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
    name: 'backup-autoheal-${installation}'
    systemTopicName: empty(existingSystemTopicId) ? systemTopic!.outputs.name : last(split(existingSystemTopicId, '/'))
    functionAppId: functionAppId
    wakeEnabled: wakeEnabled
    deadLetterStorageAccountId: deadLetterStorageAccountId
    deadLetterIdentityId: deadLetterIdentityId
  }
}

module alerts 'modules/alert-rule.bicep' = if (!empty(alertActionGroupId)) {
  name: 'alert-rule'
  scope: group
  params: {
    name: 'apr-backup-autoheal-${installation}'
    tags: tags
    actionGroupId: alertActionGroupId
  }
}

output roleDefinitionId string = role.id
