#!/bin/sh
# Before azd deploys the templates: what would fail later, with an error that says less, fails here.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../common.sh"
need AZURE_SUBSCRIPTION_ID
az account show --output none || fail "The Azure CLI is not signed in: az login. azd's own login is not enough, its hooks call az."

for name in $(env | sed -n 's/^\(AUTOHEAL_[A-Z0-9_]*\)=.*/\1/p'); do
  eval "value=\$$name"
  case "$value" in
    *[\"\\]* | *[[:cntrl:]]*) fail "$name has a quotation mark, a backslash or a line break. azd puts values into JSON as they are, so none may have one." ;;
  esac
  [ "$name" = AUTOHEAL_WATCH ] || [ "$name" = AUTOHEAL_WAKE_ENABLED ] || grep -q "\${${name}[=}]" "$here/../main.parameters.json" || fail "$name is no setting. docs/deployment.md and docs/settings.md list them."
done
want AUTOHEAL_WATCH AUTOHEAL_VNET_ENABLED
check_targets $(printf '%s' "$AUTOHEAL_WATCH" | tr ',' ' ')

# Resource Manager registers the providers of what a template makes. The subnet's delegation is no resource of its own.
if [ "$AUTOHEAL_VNET_ENABLED" = true ]; then
  state=$(az provider show --subscription "$AZURE_SUBSCRIPTION_ID" --namespace Microsoft.App --output tsv --query registrationState) || fail "Whether Microsoft.App is registered in subscription $AZURE_SUBSCRIPTION_ID cannot be read."
  if [ "$state" != Registered ]; then
    say "Registering Microsoft.App, for the app's subnet"
    az provider register --subscription "$AZURE_SUBSCRIPTION_ID" --namespace Microsoft.App --wait --output none || fail "Microsoft.App cannot be registered in subscription $AZURE_SUBSCRIPTION_ID. Somebody with Contributor there runs: az provider register --namespace Microsoft.App --wait"
  fi
fi
