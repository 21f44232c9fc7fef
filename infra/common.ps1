# What the scripts and hooks have in common; they read it in, it does nothing by itself. Line by line like common.sh.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$env:AZURE_EXTENSION_USE_DYNAMIC_INSTALL = 'yes_without_prompt' # az graph is an extension

function Say([string] $text) { Write-Host $text }

function Fail([string] $text) {
  [Console]::Error.WriteLine("ERROR: $text")
  exit 1
}

# The variable of that name: azd has set it for a hook, in a terminal it is asked. Empty if azd does not know it.
function Want([string] $name) {
  $value = [Environment]::GetEnvironmentVariable($name)
  if (-not $value) {
    $value = azd env get-value $name 2>$null
    if ($LASTEXITCODE) { $value = '' }
  }
  return "$value"
}

# The same, but it must be there.
function Need([string] $name) {
  $value = Want $name
  if (-not $value) { Fail "azd knows no $name. Run this in the project's folder, after 'azd up'." }
  return $value
}

function Load-Installation {
  foreach ($name in 'AZURE_SUBSCRIPTION_ID', 'AZURE_LOCATION', 'FUNCTION_APP_NAME', 'FUNCTION_APP_ID', 'APP_IDENTITY_PRINCIPAL_ID', 'ALERT_ACTION_GROUP_ID') {
    Set-Variable -Scope Script -Name $name -Value (Need $name)
  }
  foreach ($name in 'DEAD_LETTER_STORAGE_ID', 'DEAD_LETTER_IDENTITY_ID', 'AUTOHEAL_WATCH', 'AUTOHEAL_RECOVERY', 'AUTOHEAL_STALE_AFTER', 'AUTOHEAL_WAKE_ENABLED') {
    Set-Variable -Scope Script -Name $name -Value (Want $name)
  }
  $script:watch_group = "rg-backup-autoheal-watch-$FUNCTION_APP_NAME"
  $script:policy_name = "backup-autoheal-$FUNCTION_APP_NAME"
  $assignment = "ah-$FUNCTION_APP_NAME"
  $script:assignment_name = $assignment.Substring(0, [Math]::Min(24, $assignment.Length))
  az account show --output none
  if ($LASTEXITCODE) { Fail "The Azure CLI is not signed in: az login." }
}

# The words of a list with commas.
function Split-List([string] $list) { return @($list -split '[,\s]+' | Where-Object { $_ }) }

# AUTOHEAL_WATCH, or what it is given: words, each a subscription's id or mg: and a management group's.
function Check-Targets([string[]] $targets) {
  foreach ($target in $targets) {
    if ($target -notmatch '^(mg:.+|.{8}-.{4}-.{4}-.{4}-.{12})$') { Fail "'$target' is neither a subscription's id nor mg: and the id of a management group." }
  }
}

# The id of the subscription's system topic, if that is not of this installation: there can be only one.
function Foreign-Topic([string] $subscription) {
  $topic = az eventgrid system-topic list --subscription $subscription --output tsv --query "[?contains(['microsoft.resources.subscriptions', 'Microsoft.Resources.Subscriptions'], topicType)].id | [0]"
  if ($LASTEXITCODE) { Fail "The system topics of subscription $subscription cannot be read: you need Reader there." }
  if ("$topic" -eq 'None' -or "$topic" -like "*/$watch_group/*") { return '' }
  return "$topic"
}

# The ids of all subscriptions that this installation watches, those by a policy too, a thousand at a time.
function Watched-Subscriptions {
  $query = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups' and name =~ '$watch_group' | project subscriptionId"
  $token = ''
  do {
    $next = @(if ($token) { '--skip-token', $token })
    $page = az graph query --graph-query $query --first 1000 @next --output tsv --query "[data[].subscriptionId, [skip_token]][]"
    if ($LASTEXITCODE) { Fail "Resource Graph does not answer: which subscriptions are watched is not known." }
    $token = ''
    foreach ($word in Split-List "$page") {
      if ($word -match '^.{8}-.{4}-.{4}-.{4}-.{12}$') { $word }
      elseif ($word -ne 'None') { $token = $word }
    }
  } while ($token)
}
