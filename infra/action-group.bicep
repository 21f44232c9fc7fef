// The way of Azure Backup's alerts into the app, for the rules of all watched subscriptions: they name this action group
// by its id. Deployed to the app's resource group once the code is there, because it reads the key of receive_alert:
//   az deployment group create --resource-group <group> --template-file infra/action-group.bicep ...
@description('Name of the function app, in this resource group.')
param functionAppName string

@description('Name of the action group; main.bicep says it as ALERT_ACTION_GROUP_ID.')
param name string = 'ag-backup-autoheal'

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource alertsRoute 'Microsoft.Web/sites/functions@2025-03-01' existing = {
  parent: app
  name: 'receive_alert'
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  tags: {
    application: 'backup-autoheal'
  }
  properties: {
    enabled: true
    groupShortName: 'bk-autoheal'
    azureFunctionReceivers: [
      {
        name: 'receive_alert'
        functionAppResourceId: app.id
        functionName: 'receive_alert'
        // The key of this one function, read by Resource Manager while deploying: it is in no parameter, output or
        // script, and opens no other route. Deploy again when it was renewed.
        httpTriggerUrl: 'https://${app.properties.defaultHostName}/api/alerts?code=${alertsRoute.listKeys().default}'
        useCommonAlertSchema: true
      }
    ]
  }
}
