#!/bin/sh
# Which subscriptions are watched, and what is missing: those that have a watch, and those named in AUTOHEAL_WATCH.
# Ends with 1 if something is missing.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
load_installation
found=$(watched_subscriptions) || exit 1
named=
missing=0
for target in $(printf '%s' "$AUTOHEAL_WATCH" | tr ',' ' '); do
  check_targets "$target"
  case "$target" in
    mg:*)
      assigned=$(az policy assignment list --scope "/providers/Microsoft.Management/managementGroups/${target#mg:}" --output tsv --query "[?name=='$assignment_name'].name") || fail "Management group ${target#mg:}: the policy assignments cannot be read."
      say "Management group ${target#mg:}: policy ${assigned:-MISSING}"
      [ -n "$assigned" ] || missing=1
      ;;
    *) named="$named $target" ;;
  esac
done

show_subscription() {
  foreign_topic "$1"
  [ -n "$topic" ] || topic="/subscriptions/$1/resourceGroups/$watch_group/providers/Microsoft.EventGrid/systemTopics/evgst-backup-autoheal"
  events=$(az resource show --ids "$topic/eventSubscriptions/backup-autoheal-$FUNCTION_APP_NAME" --api-version 2025-02-15 --output tsv --query properties.provisioningState 2>/dev/null) || events=MISSING
  alerts=$(az resource show --ids "/subscriptions/$1/resourceGroups/$watch_group/providers/Microsoft.AlertsManagement/actionRules/apr-backup-autoheal-$FUNCTION_APP_NAME" --api-version 2021-08-08 --output tsv --query properties.enabled 2>/dev/null) || alerts=MISSING
  role=$(az role assignment list --scope "/subscriptions/$1" --include-inherited --output tsv --query "[?principalId=='$APP_IDENTITY_PRINCIPAL_ID' && starts_with(roleDefinitionName, 'Backup Autoheal $FUNCTION_APP_NAME')].roleDefinitionName | [0]") || role=
  [ -n "$role" ] && [ "$role" != None ] && role=assigned || role=MISSING
  say "Subscription $1: role $role, events $events, alerts $alerts"
  case "$role $events $alerts" in
    *MISSING* | *Failed* | *false*) missing=1 ;;
  esac
}

all=$(printf '%s\n' $found $named | sort -u)
[ -n "$all" ] || say "No subscription is watched. connect.sh <id> connects one."
for subscription in $all; do
  show_subscription "$subscription"
done
[ "$missing" = 0 ] || fail "Something is missing. connect.sh <id> mends it."
