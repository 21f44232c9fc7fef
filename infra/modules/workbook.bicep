// The page in the portal (Monitor > Workbooks): its queries are those of docs/kql.
param location string
param tags object
param workspaceId string

var charts = [
  {
    name: 'remediations-over-time'
    title: 'Remediations over time'
    query: loadTextContent('../../docs/kql/remediations-over-time.kql')
    visualization: 'barchart'
  }
  {
    name: 'outcomes-by-vault'
    title: 'Outcomes by subscription and vault'
    query: loadTextContent('../../docs/kql/outcomes-by-vault.kql')
    visualization: 'table'
  }
  {
    name: 'time-to-heal'
    title: 'Time to heal, minutes'
    query: loadTextContent('../../docs/kql/time-to-heal.kql')
    visualization: 'linechart'
  }
  {
    name: 'time-to-recover'
    title: 'Time to recover and longest time without a recovery point, hours'
    query: loadTextContent('../../docs/kql/time-to-recover.kql')
    visualization: 'linechart'
  }
  {
    name: 'stale-instances'
    title: 'Instances that are well, but whose backups are not'
    query: loadTextContent('../../docs/kql/stale-instances.kql')
    visualization: 'table'
  }
  {
    name: 'incidents'
    title: 'Incidents: instances that failed with one code in one scope'
    query: loadTextContent('../../docs/kql/incidents.kql')
    visualization: 'table'
  }
  {
    name: 'arm-throttling'
    title: 'Throttled, paced and not answered'
    query: loadTextContent('../../docs/kql/arm-throttling.kql')
    visualization: 'timechart'
  }
  {
    name: 'failures-by-code'
    title: 'Failures with their codes'
    query: loadTextContent('../../docs/kql/failures-by-code.kql')
    visualization: 'table'
  }
  {
    name: 'ended-not-healed'
    title: 'Remediations that ended other than Healed'
    query: loadTextContent('../../docs/kql/ended-not-healed.kql')
    visualization: 'table'
  }
  {
    name: 'would-heal'
    title: 'What would have been done while observing'
    query: loadTextContent('../../docs/kql/would-heal.kql')
    visualization: 'table'
  }
  {
    name: 'oldest-due'
    title: 'How late polling is, minutes'
    query: loadTextContent('../../docs/kql/oldest-due.kql')
    visualization: 'timechart'
  }
]

var timeRange = {
  type: 9
  name: 'time-range'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    parameters: [
      {
        id: guid('backup-autoheal', 'time-range')
        version: 'KqlParameterItem/1.0'
        name: 'TimeRange'
        label: 'Time range'
        type: 4
        isRequired: true
        value: {
          durationMs: 1209600000
        }
        typeSettings: {
          selectableValues: [
            {
              durationMs: 3600000
            }
            {
              durationMs: 86400000
            }
            {
              durationMs: 604800000
            }
            {
              durationMs: 1209600000
            }
            {
              durationMs: 2592000000
            }
          ]
          allowCustom: true
        }
      }
    ]
  }
}

var items = [for chart in charts: {
  type: 3
  name: chart.name
  content: {
    version: 'KqlItem/1.0'
    title: chart.title
    query: chart.query
    size: 0
    timeContextFromParameter: 'TimeRange'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    crossComponentResources: [
      workspaceId
    ]
    visualization: chart.visualization
    noDataMessage: 'Nothing in this time range.'
  }
}]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'backup-autoheal')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Backup Autoheal'
    category: 'workbook'
    // Where the portal lists it: Azure Monitor > Workbooks.
    sourceId: 'azure monitor'
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([
        timeRange
      ], items)
      fallbackResourceIds: [
        workspaceId
      ]
    })
  }
}
