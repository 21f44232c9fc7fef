// A storage account for the events that could not be delivered, apart from the app's: whoever may write here, Event
// Grid above all, can touch neither the code nor the state of the app.
param name string
param location string
param tags object
param writerPrincipalId string
param skuName string
param closed bool

@description('Who may read the events, besides those whom the operator names later. Empty: nobody.')
param readerPrincipalId string
param readerPrincipalType string

// Built-in roles: Storage Blob Data Contributor, Storage Blob Data Reader.
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var blobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

module made 'storage-account.bicep' = {
  name: 'dead-letter-storage'
  params: {
    name: name
    location: location
    tags: tags
    skuName: skuName
    containerNames: [
      'dead-letters'
    ]
    closed: closed
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: name
}

// On the account, not on the container: Event Grid looks for the role there when an event subscription is made.
resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, writerPrincipalId, blobDataContributor)
  properties: {
    principalId: writerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
  }
  dependsOn: [
    made
  ]
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readerPrincipalId)) {
  scope: account
  name: guid(account.id, readerPrincipalId, blobDataReader)
  properties: {
    principalId: readerPrincipalId
    principalType: readerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataReader)
  }
  dependsOn: [
    made
  ]
}

output id string = made.outputs.id
