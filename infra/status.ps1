# Which subscriptions are watched, and what is missing: those that have a watch, and those named in AUTOHEAL_WATCH.
# Ends with 1 if something is missing.
$here = $PSScriptRoot
. "$here/common.ps1"
Load-Installation
$found = @(Watched-Subscriptions)
$named = @()
$missing = $false
foreach ($target in Split-List $AUTOHEAL_WATCH) {
  Check-Targets $target
  if ($target -like 'mg:*') {
    $group = $target.Substring(3)
    $assigned = az policy assignment list --scope "/providers/Microsoft.Management/managementGroups/$group" --output tsv --query "[?name=='$assignment_name'].name"
    if ($LASTEXITCODE) { Fail "Management group ${group}: the policy assignments cannot be read." }
    if (-not $assigned) { $assigned = 'MISSING'; $missing = $true }
    Say "Management group ${group}: policy $assigned"
  }
  else { $named += $target }
}

function Show-Subscription([string] $subscription) {
  $topic = Foreign-Topic $subscription
  if (-not $topic) { $topic = "/subscriptions/$subscription/resourceGroups/$watch_group/providers/Microsoft.EventGrid/systemTopics/evgst-backup-autoheal" }
  $events = az resource show --ids "$topic/eventSubscriptions/backup-autoheal-$FUNCTION_APP_NAME" --api-version 2025-02-15 --output tsv --query properties.provisioningState 2>$null
  if ($LASTEXITCODE) { $events = 'MISSING' }
  $alerts = az resource show --ids "/subscriptions/$subscription/resourceGroups/$watch_group/providers/Microsoft.AlertsManagement/actionRules/apr-backup-autoheal-$FUNCTION_APP_NAME" --api-version 2021-08-08 --output tsv --query properties.enabled 2>$null
  if ($LASTEXITCODE) { $alerts = 'MISSING' }
  $role = az role assignment list --scope "/subscriptions/$subscription" --include-inherited --output tsv --query "[?principalId=='$APP_IDENTITY_PRINCIPAL_ID' && starts_with(roleDefinitionName, 'Backup Autoheal $FUNCTION_APP_NAME')].roleDefinitionName | [0]"
  $role = if ($LASTEXITCODE -or -not $role -or "$role" -eq 'None') { 'MISSING' } else { 'assigned' }
  Say "Subscription ${subscription}: role $role, events $events, alerts $alerts"
  if ("$role $events $alerts" -match 'MISSING|Failed|false') { $script:missing = $true }
}

$all = @($found + $named | Sort-Object -Unique)
if (-not $all) { Say "No subscription is watched. connect.ps1 <id> connects one." }
foreach ($subscription in $all) {
  Show-Subscription $subscription
}
if ($missing) { Fail "Something is missing. connect.ps1 <id> mends it." }
exit 0
