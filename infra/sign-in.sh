#!/bin/sh
# Sign-in with Microsoft Entra ID: sign-in.sh makes the app registration, or mends it; sign-in.sh assign <account>
# <Reader or Operator> lets somebody in, in place of the role that they had; sign-in.sh remove <account> takes every role
# away. An account is a user's name, or the object id of a group or an application.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
load_installation
need FUNCTION_APP_URL
want AUTOHEAL_SIGN_IN_CLIENT_ID
client_id=$AUTOHEAL_SIGN_IN_CLIENT_ID

# The tenant, and where its directory is. az ad and az rest know no subscription: they work in the default one's tenant.
find_directory() {
  tenant=$(az account show --subscription "$AZURE_SUBSCRIPTION_ID" --output tsv --query tenantId) || fail "The tenant of subscription $AZURE_SUBSCRIPTION_ID cannot be read."
  here_is=$(az account show --output tsv --query tenantId) || fail "The Azure CLI does not say in which tenant it works."
  [ "$here_is" = "$tenant" ] || fail "The Azure CLI works in tenant $here_is, but the app is in tenant $tenant: az account set --subscription $AZURE_SUBSCRIPTION_ID"
  graph=$(az cloud show --output tsv --query endpoints.microsoftGraphResourceId) || fail "The Azure CLI does not say which cloud it works in."
  graph="${graph%/}/v1.0"
}

# Not az ad app create: that changes whatever has the name already. Who made that, knowing the app's name, would own the
# registration, and could give himself every role.
make_registration() {
  name="Backup Autoheal $FUNCTION_APP_NAME"
  found=$(az ad app list --display-name "$name" --output tsv --query "join(' ', [?displayName=='$name'].appId)") || fail "The tenant's app registrations cannot be read."
  [ -z "$found" ] || fail "There is an app registration '$name' already, and azd does not know it: $found. Whoever owns it, or its enterprise application, can let anybody in: see 'az ad app owner list --id <id>' and 'az ad sp owner list --id <id>'. If it is yours, azd env set AUTOHEAL_SIGN_IN_CLIENT_ID <id>, and run this again; if not, have it deleted."
  client_id=$(printf '%s' "{\"displayName\":\"$name\",\"signInAudience\":\"AzureADMyOrg\"}" | az rest --method post --url "$graph/applications" --headers Content-Type=application/json --body @- --output tsv --query appId) || fail "The app registration cannot be made: you need Application Developer in the tenant."
  # At once: if anything below fails, the next run goes on with this one.
  azd env set AUTOHEAL_SIGN_IN_CLIENT_ID "$client_id" || fail "azd cannot keep AUTOHEAL_SIGN_IN_CLIENT_ID=$client_id."
}

register() {
  find_directory
  cloud=$(az cloud show --output tsv --query name) || fail "The Azure CLI does not say which cloud it works in."
  [ "$cloud" = AzureCloud ] || fail "Sign-in is for Azure's public cloud, not for $cloud."
  login=$(az cloud show --output tsv --query endpoints.activeDirectory) || fail "The Azure CLI does not say which cloud it works in."
  [ -n "$client_id" ] || make_registration
  callback="$FUNCTION_APP_URL/.auth/login/aad/callback"
  # Addresses that somebody has added stay.
  addresses=$(az ad app show --id "$client_id" --output tsv --query "web.redirectUris[?@!='$callback']") || fail "The app registration $client_id cannot be read. If it is gone, azd env set AUTOHEAL_SIGN_IN_CLIENT_ID '', and run this again: it makes another one."
  identifiers=$(az ad app show --id "$client_id" --output tsv --query "identifierUris[?@!='api://$client_id']") || fail "The app registration $client_id cannot be read."
  set -f # one word for each address, as it is
  # shellcheck disable=SC2086
  az ad app update --id "$client_id" --sign-in-audience AzureADMyOrg --web-redirect-uris "$callback" $addresses --identifier-uris "api://$client_id" $identifiers --enable-id-token-issuance true --requested-access-token-version 2 --app-roles "@$here/modules/app-roles.json" --output none || fail "The app registration $client_id cannot be changed: you need to own it, and Azure CLI 2.68 or later."
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
  say "App registration $client_id is ready. 'azd provision' turns sign-in on; 'sign-in.sh assign <account> Operator' lets somebody in, at $FUNCTION_APP_URL/api/signed-in/dashboard"
}

# The roles that the account has by itself: role and assignment of each, with a slash between.
find_roles() {
  [ -n "$client_id" ] || fail "There is no app registration yet: sign-in.sh makes it."
  find_directory
  case "$1" in
    ????????-????-????-????-????????????) account=$(printf '%s' "$1" | tr 'A-F' 'a-f') ;;
    *) account=$(az ad user show --id "$1" --output tsv --query id) || fail "There is no user $1. For a group or an application, give its object id." ;;
  esac
  enterprise=$(az ad sp show --id "$client_id" --output tsv --query id) || fail "The enterprise application of $client_id cannot be read."
  assignments="$graph/servicePrincipals/$enterprise/appRoleAssignedTo"
  roles=$(az rest --method get --url "$assignments?\$top=999" --output tsv --query "[value[?principalId=='$account'].join('/', [appRoleId, id]), keys(@)[?@=='@odata.nextLink']][]") || fail "Who has a role cannot be read: Azure's reason is above."
  case "$roles" in
    *@odata.nextLink*) fail "More than 999 accounts have a role: change that of $1 in the portal, under 'Users and groups' of the enterprise application." ;;
  esac
}

# Takes from the account every role but this one.
remove_roles_but() {
  for each in $roles; do
    [ "${each%%/*}" != "$1" ] || continue
    az rest --method delete --url "$assignments/${each#*/}" --output none || fail "A role that the account had before cannot be taken away: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant."
  done
}

assign() {
  case "$2" in
    Reader | Operator) ;;
    *) fail "'$2' is no role: Reader or Operator." ;;
  esac
  find_roles "$1"
  role=$(az ad app show --id "$client_id" --output tsv --query "appRoles[?value=='$2'].id | [0]") || fail "The app registration $client_id cannot be read."
  case "$roles" in
    *"$role/"*) ;;
    *) printf '%s' "{\"principalId\":\"$account\",\"resourceId\":\"$enterprise\",\"appRoleId\":\"$role\"}" | az rest --method post --url "$assignments" --headers Content-Type=application/json --body @- --output none || fail "The role is not given: Azure's reason is above. You need to own the enterprise application, or Cloud Application Administrator in the tenant." ;;
  esac
  remove_roles_but "$role"
  say "$1 has the role $2 and no other one, but for those of groups, from the next sign-in on: a session lasts eight hours at most."
}

remove() {
  find_roles "$1"
  remove_roles_but none
  say "$1 has no role any more, but for those of groups, from the next sign-in on: a session lasts eight hours at most."
}

case "$#:${1-}" in
  0:) register ;;
  3:assign) assign "$2" "$3" ;;
  2:remove) remove "$2" ;;
  *) fail "sign-in.sh, or sign-in.sh assign <account> <Reader or Operator>, or sign-in.sh remove <account>" ;;
esac
