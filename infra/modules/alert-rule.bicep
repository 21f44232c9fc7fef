// Azure Backup's own alerts on failed jobs, of all Backup vaults of this subscription, on their way to the app.
param name string
param tags object
param actionGroupId string

resource rule 'Microsoft.AlertsManagement/actionRules@2021-08-08' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    description: 'Hands the alerts of Backup vaults to Backup Autoheal.'
    enabled: true
    scopes: [
      subscription().id
    ]
    conditions: loadJsonContent('alert-conditions.json')
    actions: [
      {
        actionType: 'AddActionGroups'
        actionGroupIds: [
          actionGroupId
        ]
      }
    ]
  }
}
