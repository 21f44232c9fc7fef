# Ends the watch over subscriptions: disconnect.ps1 <subscription id or mg:<management group id>>...
# --all: every subscription that this installation watches, after the management groups in AUTOHEAL_WATCH. What is being
# healed there fails for want of the role; everything that connect.ps1 made is removed, and nothing else.
$here = $PSScriptRoot
. "$here/common.ps1"
Load-Installation
$targets = @($args)
if (-not $targets) { Fail "Which subscription? disconnect.ps1 <id>..., or --all" }
if ($targets[0] -eq '--all') {
  $groups = @(Split-List $AUTOHEAL_WATCH | Where-Object { $_ -like 'mg:*' })
  $subscriptions = @(Watched-Subscriptions)
  $targets = $groups + $subscriptions
  if (-not $targets) { Say "No subscription is watched." }
}
Check-Targets $targets

# The assignments of the app's role at a scope, and the role.
function Remove-Role([string] $name, [string] $scope) {
  $ids = az role assignment list --scope $scope --output tsv --query "[?roleDefinitionName=='$name'].id"
  if ($LASTEXITCODE) { Fail "${scope}: the role assignments cannot be read." }
  foreach ($id in $ids) {
    az role assignment delete --ids $id --output none
    if ($LASTEXITCODE) { Fail "${scope}: the app's role assignment cannot be removed. You need Owner there." }
  }
  $roles = az role definition list --scope $scope --custom-role-only true --output tsv --query "[?roleName=='$name'].name"
  if ($LASTEXITCODE) { Fail "${scope}: the roles cannot be read." }
  foreach ($role in $roles) {
    az role definition delete --name $role --scope $scope --custom-role-only true --output none
    if ($LASTEXITCODE) { Fail "${scope}: the role '$name' cannot be removed. You need Owner there." }
  }
}

function Disconnect-Subscription([string] $subscription) {
  Say "Subscription ${subscription}: disconnecting"
  $topic = Foreign-Topic $subscription
  if ($topic) {
    az resource delete --ids "$topic/eventSubscriptions/backup-autoheal-$FUNCTION_APP_NAME" --api-version 2025-02-15 --output none
    if ($LASTEXITCODE) { Fail "Subscription ${subscription}: the event subscription at $topic cannot be removed." }
  }
  $exists = az group exists --subscription $subscription --name $watch_group
  if ($LASTEXITCODE) { Fail "Subscription ${subscription}: its resource groups cannot be read." }
  if ($exists -eq 'true') {
    az group delete --subscription $subscription --name $watch_group --yes --output none
    if ($LASTEXITCODE) { Fail "Subscription ${subscription}: the resource group $watch_group cannot be removed." }
  }
  Remove-Role "Backup Autoheal $FUNCTION_APP_NAME ($subscription)" "/subscriptions/$subscription"
  Say "Subscription ${subscription}: disconnected"
}

function Disconnect-ManagementGroup([string] $group) {
  $scope = "/providers/Microsoft.Management/managementGroups/$group"
  Say "Management group ${group}: removing the policy"
  $principal = az policy assignment list --scope $scope --output tsv --query "[?name=='$assignment_name'].identity.principalId | [0]"
  if ($LASTEXITCODE) { Fail "Management group ${group}: the policy assignments cannot be read." }
  if ($principal -and "$principal" -ne 'None') {
    $ids = az role assignment list --scope $scope --output tsv --query "[?principalId=='$principal'].id"
    if ($LASTEXITCODE) { Fail "Management group ${group}: the role assignments cannot be read." }
    foreach ($id in $ids) {
      az role assignment delete --ids $id --output none
      if ($LASTEXITCODE) { Fail "Management group ${group}: a role of the policy cannot be removed. You need Owner there." }
    }
    az policy assignment delete --name $assignment_name --scope $scope --output none
    if ($LASTEXITCODE) { Fail "Management group ${group}: the policy assignment cannot be removed." }
  }
  $definitions = az policy definition list --management-group $group --output tsv --query "[?name=='$policy_name'].name"
  if ($LASTEXITCODE) { Fail "Management group ${group}: the policies cannot be read." }
  foreach ($definition in $definitions) {
    az policy definition delete --name $definition --management-group $group --output none
    if ($LASTEXITCODE) { Fail "Management group ${group}: the policy cannot be removed." }
  }
  Remove-Role "Backup Autoheal $FUNCTION_APP_NAME ($group)" $scope
  Say "Management group ${group}: the policy is gone. What it made in subscriptions is still there: disconnect.ps1 --all, or one by one."
}

foreach ($target in $targets) {
  if ($target -like 'mg:*') { Disconnect-ManagementGroup $target.Substring(3) }
  else { Disconnect-Subscription $target }
}
exit 0
