#!/usr/bin/env bash
# Creates an application and starts it, with nothing but socat: one line of JSON each way.
#
#   examples/create-application.sh crm
#
# It talks to the daemon at NBAPPS_SOCKET, else at the default socket.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: ${0##*/} ID" >&2
  exit 2
fi

# Where the daemon is when nobody says otherwise: root's is the machine's.
if [ "$(id -u)" -eq 0 ]; then
  default=/run/nbapps/control.sock
elif [ -n "${XDG_RUNTIME_DIR:-}" ]; then
  default=$XDG_RUNTIME_DIR/nbapps/control.sock
else
  default=${XDG_STATE_HOME:-$HOME/.local/state}/nbapps/control.sock
fi
socket=${NBAPPS_SOCKET:-$default}
if [ ! -S "$socket" ]; then
  echo "error: no daemon at $socket; start one with: nbapps daemon start" >&2
  exit 3
fi

# The ID goes into JSON: only what an ID may be made of.
if [[ ! $1 =~ ^[a-z][a-z0-9_-]{0,47}$ ]]; then
  echo "error: \"$1\" is not an application ID: 1 to 48 of a-z 0-9 _ -, beginning with a letter" >&2
  exit 2
fi

request='{"jsonrpc":"2.0","id":1,"method":"app.create","params":{"id":"'$1'","start":true}}'
# socat ends sending with its input (-t: how many seconds it still waits for the answer); what is
# no answer but news of the progress is left out.
answer=$(printf '%s\n' "$request" | socat -t 60 - "UNIX-CONNECT:$socket" | grep '"id":1')

printf '%s\n' "$answer"
case $answer in
  *'"error":'*) exit 1 ;;
esac
