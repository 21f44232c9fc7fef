#!/bin/sh
# After azd has deployed the code: is it there, does it run? Then the way in for alerts is made, and the subscriptions in
# AUTOHEAL_WATCH are connected.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../common.sh"
load_installation
need AZURE_RESOURCE_GROUP FUNCTION_APP_URL
functions=$(sed -n 's/^def \([a-z_]*\)(.*/\1/p' "$here/../../function_app.py")
tries=30 # ten seconds apart: a new role assignment takes minutes to act

missing_functions() {
  az rest --method post --url "$FUNCTION_APP_ID/host/default/sync?api-version=2025-03-01" --output none 2>/dev/null || true
  listed=$(az functionapp function list --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" --output tsv --query "[].name" 2>/dev/null) || listed=
  missing=
  for function in $functions; do
    case " $(printf '%s' "$listed" | tr '\n\r' '  ') " in
      *"/$function "*) ;;
      *) missing="$missing $function" ;;
    esac
  done
}

health() {
  key=$(az functionapp keys list --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" --output tsv --query functionKeys.default 2>/dev/null) || key=
  # By the standard input: a command line is seen by everybody on the machine.
  status=$(printf 'header = "x-functions-key: %s"\n' "$key" | curl --config - --silent --output /dev/null --max-time 60 --write-out '%{http_code}' "$FUNCTION_APP_URL/api/health") || status=000
}

say "Waiting for the functions of $FUNCTION_APP_NAME"
try=1
missing_functions
while [ -n "$missing" ] && [ "$try" -lt "$tries" ]; do
  sleep 10
  try=$((try + 1))
  missing_functions
done
[ -z "$missing" ] || fail "Azure does not list these functions: ${missing# }. The app cannot be loaded: most likely the remote build took another Python than 3.13 (its log is above), or a setting cannot be used (AppExceptions in Application Insights, InvalidSettings). Then: azd deploy."

say "Waiting for the app to be well"
try=1
health
while [ "$status" != 200 ] && [ "$status" != 403 ] && [ "$try" -lt "$tries" ]; do
  sleep 10
  try=$((try + 1))
  health
done
case "$status" in
  200) say "The app is well." ;;
  403) say "The app's health is not seen from here: this machine is not in allowedIpRanges." ;;
  *) fail "GET $FUNCTION_APP_URL/api/health answers $status, not 200, after five minutes. 503: its body says which part is not well (docs/operations.md has the call). 401 or 000: the app does not run. Then: azd hooks run postdeploy." ;;
esac

say "Making the way in for alerts"
az deployment group create --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" --name action-group --template-file "$here/../action-group.bicep" --parameters functionAppName="$FUNCTION_APP_NAME" --output none || fail "The action group cannot be deployed: Azure's reason is above. Then: azd hooks run postdeploy."

if [ -n "$AUTOHEAL_WATCH" ]; then
  "$here/../connect.sh" || exit 1
else
  say "No subscription is connected by azd. Connect one: infra/connect.sh <id>, or azd env set AUTOHEAL_WATCH <id>,<id> and azd hooks run postdeploy."
fi
