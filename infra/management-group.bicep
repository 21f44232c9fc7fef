// All subscriptions of a management group, those of today and those of tomorrow: the app's role once, and an Azure Policy
// that gives each subscription what subscription.bicep would give it. Deployed by infra/connect.sh mg:<id>.
targetScope = 'managementGroup'

@description('Resource id of the function app (FUNCTION_APP_ID of main.bicep).')
param functionAppId string

@description('Principal id of the identity that the app signs in with (APP_IDENTITY_PRINCIPAL_ID of main.bicep).')
param appPrincipalId string

@description('Resource id of the action group that hands alerts to the app (ALERT_ACTION_GROUP_ID of main.bicep).')
param alertActionGroupId string

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

@description('Resource group for what the policy makes, in each subscription.')
param resourceGroupName string = 'rg-backup-autoheal-watch-${last(split(functionAppId, '/'))}'

@description('Region of those resource groups and of the policy\'s identity; what is in the groups is global.')
param location string = deployment().location

@description('Subscriptions that the policy leaves alone: those that have a system topic already, for there can be only one. connect.sh connects them one by one.')
param excludedSubscriptionIds array = []

@description('Whether a remediation task is started for subscriptions that Azure Policy has found lacking. It does not know them in the first half hour after the first deployment: deploy again then.')
param remediate bool = true

@description('Makes each deployment start a task of its own. Leave it.')
param startedAt string = utcNow()

var installation = last(split(functionAppId, '/'))
var roleActions = loadJsonContent('modules/role-actions.json')
var skeleton = loadJsonContent('modules/deployment-template.json')
var tags = {
  application: 'backup-autoheal'
  'backup-autoheal-app': functionAppId
}

// The built-in role Contributor: no smaller one may make a resource group, and Azure Policy knows built-in roles only.
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(managementGroup().id, 'backup-autoheal', installation)
  properties: {
    roleName: 'Backup Autoheal ${installation} (${managementGroup().name})'
    description: 'Sync failed backup instances of Backup vaults and follow the operation. Nothing else.'
    type: 'CustomRole'
    permissions: [
      {
        actions: union(roleActions.heal, recovery == 'Off' ? [] : roleActions.watch, recovery == 'Backup' ? roleActions.backup : [], toLower(staleAfter) == 'off' ? [] : roleActions.stale)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      managementGroup().id
    ]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, appPrincipalId, role.id)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
  }
}

