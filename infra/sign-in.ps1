# Sign-in with Microsoft Entra ID: sign-in.ps1 makes the app registration, or mends it; sign-in.ps1 assign <account>
# <Reader or Operator> lets somebody in, in place of the role that they had; sign-in.ps1 remove <account> takes every role
# away. An account is a user's name, or the object id of a group or an application.
param([string] $verb, [string] $given_account, [string] $given_role)
$here = $PSScriptRoot
. "$here/common.ps1"
Load-Installation
$FUNCTION_APP_URL = Need FUNCTION_APP_URL
$client_id = Want AUTOHEAL_SIGN_IN_CLIENT_ID

# The tenant, and where its directory is. az ad and az rest know no subscription: they work in the default one's tenant.
function Find-Directory {
  $script:tenant = az account show --subscription $AZURE_SUBSCRIPTION_ID --output tsv --query tenantId
  if ($LASTEXITCODE) { Fail "The tenant of subscription $AZURE_SUBSCRIPTION_ID cannot be read." }
  $here_is = az account show --output tsv --query tenantId
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say in which tenant it works." }
  if ("$here_is" -cne "$tenant") { Fail "The Azure CLI works in tenant $here_is, but the app is in tenant ${tenant}: az account set --subscription $AZURE_SUBSCRIPTION_ID" }
  $url = az cloud show --output tsv --query endpoints.microsoftGraphResourceId
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say which cloud it works in." }
  $script:graph = "$($url.TrimEnd('/'))/v1.0"
}

# Not az ad app create: that changes whatever has the name already. Who made that, knowing the app's name, would own the
# registration, and could give himself every role.
function New-Registration {
  $name = "Backup Autoheal $FUNCTION_APP_NAME"
  $found = az ad app list --display-name $name --output tsv --query "join(' ', [?displayName=='$name'].appId)"
  if ($LASTEXITCODE) { Fail "The tenant's app registrations cannot be read." }
  if ($found) { Fail "There is an app registration '$name' already, and azd does not know it: $found. Whoever owns it, or its enterprise application, can let anybody in: see 'az ad app owner list --id <id>' and 'az ad sp owner list --id <id>'. If it is yours, azd env set AUTOHEAL_SIGN_IN_CLIENT_ID <id>, and run this again; if not, have it deleted." }
  $registration = @{ displayName = $name; signInAudience = 'AzureADMyOrg' } | ConvertTo-Json -Compress
  $script:client_id = $registration | az rest --method post --url "$graph/applications" --headers Content-Type=application/json --body '@-' --output tsv --query appId
  if ($LASTEXITCODE) { Fail "The app registration cannot be made: you need Application Developer in the tenant." }
  # At once: if anything below fails, the next run goes on with this one.
  azd env set AUTOHEAL_SIGN_IN_CLIENT_ID $client_id
  if ($LASTEXITCODE) { Fail "azd cannot keep AUTOHEAL_SIGN_IN_CLIENT_ID=$client_id." }
}

function Register-App {
  Find-Directory
  $cloud = az cloud show --output tsv --query name
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say which cloud it works in." }
  if ($cloud -cne 'AzureCloud') { Fail "Sign-in is for Azure's public cloud, not for $cloud." }
  $login = az cloud show --output tsv --query endpoints.activeDirectory
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say which cloud it works in." }
  if (-not $client_id) { New-Registration }
  $callback = "$FUNCTION_APP_URL/.auth/login/aad/callback"
  # Addresses that somebody has added stay.
  $addresses = @(az ad app show --id $client_id --output tsv --query "web.redirectUris[?@!='$callback']")
  if ($LASTEXITCODE) { Fail "The app registration $client_id cannot be read. If it is gone, azd env set AUTOHEAL_SIGN_IN_CLIENT_ID '', and run this again: it makes another one." }
  $identifiers = @(az ad app show --id $client_id --output tsv --query "identifierUris[?@!='api://$client_id']")
  if ($LASTEXITCODE) { Fail "The app registration $client_id cannot be read." }
  az ad app update --id $client_id --sign-in-audience AzureADMyOrg --web-redirect-uris $callback @addresses --identifier-uris "api://$client_id" @identifiers --enable-id-token-issuance true --requested-access-token-version 2 --app-roles "@$here/modules/app-roles.json" --output none
  if ($LASTEXITCODE) { Fail "The app registration $client_id cannot be changed: you need to own it, and Azure CLI 2.68 or later." }
  az ad sp show --id $client_id --output none 2>$null
  if ($LASTEXITCODE) {
    az ad sp create --id $client_id --output none
    if ($LASTEXITCODE) { Fail "The enterprise application cannot be made." }
  }
  az ad sp update --id $client_id --set appRoleAssignmentRequired=true --output none
  if ($LASTEXITCODE) { Fail "The enterprise application cannot be changed." }
  # Instead of a secret: the app's identity speaks for the registration.
  $issuer = "$($login.TrimEnd('/'))/$tenant/v2.0"
  $credential = @{ name = 'backup-autoheal'; issuer = $issuer; subject = $APP_IDENTITY_PRINCIPAL_ID; audiences = @('api://AzureADTokenExchange') } | ConvertTo-Json -Compress
  az ad app federated-credential show --id $client_id --federated-credential-id backup-autoheal --output none 2>$null
  if (-not $LASTEXITCODE) {
    $credential | az ad app federated-credential update --id $client_id --federated-credential-id backup-autoheal --parameters '@-' --output none
    if ($LASTEXITCODE) { Fail "The federated credential cannot be changed." }
  }
  else {
    $credential | az ad app federated-credential create --id $client_id --parameters '@-' --output none
    if ($LASTEXITCODE) { Fail "The federated credential cannot be made." }
  }
  Say "App registration $client_id is ready. 'azd provision' turns sign-in on; 'sign-in.ps1 assign <account> Operator' lets somebody in, at $FUNCTION_APP_URL/api/signed-in/dashboard"
}

