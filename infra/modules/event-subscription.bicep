// Failed operations on backup instances, and where wanted repairs, on their way to the function on_backup_failure.
param name string
param systemTopicName string
param functionAppId string

@description('Whether the events of repairs come along: roles, locks, and writes that may have mended a failure.')
param wakeEnabled bool

@description('The account that takes undeliverable events, and the identity that writes them. Empty: they are dropped.')
param deadLetterStorageAccountId string
param deadLetterIdentityId string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

resource failures 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: name
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    // By its resource id: Event Grid fetches the key itself.
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/on_backup_failure'
        maxEventsPerBatch: 20
        preferredBatchSizeInKilobytes: 64
      }
    }
    // Filters compare without case. The app's own sync that fails is no new failure.
    filter: wakeEnabled ? loadJsonContent('failure-and-repair-filter.json') : loadJsonContent('failure-filter.json')
    // As long and as often as Event Grid can: a host that is down for a day loses nothing.
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterWithResourceIdentity: empty(deadLetterIdentityId) ? null : {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: deadLetterIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: deadLetterStorageAccountId
          blobContainerName: 'dead-letters'
        }
      }
    }
  }
}