// The alert processing rule is what Azure Policy looks for, so it is made last. Texts that begin with a bracket are
// evaluated in the subscription that is given all this; everything else is known here. No key is among it: Event Grid
// and Azure Monitor find the app by resource ids.
resource definition 'Microsoft.Authorization/policyDefinitions@2025-03-01' = {
  name: 'backup-autoheal-${installation}'
  properties: {
    displayName: 'Backup Autoheal watches the subscription (${installation})'
    description: 'Gives a subscription the system topic, the event subscription and the alert processing rule by which ${installation} hears of failed backups.'
    policyType: 'Custom'
    mode: 'All'
    metadata: {
      category: 'Backup'
    }
    policyRule: {
      if: {
        field: 'type'
        equals: 'Microsoft.Resources/subscriptions'
      }
      then: {
        effect: 'deployIfNotExists'
        details: {
          type: 'Microsoft.AlertsManagement/actionRules'
          name: 'apr-backup-autoheal-${installation}'
          existenceScope: 'resourceGroup'
          resourceGroupName: resourceGroupName
          deploymentScope: 'subscription'
          roleDefinitionIds: [
            '/providers/Microsoft.Authorization/roleDefinitions/${contributor}'
          ]
          deployment: {
            location: location
            properties: {
              mode: 'incremental'
              template: {
                '$schema': skeleton.subscriptionSchema
                contentVersion: '1.0.0.0'
                resources: [
                  {
                    type: 'Microsoft.Resources/resourceGroups'
                    apiVersion: '2025-04-01'
                    name: resourceGroupName
                    location: location
                    tags: tags
                  }
                  {
                    type: 'Microsoft.Resources/deployments'
                    apiVersion: '2025-04-01'
                    name: 'backup-autoheal-${installation}'
                    resourceGroup: resourceGroupName
                    dependsOn: [
                      'Microsoft.Resources/resourceGroups/${resourceGroupName}'
                    ]
                    properties: {
                      mode: 'Incremental'
                      template: {
                        '$schema': skeleton.schema
                        contentVersion: '1.0.0.0'
                        resources: [
                          {
                            type: 'Microsoft.EventGrid/systemTopics'
                            apiVersion: '2025-02-15'
                            name: 'evgst-backup-autoheal'
                            location: 'global'
                            tags: tags
                            identity: empty(deadLetterIdentityId) ? null : {
                              type: 'UserAssigned'
                              userAssignedIdentities: {
                                '${deadLetterIdentityId}': {}
                              }
                            }
                            properties: {
                              source: '[subscription().id]'
                              topicType: 'Microsoft.Resources.Subscriptions'
                            }
                          }
                          {
                            type: 'Microsoft.EventGrid/systemTopics/eventSubscriptions'
                            apiVersion: '2025-02-15'
                            name: 'evgst-backup-autoheal/backup-autoheal-${installation}'
                            dependsOn: [
                              'Microsoft.EventGrid/systemTopics/evgst-backup-autoheal'
                            ]
                            properties: {
                              eventDeliverySchema: 'EventGridSchema'
                              destination: {
                                endpointType: 'AzureFunction'
                                properties: {
                                  resourceId: '${functionAppId}/functions/on_backup_failure'
                                  maxEventsPerBatch: 20
                                  preferredBatchSizeInKilobytes: 64
                                }
                              }
                              filter: wakeEnabled ? loadJsonContent('modules/failure-and-repair-filter.json') : loadJsonContent('modules/failure-filter.json')
                              retryPolicy: {
                                eventTimeToLiveInMinutes: 1440
                                maxDeliveryAttempts: 30
                              }
                              deadLetterWithResourceIdentity: empty(deadLetterIdentityId) ? null : {
                                identity: {
                                  type: 'UserAssigned'
                                  userAssignedIdentity: deadLetterIdentityId
                                }
                                deadLetterDestination: {
                                  endpointType: 'StorageBlob'
                                  properties: {
                                    resourceId: deadLetterStorageAccountId
                                    blobContainerName: 'dead-letters'
                                  }
                                }
                              }
                            }
                          }
                          {
                            type: 'Microsoft.AlertsManagement/actionRules'
                            apiVersion: '2021-08-08'
                            name: 'apr-backup-autoheal-${installation}'
                            location: 'global'
                            tags: tags
                            dependsOn: [
                              'Microsoft.EventGrid/systemTopics/evgst-backup-autoheal/eventSubscriptions/backup-autoheal-${installation}'
                            ]
                            properties: {
                              description: 'Hands the alerts of Backup vaults to Backup Autoheal.'
                              enabled: true
                              scopes: [
                                '[subscription().id]'
                              ]
                              conditions: loadJsonContent('modules/alert-conditions.json')
                              actions: [
                                {
                                  actionType: 'AddActionGroups'
                                  actionGroupIds: [
                                    alertActionGroupId
                                  ]
                                }
                              ]
                            }
                          }
                        ]
                      }
                    }
                  }
                ]
              }
            }
          }
        }
      }
    }
  }
}

resource policy 'Microsoft.Authorization/policyAssignments@2025-03-01' = {
  // At most 24 characters.
  name: take('ah-${installation}', 24)
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    displayName: 'Backup Autoheal watches every subscription (${installation})'
    policyDefinitionId: definition.id
    enforcementMode: 'Default'
    notScopes: [for id in excludedSubscriptionIds: '/subscriptions/${id}']
  }
}

resource connects 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, policy.name, contributor)
  properties: {
    principalId: policy.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: tenantResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

module access 'modules/policy-access.bicep' = {
  name: 'backup-autoheal-policy-access'
  scope: resourceGroup(split(functionAppId, '/')[2], split(functionAppId, '/')[4])
  params: {
    functionAppName: installation
    policyPrincipalId: policy.identity.principalId
    deadLetterIdentityName: empty(deadLetterIdentityId) ? '' : last(split(deadLetterIdentityId, '/'))
  }
}

resource remediation 'Microsoft.PolicyInsights/remediations@2024-10-01' = if (remediate) {
  name: 'backup-autoheal-${uniqueString(installation, startedAt)}'
  properties: {
    policyAssignmentId: policy.id
    resourceDiscoveryMode: 'ExistingNonCompliant'
    resourceCount: 50000
    parallelDeployments: 10
  }
  dependsOn: [
    connects
    access
  ]
}

output policyAssignmentId string = policy.id
