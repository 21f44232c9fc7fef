#!/bin/sh
# Before azd deletes the app: nothing of it stays behind in the subscriptions that it watches.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../common.sh"
want FUNCTION_APP_ID
if [ -z "$FUNCTION_APP_ID" ]; then
  say "Nothing was deployed, so nothing is watched."
  exit 0
fi
"$here/../disconnect.sh" --all || fail "Not every subscription is disconnected, so the app is kept. Mend what is said above, or delete its resource group by hand."
say "azd asks now whether to delete the app. If you say no: infra/connect.sh connects the subscriptions again."
