# Sign-in with Microsoft Entra ID: sign-in.ps1 makes the app registration, or mends it; sign-in.ps1 assign <account>
# <Reader or Operator> lets somebody in. An account is a user's name, or the object id of a group or an application.
param([string] $verb, [string] $given_account, [string] $given_role)
$here = $PSScriptRoot
. "$here/common.ps1"
Load-Installation
$FUNCTION_APP_URL = Need FUNCTION_APP_URL
$client_id = Want AUTOHEAL_SIGN_IN_CLIENT_ID

function Register-App {
  $tenant = az account show --subscription $AZURE_SUBSCRIPTION_ID --output tsv --query tenantId
  if ($LASTEXITCODE) { Fail "The tenant of subscription $AZURE_SUBSCRIPTION_ID cannot be read." }
  $login = az cloud show --output tsv --query endpoints.activeDirectory
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say which cloud it works in." }
  # A registration of this name is changed, not made again.
  $client_id = az ad app create --display-name "Backup Autoheal $FUNCTION_APP_NAME" --sign-in-audience AzureADMyOrg --web-redirect-uris "$FUNCTION_APP_URL/.auth/login/aad/callback" --enable-id-token-issuance true --requested-access-token-version 2 --app-roles "@$here/modules/app-roles.json" --output tsv --query appId
  if ($LASTEXITCODE) { Fail "The app registration cannot be made: you need Application Developer in the tenant, and Azure CLI 2.68 or later." }
  az ad app update --id $client_id --identifier-uris "api://$client_id" --output none
  if ($LASTEXITCODE) { Fail "The app registration cannot be changed." }
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
  azd env set AUTOHEAL_SIGN_IN_CLIENT_ID $client_id
  if ($LASTEXITCODE) { Fail "azd cannot keep AUTOHEAL_SIGN_IN_CLIENT_ID=$client_id." }
  Say "App registration $client_id is ready. 'azd provision' turns sign-in on; 'sign-in.ps1 assign <account> Operator' lets somebody in, at $FUNCTION_APP_URL/api/signed-in/dashboard"
}

function Assign-Role {
  if (-not $client_id) { Fail "There is no app registration yet: sign-in.ps1 makes it." }
  if ($given_role -cnotin 'Reader', 'Operator') { Fail "'$given_role' is no role: Reader or Operator." }
  $account = $given_account
  if ($given_account -notmatch '^.{8}-.{4}-.{4}-.{4}-.{12}$') {
    $account = az ad user show --id $given_account --output tsv --query id
    if ($LASTEXITCODE) { Fail "There is no user $given_account. For a group or an application, give its object id." }
  }
  $role = az ad app show --id $client_id --output tsv --query "appRoles[?value=='$given_role'].id | [0]"
  if ($LASTEXITCODE) { Fail "The app registration $client_id cannot be read." }
  $enterprise = az ad sp show --id $client_id --output tsv --query id
  if ($LASTEXITCODE) { Fail "The enterprise application of $client_id cannot be read." }
  $graph = az cloud show --output tsv --query endpoints.microsoftGraphResourceId
  if ($LASTEXITCODE) { Fail "The Azure CLI does not say which cloud it works in." }
  $assignment = @{ principalId = $account; resourceId = $enterprise; appRoleId = $role } | ConvertTo-Json -Compress
  $assignment | az rest --method post --url "$($graph.TrimEnd('/'))/v1.0/servicePrincipals/$enterprise/appRoleAssignedTo" --headers Content-Type=application/json --body '@-' --output none
  if ($LASTEXITCODE) { Fail "The role is not given: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant." }
  Say "$given_account has the role $given_role, from the next sign-in on."
}

if (-not $verb) { Register-App }
elseif ($verb -ceq 'assign' -and $given_account -and $given_role) { Assign-Role }
else { Fail "sign-in.ps1, or sign-in.ps1 assign <account> <Reader or Operator>" }
exit 0
