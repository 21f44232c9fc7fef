// What Azure Policy's identity needs where the app is, in order to connect a subscription somewhere else.
param functionAppName string
param policyPrincipalId string

@description('Name of the identity that writes dead letters. Empty: there is none.')
param deadLetterIdentityName string

// Built-in roles: Reader, Website Contributor, Managed Identity Operator.
var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
var websiteContributor = 'de139f84-1756-47ae-9be6-808fbbe84772'
var managedIdentityOperator = 'f1a07417-d97a-45cb-824c-7a7467783830'

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource deadLetterIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: empty(deadLetterIdentityName) ? 'none' : deadLetterIdentityName
}

// The action group and the storage account of dead letters are named by rules and event subscriptions.
resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, policyPrincipalId, reader)
  properties: {
    principalId: policyPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)
  }
}

// Event Grid fetches the function's key for whoever makes an event subscription, if that one may read it.
resource delivers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: app
  name: guid(app.id, policyPrincipalId, websiteContributor)
  properties: {
    principalId: policyPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', websiteContributor)
  }
}

resource lends 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deadLetterIdentityName)) {
  scope: deadLetterIdentity
  name: guid(resourceGroup().id, deadLetterIdentityName, policyPrincipalId, managedIdentityOperator)
  properties: {
    principalId: policyPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', managedIdentityOperator)
  }
}
