#!/bin/sh
# Lets the app watch subscriptions: connect.sh <subscription id or mg:<management group id>>...
# Without arguments: those in AUTOHEAL_WATCH. To connect what is connected already changes nothing, or mends it.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
load_installation
[ $# -gt 0 ] || set -- $(printf '%s' "$AUTOHEAL_WATCH" | tr ',' ' ')
[ $# -gt 0 ] || fail "Which subscription? connect.sh <id>..., or: azd env set AUTOHEAL_WATCH <id>,<id>"
check_targets "$@"

connect_subscription() {
  say "Subscription $1: connecting"
  for provider in Microsoft.EventGrid Microsoft.AlertsManagement Microsoft.Insights; do
    az provider register --subscription "$1" --namespace "$provider" --wait --output none || fail "Subscription $1: $provider cannot be registered. You need Owner there."
  done
  foreign_topic "$1"
  storage=$DEAD_LETTER_STORAGE_ID
  identity=$DEAD_LETTER_IDENTITY_ID
  if [ -n "$topic" ]; then
    say "Subscription $1: its system topic is used, $topic. Events that cannot be delivered within a day are dropped."
    storage=
    identity=
  fi
  az deployment sub create --subscription "$1" --name "backup-autoheal-$FUNCTION_APP_NAME" --location "$AZURE_LOCATION" --template-file "$here/subscription.bicep" --output none --parameters functionAppId="$FUNCTION_APP_ID" appPrincipalId="$APP_IDENTITY_PRINCIPAL_ID" alertActionGroupId="$ALERT_ACTION_GROUP_ID" deadLetterStorageAccountId="$storage" deadLetterIdentityId="$identity" existingSystemTopicId="$topic" recovery="${AUTOHEAL_RECOVERY:-Off}" staleAfter="${AUTOHEAL_STALE_AFTER:-off}" wakeEnabled="${AUTOHEAL_WAKE_ENABLED:-false}" || fail "Subscription $1 is not connected: Azure's reason is above. You need Owner there, and Contributor on the app's resource group."
  say "Subscription $1: connected"
}

connect_management_group() {
  say "Management group $1: assigning the policy"
  az deployment mg create --management-group-id "$1" --name "backup-autoheal-$FUNCTION_APP_NAME" --location "$AZURE_LOCATION" --template-file "$here/management-group.bicep" --output none --parameters functionAppId="$FUNCTION_APP_ID" appPrincipalId="$APP_IDENTITY_PRINCIPAL_ID" alertActionGroupId="$ALERT_ACTION_GROUP_ID" deadLetterStorageAccountId="$DEAD_LETTER_STORAGE_ID" deadLetterIdentityId="$DEAD_LETTER_IDENTITY_ID" recovery="${AUTOHEAL_RECOVERY:-Off}" staleAfter="${AUTOHEAL_STALE_AFTER:-off}" wakeEnabled="${AUTOHEAL_WAKE_ENABLED:-false}" || fail "Management group $1 is not connected: Azure's reason is above. You need Owner there and on the app's resource group."
  say "Management group $1: assigned. Azure Policy looks at its subscriptions within half an hour; connect it again then, which starts the task that connects them. New subscriptions are connected by themselves."
}

for target; do
  case "$target" in
    mg:*) connect_management_group "${target#mg:}" ;;
    *) connect_subscription "$target" ;;
  esac
done
