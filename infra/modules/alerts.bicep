// What operators are alerted to. Each rule is a query of docs/kql and has a paragraph in docs/operations.md.
param location string
param tags object
param workspaceId string
param email string
@description('Of the function app, as the links in alerts begin.')
param appUrl string

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-backup-autoheal-operators'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'autoheal-ops'
    emailReceivers: empty(email) ? [] : [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var rules = [
  {
    name: 'needs-attention'
    displayName: 'A backup instance needs attention'
    // The app repeats hourly what still needs somebody: within a day of it the alert stays, and ends when it is mended.
    description: 'Backup instances are not protected, and a person has to act. docs/operations.md says what to do.'
    severity: 2
    query: loadTextContent('../../docs/kql/needs-attention.kql')
    frequency: 'PT5M'
    window: 'P1D'
    aggregation: 'Count'
    column: null
    dimensions: [
      {
        name: 'Cause'
        operator: 'Include'
        values: [
          '*'
        ]
      }
      {
        name: 'Link'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
    operator: 'GreaterThan'
    threshold: 0
    periods: 1
    failing: 1
  }
  {
    name: 'poison-message'
    displayName: 'A sync job was given up by the queue'
    description: 'Storage failed again and again, or the message was no sync job.'
    severity: 2
    query: loadTextContent('../../docs/kql/poison-messages.kql')
    frequency: 'PT5M'
    window: 'PT5M'
    aggregation: 'Count'
    column: null
    dimensions: []
    operator: 'GreaterThan'
    threshold: 0
    periods: 1
    failing: 1
  }
  {
    name: 'late-due-entry'
    displayName: 'The oldest due entry is more than 10 minutes late'
    description: 'Polling does not keep up: remediations end late, and outcomes are published late.'
    severity: 2
    query: loadTextContent('../../docs/kql/oldest-due.kql')
    frequency: 'PT5M'
    window: 'PT5M'
    aggregation: 'Maximum'
    column: 'LateMinutes'
    dimensions: []
    operator: 'GreaterThan'
    threshold: 10
    periods: 2
    failing: 2
  }
  {
    name: 'no-tick'
    displayName: 'No poll run for 10 minutes'
    description: 'The app does not run, or cannot reach its storage: nothing is followed to its end.'
    severity: 1
    query: loadTextContent('../../docs/kql/missing-ticks.kql')
    frequency: 'PT5M'
    window: 'PT10M'
    aggregation: 'Total'
    column: 'Ticks'
    dimensions: []
    operator: 'LessThan'
    threshold: 1
    periods: 1
    failing: 1
  }
  {
    name: 'forbidden'
    displayName: 'Resource Manager refuses the app'
    // Attempts follow each other after 5 and 30 minutes: the third is in the second window after the first.
    description: 'The identity lacks the role in a subscription, or a new assignment is not in force yet.'
    severity: 2
    query: loadTextContent('../../docs/kql/forbidden.kql')
    frequency: 'PT15M'
    window: 'PT15M'
    aggregation: 'Count'
    column: null
    dimensions: []
    operator: 'GreaterThan'
    threshold: 0
    periods: 4
    failing: 2
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'backup-autoheal-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Backup Autoheal: ${rule.displayName}'
    description: rule.description
    severity: rule.severity
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    autoMitigate: true
    // The workspace of a new installation has seen no line yet, so its columns cannot be checked.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: replace(rule.query, '<app url>', appUrl)
          timeAggregation: rule.aggregation
          metricMeasureColumn: rule.column
          dimensions: rule.dimensions
          operator: rule.operator
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: rule.periods
            minFailingPeriodsToAlert: rule.failing
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        actionGroup.id
      ]
    }
  }
}]
