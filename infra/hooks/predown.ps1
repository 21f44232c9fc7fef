# Before azd deletes the app: nothing of it stays behind in the subscriptions that it watches.
$here = $PSScriptRoot
. "$here/../common.ps1"
$FUNCTION_APP_ID = Want FUNCTION_APP_ID
if (-not $FUNCTION_APP_ID) {
  Say "Nothing was deployed, so nothing is watched."
  exit 0
}
& "$here/../disconnect.ps1" --all
if ($LASTEXITCODE) { Fail "Not every subscription is disconnected, so the app is kept. Mend what is said above, or delete its resource group by hand." }
Say "azd asks now whether to delete the app. If you say no: infra/connect.ps1 connects the subscriptions again."
exit 0
