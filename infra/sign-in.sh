#!/bin/sh
# Sign-in with Microsoft Entra ID: sign-in.sh makes the app registration, or mends it; sign-in.sh assign <account>
# <Reader or Operator> lets somebody in. An account is a user's name, or the object id of a group or an application.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
load_installation
need FUNCTION_APP_URL
want AUTOHEAL_SIGN_IN_CLIENT_ID
client_id=$AUTOHEAL_SIGN_IN_CLIENT_ID

register() {
  tenant=$(az account show --subscription "$AZURE_SUBSCRIPTION_ID" --output tsv --query tenantId) || fail "The tenant of subscription $AZURE_SUBSCRIPTION_ID cannot be read."
  login=$(az cloud show --output tsv --query endpoints.activeDirectory) || fail "The Azure CLI does not say which cloud it works in."
  # A registration of this name is changed, not made again.
  client_id=$(az ad app create --display-name "Backup Autoheal $FUNCTION_APP_NAME" --sign-in-audience AzureADMyOrg --web-redirect-uris "$FUNCTION_APP_URL/.auth/login/aad/callback" --enable-id-token-issuance true --requested-access-token-version 2 --app-roles "@$here/modules/app-roles.json" --output tsv --query appId) || fail "The app registration cannot be made: you need Application Developer in the tenant, and Azure CLI 2.68 or later."
  az ad app update --id "$client_id" --identifier-uris "api://$client_id" --output none || fail "The app registration cannot be changed."
  if ! az ad sp show --id "$client_id" --output none 2>/dev/null; then
    az ad sp create --id "$client_id" --output none || fail "The enterprise application cannot be made."
  fi
  az ad sp update --id "$client_id" --set appRoleAssignmentRequired=true --output none || fail "The enterprise application cannot be changed."
  # Instead of a secret: the app's identity speaks for the registration.
  credential="{\"name\":\"backup-autoheal\",\"issuer\":\"${login%/}/$tenant/v2.0\",\"subject\":\"$APP_IDENTITY_PRINCIPAL_ID\",\"audiences\":[\"api://AzureADTokenExchange\"]}"
  if az ad app federated-credential show --id "$client_id" --federated-credential-id backup-autoheal --output none 2>/dev/null; then
    printf '%s' "$credential" | az ad app federated-credential update --id "$client_id" --federated-credential-id backup-autoheal --parameters @- --output none || fail "The federated credential cannot be changed."
  else
    printf '%s' "$credential" | az ad app federated-credential create --id "$client_id" --parameters @- --output none || fail "The federated credential cannot be made."
  fi
  azd env set AUTOHEAL_SIGN_IN_CLIENT_ID "$client_id" || fail "azd cannot keep AUTOHEAL_SIGN_IN_CLIENT_ID=$client_id."
  say "App registration $client_id is ready. 'azd provision' turns sign-in on; 'sign-in.sh assign <account> Operator' lets somebody in, at $FUNCTION_APP_URL/api/signed-in/dashboard"
}

assign() {
  [ -n "$client_id" ] || fail "There is no app registration yet: sign-in.sh makes it."
  case "$2" in
    Reader | Operator) ;;
    *) fail "'$2' is no role: Reader or Operator." ;;
  esac
  case "$1" in
    ????????-????-????-????-????????????) account=$1 ;;
    *) account=$(az ad user show --id "$1" --output tsv --query id) || fail "There is no user $1. For a group or an application, give its object id." ;;
  esac
  role=$(az ad app show --id "$client_id" --output tsv --query "appRoles[?value=='$2'].id | [0]") || fail "The app registration $client_id cannot be read."
  enterprise=$(az ad sp show --id "$client_id" --output tsv --query id) || fail "The enterprise application of $client_id cannot be read."
  graph=$(az cloud show --output tsv --query endpoints.microsoftGraphResourceId) || fail "The Azure CLI does not say which cloud it works in."
  printf '%s' "{\"principalId\":\"$account\",\"resourceId\":\"$enterprise\",\"appRoleId\":\"$role\"}" | az rest --method post --url "${graph%/}/v1.0/servicePrincipals/$enterprise/appRoleAssignedTo" --headers Content-Type=application/json --body @- --output none || fail "The role is not given: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant."
  say "$1 has the role $2, from the next sign-in on."
}

case "$#:${1-}" in
  0:) register ;;
  3:assign) assign "$2" "$3" ;;
  *) fail "sign-in.sh, or sign-in.sh assign <account> <Reader or Operator>" ;;
esac
