#!/bin/sh
# A private PgBouncer in front of a private PostgreSQL server, for one test.
#
#   pgbouncer.sh DIRECTORY PORT SERVER_PORT MODE
#
# MODE is `session` or `transaction`. Prints `ready` once PgBouncer accepts connections. Ends it and removes DIRECTORY
# when standard input closes, as it does however the tests end.
set -eu
# Signals are for the tests: when they end, standard input closes.
trap '' HUP INT TERM PIPE
directory=$1 port=$2 server_port=$3 mode=$4

PATH=$PATH:/usr/sbin
command -v pgbouncer >/dev/null || { echo "no PgBouncer here: run tests/setup"; exit 1; }
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
ready=$(command -v pg_isready || echo "$bin/pg_isready")

# PgBouncer does not run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chown 65534:65534 "$directory"
fi

# In session mode each client keeps a server connection; in transaction mode there are fewer than clients.
[ "$mode" = session ] && size=20 || size=5

pooler=
end() {
    [ -z "$pooler" ] || kill -KILL "$pooler" 2>/dev/null || true
    [ -z "$pooler" ] || wait "$pooler" 2>/dev/null || true
    rm -rf "$directory"
}
trap end EXIT

printf '"root" "secret"\n' >"$directory/users"
cat >"$directory/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$server_port
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $directory/users
pool_mode = $mode
default_pool_size = $size
max_client_conn = 200
INI
chmod 644 "$directory/users" "$directory/pgbouncer.ini"

$as pgbouncer "$directory/pgbouncer.ini" >"$directory/log" 2>&1 </dev/null &
pooler=$!
until "$ready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 "$pooler" 2>/dev/null || { cat "$directory/log"; exit 1; }
    sleep 0.1
done
# The reader may be gone already.
echo ready || true
while read -r _; do echo done; done
