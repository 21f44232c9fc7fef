// Plan and app (Flex Consumption, Python 3.13). Runtime and scale are in functionAppConfig: Flex Consumption refuses
// the settings that say so elsewhere (FUNCTIONS_WORKER_RUNTIME, FUNCTIONS_EXTENSION_VERSION, WEBSITE_RUN_FROM_PACKAGE...).
param name string
param planName string
param location string
param tags object
param identityId string
param identityClientId string
param storageAccountName string
param deploymentContainerName string
param applicationInsightsConnectionString string
param settings object
@secure()
param notifyWebhookUrl string
param outcomeTopicEndpoint string
param alwaysReadyInstances int
param maximumInstanceCount int
param instanceMemoryMB int
param subnetId string
param allowedIpRanges array
param signInClientId string

// The function that makes the sync calls; the name is the one in function_app.py.
var queueTrigger = 'function:submit_sync'

var azureCallers = [
  {
    name: 'event-grid'
    priority: 100
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
  }
  {
    name: 'azure-monitor'
    priority: 110
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'ActionGroup'
  }
]
// In place of a secret's name, says that the app's identity speaks for the app registration ("Use a managed identity
// instead of a secret").
var identitySettingName = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
var ownCallers = [for (cidr, index) in allowedIpRanges: {
  name: 'own-${index}'
  priority: 200 + index
  action: 'Allow'
  ipAddress: cidr
}]

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageAccountName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  // checkov:skip=CKV_AZURE_225:Zones are a choice of the region and cost always-ready instances; what is lost is found again
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  // checkov:skip=CKV_AZURE_222:Event Grid and Azure Monitor deliver from outside; a key is needed, and allowedIpRanges closes the rest
  // checkov:skip=CKV_AZURE_78:Flex Consumption refuses ftpsState in some regions; the publishing policy below closes FTP
  // checkov:skip=CKV_AZURE_17:Event Grid and Azure Monitor present no client certificate
  // checkov:skip=CKV_AZURE_212:Flex Consumption scales by itself; it has no fixed number of instances
  // checkov:skip=CKV_AZURE_213:Flex Consumption has no health check of its own; alerts watch the poller instead
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictions: empty(allowedIpRanges) ? [] : concat(azureCallers, ownCallers)
      ipSecurityRestrictionsDefaultAction: empty(allowedIpRanges) ? 'Allow' : 'Deny'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}${deploymentContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        alwaysReady: alwaysReadyInstances == 0 ? [] : [
          {
            name: queueTrigger
            instanceCount: alwaysReadyInstances
          }
        ]
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
      }
    }
  }
}

// Service URIs rather than an account name, so that it is right in every cloud.
resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  // checkov:skip=CKV_AZURE_13:These are app settings; callers are known by function keys
  // checkov:skip=CKV_AZURE_63:These are app settings; the check means the resource web
  // checkov:skip=CKV_AZURE_65:These are app settings; the check means the resource web
  // checkov:skip=CKV_AZURE_66:These are app settings; the check means the resource web
  // checkov:skip=CKV_AZURE_80:These are app settings; the check means the resource web
  // checkov:skip=CKV_AZURE_88:These are app settings; the check means the resource web
  // checkov:skip=CKV_AZURE_222:These are app settings; the check means the resource web
  parent: app
  name: 'appsettings'
  properties: union(settings, {
    AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: account.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    // As many as the queue trigger takes messages at once (host.json, batchSize and newBatchThreshold): each mostly waits
    // for Azure. The worker's own default is five on an instance with one core.
    PYTHON_THREADPOOL_THREAD_COUNT: '24'
    AZURE_CLIENT_ID: identityClientId
    ARM_ENDPOINT: environment().resourceManager
    OUTCOME_TOPIC_ENDPOINT: outcomeTopicEndpoint
    NOTIFY_WEBHOOK_URL: notifyWebhookUrl
    SIGN_IN: empty(signInClientId) ? 'Off' : 'Entra'
  }, empty(signInClientId) ? {} : {
    OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identityClientId
    WEBSITE_AUTH_AAD_ALLOWED_TENANTS: tenant().tenantId
  })
}

// Who comes without a session or token is let through to the app: it lets them in by their key or not at all. Else
// Event Grid and Azure Monitor, which bring a key and no token, could no longer deliver. Without a registration it is off,
// and this is deployed all the same: a deployment takes away nothing that an earlier one has turned on.
resource signIn 'Microsoft.Web/sites/config@2025-03-01' = {
  // checkov:skip=CKV_AZURE_13:It is what the check asks for, but checkov looks for the resource web
  // checkov:skip=CKV_AZURE_63:This is the sign-in; the check means the resource web
  // checkov:skip=CKV_AZURE_65:This is the sign-in; the check means the resource web
  // checkov:skip=CKV_AZURE_66:This is the sign-in; the check means the resource web
  // checkov:skip=CKV_AZURE_80:This is the sign-in; the check means the resource web
  // checkov:skip=CKV_AZURE_88:This is the sign-in; the check means the resource web
  // checkov:skip=CKV_AZURE_222:This is the sign-in; the check means the resource web
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: !empty(signInClientId)
    }
    globalValidation: {
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: empty(signInClientId) ? {} : {
      azureActiveDirectory: {
        enabled: true
        registration: {
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          clientId: signInClientId
          clientSecretSettingName: identitySettingName
        }
        validation: {
          allowedAudiences: [
            signInClientId
            'api://${signInClientId}'
          ]
        }
      }
    }
    login: {
      // The app calls nothing in the name of those who sign in.
      tokenStore: {
        enabled: false
      }
    }
  }
  dependsOn: [
    appSettings
  ]
}

// Neither FTP nor the SCM site takes a password: deployments sign in with Microsoft Entra ID.
resource noFtpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

output id string = app.id
output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
