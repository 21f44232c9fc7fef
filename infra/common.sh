# shellcheck shell=sh disable=SC2034,SC2154
# What the scripts and hooks have in common; they read it in, it does nothing by itself.
set -eu
export AZURE_EXTENSION_USE_DYNAMIC_INSTALL=yes_without_prompt # az graph is an extension

say() { printf '%s\n' "$*"; }

fail() {
  printf 'ERROR: %s\n' "$*" >&2
  exit 1
}

# Sets the variables by these names: azd has set them for a hook, in a terminal it is asked. None is empty afterwards.
need() {
  for name; do
    eval "value=\${$name-}"
    [ -n "$value" ] || value=$(azd env get-value "$name" 2>/dev/null) || value=
    [ -n "$value" ] || fail "azd knows no $name. Run this in the project's folder, after 'azd up'."
    eval "$name=\$value"
  done
}

# The same, but what azd does not know is empty.
want() {
  for name; do
    eval "value=\${$name-}"
    [ -n "$value" ] || value=$(azd env get-value "$name" 2>/dev/null) || value=
    eval "$name=\$value"
  done
}

load_installation() {
  need AZURE_SUBSCRIPTION_ID AZURE_LOCATION FUNCTION_APP_NAME FUNCTION_APP_ID APP_IDENTITY_PRINCIPAL_ID ALERT_ACTION_GROUP_ID
  want DEAD_LETTER_STORAGE_ID DEAD_LETTER_IDENTITY_ID AUTOHEAL_WATCH AUTOHEAL_RECOVERY AUTOHEAL_STALE_AFTER AUTOHEAL_WAKE_ENABLED
  watch_group="rg-backup-autoheal-watch-$FUNCTION_APP_NAME"
  policy_name="backup-autoheal-$FUNCTION_APP_NAME"
  assignment_name=$(printf '%.24s' "ah-$FUNCTION_APP_NAME")
  az account show --output none || fail "The Azure CLI is not signed in: az login."
}

# AUTOHEAL_WATCH, or what it is given: words, each a subscription's id or mg: and a management group's.
check_targets() {
  for target; do
    case "$target" in
      mg:?*) ;;
      ????????-????-????-????-????????????) ;;
      *) fail "'$target' is neither a subscription's id nor mg: and the id of a management group." ;;
    esac
  done
}

# The id of the subscription's system topic, if that is not of this installation: there can be only one.
foreign_topic() {
  topic=$(az eventgrid system-topic list --subscription "$1" --output tsv --query "[?contains(['microsoft.resources.subscriptions', 'Microsoft.Resources.Subscriptions'], topicType)].id | [0]") || fail "The system topics of subscription $1 cannot be read: you need Reader there."
  case "$topic" in
    None | */"$watch_group"/*) topic= ;;
  esac
}

# The ids of all subscriptions that this installation watches, those by a policy too, a thousand at a time.
watched_subscriptions() {
  query="resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups' and name =~ '$watch_group' | project subscriptionId"
  token=
  while :; do
    page=$(az graph query --graph-query "$query" --first 1000 ${token:+--skip-token "$token"} --output tsv --query "[data[].subscriptionId, [skip_token]][]") || fail "Resource Graph does not answer: which subscriptions are watched is not known."
    token=
    for word in $page; do
      case "$word" in
        ????????-????-????-????-????????????) say "$word" ;;
        None) ;;
        *) token=$word ;;
      esac
    done
    [ -n "$token" ] || return 0
  done
}
