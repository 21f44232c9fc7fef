# After azd has deployed the code: is it there, does it run? Then the way in for alerts is made, and the subscriptions in
# AUTOHEAL_WATCH are connected.
$here = $PSScriptRoot
. "$here/../common.ps1"
Load-Installation
$AZURE_RESOURCE_GROUP = Need AZURE_RESOURCE_GROUP
$FUNCTION_APP_URL = Need FUNCTION_APP_URL
$functions = @(Select-String -Path "$here/../../function_app.py" -Pattern '^def ([a-z_]*)\(' | ForEach-Object { $_.Matches[0].Groups[1].Value })
$tries = 30 # ten seconds apart: a new role assignment takes minutes to act

function Missing-Functions {
  az rest --method post --url "$FUNCTION_APP_ID/host/default/sync?api-version=2025-03-01" --output none 2>$null
  $listed = @(az functionapp function list --subscription $AZURE_SUBSCRIPTION_ID --resource-group $AZURE_RESOURCE_GROUP --name $FUNCTION_APP_NAME --output tsv --query "[].name" 2>$null)
  return @($functions | Where-Object { $listed -notcontains "$FUNCTION_APP_NAME/$_" })
}

function Health {
  $key = az functionapp keys list --subscription $AZURE_SUBSCRIPTION_ID --resource-group $AZURE_RESOURCE_GROUP --name $FUNCTION_APP_NAME --output tsv --query functionKeys.default 2>$null
  try { return (Invoke-WebRequest -Uri "$FUNCTION_APP_URL/api/health" -Headers @{ 'x-functions-key' = "$key" } -TimeoutSec 60 -SkipHttpErrorCheck).StatusCode }
  catch { return 0 }
}

Say "Waiting for the functions of $FUNCTION_APP_NAME"
$try = 1
$missing = @(Missing-Functions)
while ($missing -and $try -lt $tries) {
  Start-Sleep 10
  $try = $try + 1
  $missing = @(Missing-Functions)
}
if ($missing) { Fail "Azure does not list these functions: $missing. The app cannot be loaded: most likely the remote build took another Python than 3.13 (its log is above), or a setting cannot be used (AppExceptions in Application Insights, InvalidSettings). Then: azd deploy." }

Say "Waiting for the app to be well"
$try = 1
$status = Health
while ($status -ne 200 -and $status -ne 403 -and $try -lt $tries) {
  Start-Sleep 10
  $try = $try + 1
  $status = Health
}
switch ($status) {
  200 { Say "The app is well." }
  403 { Say "The app's health is not seen from here: this machine is not in allowedIpRanges." }
  default { Fail "GET $FUNCTION_APP_URL/api/health answers $status, not 200, after five minutes. 503: its body says which part is not well (docs/operations.md has the call). 401 or 000: the app does not run. Then: azd hooks run postdeploy." }
}

Say "Making the way in for alerts"
az deployment group create --subscription $AZURE_SUBSCRIPTION_ID --resource-group $AZURE_RESOURCE_GROUP --name action-group --template-file "$here/../action-group.bicep" --parameters functionAppName="$FUNCTION_APP_NAME" --output none
if ($LASTEXITCODE) { Fail "The action group cannot be deployed: Azure's reason is above. Then: azd hooks run postdeploy." }

if ($AUTOHEAL_WATCH) {
  & "$here/../connect.ps1"
  if ($LASTEXITCODE) { exit 1 }
}
else {
  Say "No subscription is connected by azd. Connect one: infra/connect.ps1 <id>, or azd env set AUTOHEAL_WATCH <id>,<id> and azd hooks run postdeploy."
}
exit 0
