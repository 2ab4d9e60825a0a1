#!/usr/bin/env bash
# Creates an application for a branch, loads data into it, tests it over HTTP, and removes it.
#
#   examples/ci/preview.sh BRANCH
#
# Any number of jobs may run it at once: each has an application of its own, also two jobs of one branch. The
# application is removed however the script ends. It needs nbapps, curl, and a daemon that this user may use;
# NBAPPS_SOCKET names another one.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: ${0##*/} BRANCH" >&2
  exit 2
fi
branch=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# IDs have lower case letters, digits and -, and at most 48 of them.
slug=$(printf '%s' "$branch" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' '-' | cut -c1-24)
app="ci-${slug%-}-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')"
work=$(mktemp -d)

finish() {
  status=$?
  trap - EXIT
  # The log of the job outlives the application.
  [ "$status" -eq 0 ] || nbapps logs "$app" --level warn -n 50 >&2 || true
  nbapps delete "$app" --purge --yes >&2 || [ "$status" -ne 0 ] || status=1
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
# A job that is cancelled removes its application, too.
trap 'exit 130' INT
trap 'exit 143' TERM

nbapps create --id "$app" --name "Preview of $branch" --access-log all --start --timeout 2m -o name

# Calls over the control socket need no token.
nbapps api "$app" POST collections:create -d "@$here/collection.json" >"$work/collection.json"
nbapps api "$app" POST tasks:create -d "@$here/tasks.json" >"$work/created.json"

# The programs that are to be tested come over HTTP, with a key that is good for an hour.
nbapps key create "$app" --name ci --expires 1h --output-file "$work/key" >&2
origin=$(nbapps daemon status -o template='{{ main_url }}')
printf 'Authorization: Bearer %s' "$(cat "$work/key")" |
  curl --fail-with-body --silent --show-error --max-time 60 -H @- \
    "${origin%/admin/}/api/__app/$app/tasks:list" >"$work/tasks.json"

# The test itself.
if ! grep -q '"title":"Write the tests"' "$work/tasks.json"; then
  echo "${0##*/}: a task is missing" >&2
  exit 1
fi
finished=$(nbapps api "$app" GET 'tasks:list?filter={"done":true}' -o template='{{ meta.count }}')
if [ "$finished" -ne 1 ]; then
  echo "${0##*/}: $finished tasks are done, not 1" >&2
  exit 1
fi
echo "${0##*/}: $branch passed as $app"
