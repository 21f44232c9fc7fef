#!/bin/sh
# Ends the watch over subscriptions: disconnect.sh <subscription id or mg:<management group id>>...
# --all: every subscription that this installation watches, after the management groups in AUTOHEAL_WATCH. What is being
# healed there fails for want of the role; everything that connect.sh made is removed, and nothing else.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
load_installation
[ $# -gt 0 ] || fail "Which subscription? disconnect.sh <id>..., or --all"
if [ "$1" = --all ]; then
  groups=
  for target in $(printf '%s' "$AUTOHEAL_WATCH" | tr ',' ' '); do
    case "$target" in
      mg:*) groups="$groups $target" ;;
    esac
  done
  subscriptions=$(watched_subscriptions) || exit 1
  set -- $groups $subscriptions
  [ $# -gt 0 ] || say "No subscription is watched."
fi
check_targets "$@"

# The assignments of the app's role at a scope, and the role.
remove_role() {
  ids=$(az role assignment list --scope "$2" --output tsv --query "[?roleDefinitionName=='$1'].id") || fail "$2: the role assignments cannot be read."
  for id in $ids; do
    az role assignment delete --ids "$id" --output none || fail "$2: the app's role assignment cannot be removed. You need Owner there."
  done
  roles=$(az role definition list --scope "$2" --custom-role-only true --output tsv --query "[?roleName=='$1'].name") || fail "$2: the roles cannot be read."
  for role in $roles; do
    az role definition delete --name "$role" --scope "$2" --custom-role-only true --output none || fail "$2: the role '$1' cannot be removed. You need Owner there."
  done
}

disconnect_subscription() {
  say "Subscription $1: disconnecting"
  foreign_topic "$1"
  if [ -n "$topic" ]; then
    az resource delete --ids "$topic/eventSubscriptions/backup-autoheal-$FUNCTION_APP_NAME" --api-version 2025-02-15 --output none || fail "Subscription $1: the event subscription at $topic cannot be removed."
  fi
  exists=$(az group exists --subscription "$1" --name "$watch_group") || fail "Subscription $1: its resource groups cannot be read."
  if [ "$exists" = true ]; then
    az group delete --subscription "$1" --name "$watch_group" --yes --output none || fail "Subscription $1: the resource group $watch_group cannot be removed."
  fi
  remove_role "Backup Autoheal $FUNCTION_APP_NAME ($1)" "/subscriptions/$1"
  say "Subscription $1: disconnected"
}

disconnect_management_group() {
  scope="/providers/Microsoft.Management/managementGroups/$1"
  say "Management group $1: removing the policy"
  principal=$(az policy assignment list --scope "$scope" --output tsv --query "[?name=='$assignment_name'].identity.principalId | [0]") || fail "Management group $1: the policy assignments cannot be read."
  if [ -n "$principal" ] && [ "$principal" != None ]; then
    ids=$(az role assignment list --scope "$scope" --output tsv --query "[?principalId=='$principal'].id") || fail "Management group $1: the role assignments cannot be read."
    for id in $ids; do
      az role assignment delete --ids "$id" --output none || fail "Management group $1: a role of the policy cannot be removed. You need Owner there."
    done
    az policy assignment delete --name "$assignment_name" --scope "$scope" --output none || fail "Management group $1: the policy assignment cannot be removed."
  fi
  definitions=$(az policy definition list --management-group "$1" --output tsv --query "[?name=='$policy_name'].name") || fail "Management group $1: the policies cannot be read."
  for definition in $definitions; do
    az policy definition delete --name "$definition" --management-group "$1" --output none || fail "Management group $1: the policy cannot be removed."
  done
  remove_role "Backup Autoheal $FUNCTION_APP_NAME ($1)" "$scope"
  say "Management group $1: the policy is gone. What it made in subscriptions is still there: disconnect.sh --all, or one by one."
}

for target; do
  case "$target" in
    mg:*) disconnect_management_group "${target#mg:}" ;;
    *) disconnect_subscription "$target" ;;
  esac
done
