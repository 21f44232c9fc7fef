# Before azd deploys the templates: what would fail later, with an error that says less, fails here.
$here = $PSScriptRoot
. "$here/../common.ps1"
$AZURE_SUBSCRIPTION_ID = Need AZURE_SUBSCRIPTION_ID
az account show --output none
if ($LASTEXITCODE) { Fail "The Azure CLI is not signed in: az login. azd's own login is not enough, its hooks call az." }

$parameters = Get-Content -Raw "$here/../main.parameters.json"
foreach ($variable in Get-ChildItem env: | Where-Object { $_.Name -cmatch '^AUTOHEAL_[A-Z0-9_]*$' }) {
  $name = $variable.Name
  if ($variable.Value -match '["\\\p{Cc}]') { Fail "$name has a quotation mark, a backslash or a line break. azd puts values into JSON as they are, so none may have one." }
  if ($name -notin 'AUTOHEAL_WATCH', 'AUTOHEAL_WAKE_ENABLED' -and $parameters -cnotmatch "\`$\{$name[=}]") { Fail "$name is no setting. docs/deployment.md and docs/settings.md list them." }
}
$AUTOHEAL_WATCH = Want AUTOHEAL_WATCH
$AUTOHEAL_VNET_ENABLED = Want AUTOHEAL_VNET_ENABLED
Check-Targets (Split-List $AUTOHEAL_WATCH)

# Resource Manager registers the providers of what a template makes. The subnet's delegation is no resource of its own.
if ($AUTOHEAL_VNET_ENABLED -eq 'true') {
  $state = az provider show --subscription $AZURE_SUBSCRIPTION_ID --namespace Microsoft.App --output tsv --query registrationState
  if ($LASTEXITCODE) { Fail "Whether Microsoft.App is registered in subscription $AZURE_SUBSCRIPTION_ID cannot be read." }
  if ($state -ne 'Registered') {
    Say "Registering Microsoft.App, for the app's subnet"
    az provider register --subscription $AZURE_SUBSCRIPTION_ID --namespace Microsoft.App --wait --output none
    if ($LASTEXITCODE) { Fail "Microsoft.App cannot be registered in subscription $AZURE_SUBSCRIPTION_ID. Somebody with Contributor there runs: az provider register --namespace Microsoft.App --wait" }
  }
}
exit 0
