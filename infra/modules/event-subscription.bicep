// Failed operations on backup instances, on their way to the function on_backup_failure.
param systemTopicName string
param functionAppId string
param storageAccountId string
param deadLetterIdentityId string

var instances = 'Microsoft.DataProtection/backupVaults/backupInstances'

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

resource failures 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'backup-autoheal'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/on_backup_failure'
        maxEventsPerBatch: 20
        preferredBatchSizeInKilobytes: 64
      }
    }
    // Filters compare without case.
    filter: {
      includedEventTypes: [
        'Microsoft.Resources.ResourceActionFailure'
        'Microsoft.Resources.ResourceWriteFailure'
        'Microsoft.Resources.ResourceActionCancel'
        'Microsoft.Resources.ResourceWriteCancel'
      ]
      advancedFilters: [
        {
          operatorType: 'StringBeginsWith'
          key: 'data.operationName'
          values: [
            '${instances}/'
          ]
        }
        {
          // The app's own sync that fails is no new failure.
          operatorType: 'StringNotBeginsWith'
          key: 'data.operationName'
          values: [
            '${instances}/sync/'
          ]
        }
      ]
    }
    // As long and as often as Event Grid can: a host that is down for a day loses nothing.
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: deadLetterIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageAccountId
          blobContainerName: 'dead-letters'
        }
      }
    }
  }
}
