// The app's storage account: host, package, queue, table.
param name string
param location string
param tags object
param appPrincipalId string
param skuName string

@description('Whether only private endpoints get in.')
param closed bool

var deploymentContainerName = 'deployments'

// What AzureWebJobsStorage needs without keys (Azure Functions, "Connecting to host storage with an identity"), as
// built-in roles: Storage Blob Data Owner, Storage Queue Data Contributor, Storage Table Data Contributor.
var roles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
]

module made 'storage-account.bicep' = {
  name: 'app-storage'
  params: {
    name: name
    location: location
    tags: tags
    skuName: skuName
    containerNames: [
      deploymentContainerName
    ]
    closed: closed
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: name
}

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roles: {
  scope: account
  name: guid(account.id, appPrincipalId, role)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
  dependsOn: [
    made
  ]
}]

output id string = made.outputs.id
output name string = name
output deploymentContainerName string = deploymentContainerName