# The roles that the account has by itself: role and assignment of each, with a slash between.
function Find-Roles {
  if (-not $client_id) { Fail "There is no app registration yet: sign-in.ps1 makes it." }
  Find-Directory
  $script:account = $given_account.ToLowerInvariant()
  if ($given_account -notmatch '^.{8}-.{4}-.{4}-.{4}-.{12}$') {
    $script:account = az ad user show --id $given_account --output tsv --query id
    if ($LASTEXITCODE) { Fail "There is no user $given_account. For a group or an application, give its object id." }
  }
  $script:enterprise = az ad sp show --id $client_id --output tsv --query id
  if ($LASTEXITCODE) { Fail "The enterprise application of $client_id cannot be read." }
  $script:assignments = "$graph/servicePrincipals/$enterprise/appRoleAssignedTo"
  $script:roles = @(az rest --method get --url "${assignments}?`$top=999" --output tsv --query "[value[?principalId=='$account'].join('/', [appRoleId, id]), keys(@)[?@=='@odata.nextLink']][]")
  if ($LASTEXITCODE) { Fail "Who has a role cannot be read: Azure's reason is above." }
  if ($roles -ccontains '@odata.nextLink') { Fail "More than 999 accounts have a role: change that of $given_account in the portal, under 'Users and groups' of the enterprise application." }
}

# Takes from the account every role but this one.
function Remove-RolesBut([string] $kept) {
  foreach ($each in $roles) {
    $of, $id = $each -split '/', 2
    if ($of -ceq $kept) { continue }
    az rest --method delete --url "$assignments/$id" --output none
    if ($LASTEXITCODE) { Fail "A role that the account had before cannot be taken away: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant." }
  }
}

function Assign-Role {
  if ($given_role -cnotin 'Reader', 'Operator') { Fail "'$given_role' is no role: Reader or Operator." }
  Find-Roles
  $role = az ad app show --id $client_id --output tsv --query "appRoles[?value=='$given_role'].id | [0]"
  if ($LASTEXITCODE) { Fail "The app registration $client_id cannot be read." }
  if (-not ($roles -clike "$role/*")) {
    $assignment = @{ principalId = $account; resourceId = $enterprise; appRoleId = $role } | ConvertTo-Json -Compress
    $assignment | az rest --method post --url $assignments --headers Content-Type=application/json --body '@-' --output none
    if ($LASTEXITCODE) { Fail "The role is not given: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant." }
  }
  Remove-RolesBut $role
  Say "$given_account has the role $given_role and no other one, but for those of groups, from the next sign-in on: a session lasts eight hours at most."
}

function Remove-Roles {
  Find-Roles
  Remove-RolesBut 'none'
  Say "$given_account has no role any more, but for those of groups, from the next sign-in on: a session lasts eight hours at most."
}

if (-not $verb) { Register-App }
elseif ($verb -ceq 'assign' -and $given_account -and $given_role) { Assign-Role }
elseif ($verb -ceq 'remove' -and $given_account -and -not $given_role) { Remove-Roles }
else { Fail "sign-in.ps1, or sign-in.ps1 assign <account> <Reader or Operator>, or sign-in.ps1 remove <account>" }
exit 0
