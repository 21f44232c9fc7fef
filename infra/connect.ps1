# Lets the app watch subscriptions: connect.ps1 <subscription id or mg:<management group id>>...
# Without arguments: those in AUTOHEAL_WATCH. To connect what is connected already changes nothing, or mends it.
$here = $PSScriptRoot
. "$here/common.ps1"
Load-Installation
$recovery = if ($AUTOHEAL_RECOVERY) { $AUTOHEAL_RECOVERY } else { 'Off' }
$staleAfter = if ($AUTOHEAL_STALE_AFTER) { $AUTOHEAL_STALE_AFTER } else { 'off' }
$wake = if ($AUTOHEAL_WAKE_ENABLED) { $AUTOHEAL_WAKE_ENABLED } else { 'false' }
$targets = @($args)
if (-not $targets) { $targets = Split-List $AUTOHEAL_WATCH }
if (-not $targets) { Fail "Which subscription? connect.ps1 <id>..., or: azd env set AUTOHEAL_WATCH <id>,<id>" }
Check-Targets $targets

function Connect-Subscription([string] $subscription) {
  Say "Subscription ${subscription}: connecting"
  foreach ($provider in 'Microsoft.EventGrid', 'Microsoft.AlertsManagement', 'Microsoft.Insights') {
    az provider register --subscription $subscription --namespace $provider --wait --output none
    if ($LASTEXITCODE) { Fail "Subscription ${subscription}: $provider cannot be registered. You need Owner there." }
  }
  $topic = Foreign-Topic $subscription
  $storage = $DEAD_LETTER_STORAGE_ID
  $identity = $DEAD_LETTER_IDENTITY_ID
  if ($topic) {
    Say "Subscription ${subscription}: its system topic is used, $topic. Events that cannot be delivered within a day are dropped."
    $storage = ''
    $identity = ''
  }
  az deployment sub create --subscription $subscription --name "backup-autoheal-$FUNCTION_APP_NAME" --location $AZURE_LOCATION --template-file "$here/subscription.bicep" --output none --parameters functionAppId="$FUNCTION_APP_ID" appPrincipalId="$APP_IDENTITY_PRINCIPAL_ID" alertActionGroupId="$ALERT_ACTION_GROUP_ID" deadLetterStorageAccountId="$storage" deadLetterIdentityId="$identity" existingSystemTopicId="$topic" recovery="$recovery" staleAfter="$staleAfter" wakeEnabled="$wake"
  if ($LASTEXITCODE) { Fail "Subscription $subscription is not connected: Azure's reason is above. You need Owner there, and Contributor on the app's resource group." }
  Say "Subscription ${subscription}: connected"
}

function Connect-ManagementGroup([string] $group) {
  Say "Management group ${group}: assigning the policy"
  az deployment mg create --management-group-id $group --name "backup-autoheal-$FUNCTION_APP_NAME" --location $AZURE_LOCATION --template-file "$here/management-group.bicep" --output none --parameters functionAppId="$FUNCTION_APP_ID" appPrincipalId="$APP_IDENTITY_PRINCIPAL_ID" alertActionGroupId="$ALERT_ACTION_GROUP_ID" deadLetterStorageAccountId="$DEAD_LETTER_STORAGE_ID" deadLetterIdentityId="$DEAD_LETTER_IDENTITY_ID" recovery="$recovery" staleAfter="$staleAfter" wakeEnabled="$wake"
  if ($LASTEXITCODE) { Fail "Management group $group is not connected: Azure's reason is above. You need Owner there and on the app's resource group." }
  Say "Management group ${group}: assigned. Azure Policy looks at its subscriptions within half an hour; connect it again then, which starts the task that connects them. New subscriptions are connected by themselves."
}

foreach ($target in $targets) {
  if ($target -like 'mg:*') { Connect-ManagementGroup $target.Substring(3) }
  else { Connect-Subscription $target }
}
exit 0
