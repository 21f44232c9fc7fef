// Backup Autoheal: everything but what a watched subscription needs (that is subscription.bicep).
// Deployed by `azd up`.
targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('Name of the environment: goes into the name of the resource group, and as a hash into all others.')
param environmentName string

// Regions with Flex Consumption. Another one that has it by now (az functionapp list-flexconsumption-locations) is
// added here; azd offers no others.
@minLength(1)
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'eastus2euap'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@description('Region of all resources.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('What the app is to do: settings by name, as docs/settings.md lists them. What is missing keeps its default.')
param settings object = {}

@secure()
@description('NOTIFY_WEBHOOK_URL of docs/settings.md: the webhook, or @Microsoft.KeyVault(SecretUri=...), a reference to it. Empty: nobody is told.')
param notifyWebhookUrl string = ''

@minValue(0)
@maxValue(20)
@description('Instances of the queue trigger that are kept warm. 0: the first sync after a quiet time waits for a cold start.')
param alwaysReadyInstances int = 0

// Flex Consumption's least was 40 for a long time, and some regions refuse less.
@minValue(40)
@maxValue(1000)
@description('The most instances that the app may scale out to. Resource Manager throttles long before many are of use.')
param maximumInstanceCount int = 40

@allowed([
  512
  2048
  4096
])
@description('Memory of an instance. 512 is not offered in every region.')
param instanceMemoryMB int = 2048

@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
@description('Copies of the storage account. What is lost with it, the next alert or sweep finds again.')
param storageSku string = 'Standard_LRS'

@description('Whether events that could not be delivered are kept. Off where Event Grid refuses an identity on the system topic.')
param deadLettersEnabled bool = true

@description('Who may read those events: whoever deploys, as azd fills it. Empty: nobody.')
param principalId string = ''

@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
@description('What that is. A service principal deploys for somebody else, and gets nothing.')
param principalType string = 'User'

@description('Whether outcomes are published to an Event Grid topic that is made for them.')
param outcomeTopicEnabled bool = false

@description('Whether the app runs in a virtual network and reaches its storage by private endpoints only.')
param vnetEnabled bool = false

@description('Address space of that network.')
param vnetAddressPrefix string = '10.81.0.0/24'

@description('Its subnet for the app, /27 or larger: each instance takes an address.')
param appSubnetPrefix string = '10.81.0.0/25'

@description('Its subnet for the private endpoints.')
param endpointSubnetPrefix string = '10.81.0.128/26'

@description('CIDR ranges that may call the app besides Event Grid and Azure Monitor. Empty: everybody who has a key.')
param allowedIpRanges array = []

@description('Client id of the app registration for sign-in, which infra/sign-in.sh makes. Empty: everybody uses keys.')
param signInClientId string = ''

@description('Who gets the mail when an alert fires. Empty: alerts are seen in the portal only.')
param alertEmail string = ''

@minValue(30)
@maxValue(730)
@description('Logs are kept so many days.')
param logRetentionDays int = 30

var alertActionGroupName = 'ag-backup-autoheal'
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
  application: 'backup-autoheal'
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

@description('What the app signs in with: to storage, to Application Insights, to Resource Manager.')
module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-app-${token}'
    location: location
    tags: tags
  }
}

@description('What Event Grid signs in with to leave events that it could not deliver. It can do nothing else.')
module deadLetterIdentity 'modules/identity.bicep' = if (deadLettersEnabled) {
  name: 'dead-letter-identity'
  scope: group
  params: {
    name: 'id-dead-letters-${token}'
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    appPrincipalId: identity.outputs.principalId
    skuName: storageSku
    closed: vnetEnabled
  }
}

module deadLetters 'modules/dead-letters.bicep' = if (deadLettersEnabled) {
  name: 'dead-letters'
  scope: group
  params: {
    name: 'stdl${token}'
    location: location
    tags: tags
    writerPrincipalId: deadLetterIdentity!.outputs.principalId
    readerPrincipalId: principalType == 'ServicePrincipal' ? '' : principalId
    readerPrincipalType: principalType
    skuName: storageSku
    closed: vnetEnabled
  }
}

module network 'modules/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
    addressPrefix: vnetAddressPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    storageAccountId: storage.outputs.id
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${token}'
    componentName: 'appi-${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    appPrincipalId: identity.outputs.principalId
  }
}

module outcomeTopic 'modules/outcome-topic.bicep' = if (outcomeTopicEnabled) {
  name: 'outcome-topic'
  scope: group
  params: {
    name: 'evgt-outcomes-${token}'
    location: location
    tags: tags
    senderPrincipalId: identity.outputs.principalId
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    name: 'func-${token}'
    planName: 'plan-${token}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageAccountName: storage.outputs.name
    deploymentContainerName: storage.outputs.deploymentContainerName
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    settings: settings
    notifyWebhookUrl: notifyWebhookUrl
    outcomeTopicEndpoint: outcomeTopicEnabled ? outcomeTopic!.outputs.endpoint : ''
    alwaysReadyInstances: alwaysReadyInstances
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
    allowedIpRanges: allowedIpRanges
    signInClientId: signInClientId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    email: alertEmail
    appUrl: functionApp.outputs.url
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

output AZURE_LOCATION string = location
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
output AZURE_RESOURCE_GROUP string = group.name
output FUNCTION_APP_NAME string = functionApp.outputs.name
output FUNCTION_APP_ID string = functionApp.outputs.id
output FUNCTION_APP_URL string = functionApp.outputs.url
output APP_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output ALERT_ACTION_GROUP_ID string = '${group.id}/providers/Microsoft.Insights/actionGroups/${alertActionGroupName}'
output DEAD_LETTER_IDENTITY_ID string = deadLettersEnabled ? deadLetterIdentity!.outputs.id : ''
output DEAD_LETTER_STORAGE_ID string = deadLettersEnabled ? deadLetters!.outputs.id : ''
