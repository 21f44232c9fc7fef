// A storage account with containers, for identities only: no keys, no anonymous readers.
param name string
param location string
param tags object
param skuName string
param containerNames array

@description('Whether only private endpoints and trusted Azure services get in.')
param closed bool

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  // checkov:skip=CKV_AZURE_35:Closed where vnetEnabled; without a network the app comes from addresses that nobody can list
  // checkov:skip=CKV_AZURE_59:Blobs are never public and keys are off; the way in is for the app and for trusted Azure services
  // checkov:skip=CKV_AZURE_206:storageSku is the operator's choice; what is lost is found again by the next alert or sweep
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: closed ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = [for container in containerNames: {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}]

output id string = account.id
