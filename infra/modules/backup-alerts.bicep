// Azure Backup's own alerts on failed jobs, of all Backup vaults of this subscription, on their way to /api/alerts.
param tags object
param functionAppId string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  scope: resourceGroup(split(functionAppId, '/')[2], split(functionAppId, '/')[4])
  name: last(split(functionAppId, '/'))
}

resource alertsRoute 'Microsoft.Web/sites/functions@2025-03-01' existing = {
  parent: app
  name: 'receive_alert'
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-backup-autoheal'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'bk-autoheal'
    azureFunctionReceivers: [
      {
        name: 'receive_alert'
        functionAppResourceId: functionAppId
        functionName: 'receive_alert'
        // The key of this one function, read while deploying. It opens no other route; deploy again to renew it.
        httpTriggerUrl: 'https://${app.properties.defaultHostName}/api/alerts?code=${alertsRoute.listKeys().default}'
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.AlertsManagement/actionRules@2021-08-08' = {
  name: 'apr-backup-autoheal'
  location: 'global'
  tags: tags
  properties: {
    description: 'Hands the alerts of Backup vaults to Backup Autoheal.'
    enabled: true
    scopes: [
      subscription().id
    ]
    conditions: [
      {
        field: 'MonitorService'
        operator: 'Equals'
        values: [
          'Azure Backup'
        ]
      }
      {
        field: 'TargetResourceType'
        operator: 'Equals'
        values: [
          'microsoft.dataprotection/backupvaults'
        ]
      }
      {
        field: 'MonitorCondition'
        operator: 'Equals'
        values: [
          'Fired'
        ]
      }
    ]
    actions: [
      {
        actionType: 'AddActionGroups'
        actionGroupIds: [
          actionGroup.id
        ]
      }
    ]
  }
}
