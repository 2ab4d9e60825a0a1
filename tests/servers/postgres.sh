#!/bin/sh
# A private PostgreSQL server for one run of the tests.
#
#   postgres.sh DIRECTORY PORT CONNECTIONS [CERTIFICATE]
#
# Creates a cluster in DIRECTORY, which must be empty, and prints `ready` once the server accepts connections. Ends the
# server and removes the directory when standard input closes, as it does however the tests end.
#
# With DURABLE=1 in the environment, acknowledged writes survive a power failure, as in production.
set -eu
[ -n "${DURABLE-}" ] && fsync=on || fsync=off
# Signals are for the tests: when they end, standard input closes.
trap '' HUP INT TERM PIPE
directory=$1 port=$2 connections=$3 certificate=${4-}

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
    bin=$(dirname "$(command -v postgres)") || { echo "no PostgreSQL server here: run tests/setup"; exit 1; }
fi

# PostgreSQL does not run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chown 65534:65534 "$directory"
fi

end() {
    [ ! -f "$directory/data/postmaster.pid" ] || every CONT
    $as "$bin/pg_ctl" -D "$directory/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap end EXIT

printf 'secret' >"$directory/password"
chmod 644 "$directory/password"
$as "$bin/initdb" -D "$directory/data" -U root --pwfile="$directory/password" --auth=scram-sha-256 \
    -E UTF8 --locale=C.UTF-8 --no-sync >"$directory/initdb.log" 2>&1 || { cat "$directory/initdb.log"; exit 1; }
tls='-c ssl=off'
if [ -n "$certificate" ]; then
    # The server must own the key, and no other user may read it.
    cp "$certificate/server.crt" "$certificate/server.key" "$directory/data/"
    [ -z "$as" ] || chown 65534:65534 "$directory/data/server.crt" "$directory/data/server.key"
    chmod 600 "$directory/data/server.key"
    tls='-c ssl=on'
fi

# With client_connection_check_interval, the statements of a host that a test has killed end, too.
start() {
    $as "$bin/pg_ctl" -D "$directory/data" -w -l "$directory/data/log" start \
        -o "-p $port -k '' -c listen_addresses=127.0.0.1 -c fsync=$fsync -c max_connections=$connections -c client_connection_check_interval=1s $tls" \
        >"$directory/start.log" 2>&1 </dev/null || { cat "$directory/start.log" "$directory/data/log"; exit 1; }
}
# Sends a signal to all of the server's processes.
every() {
    postmaster=$(head -n 1 "$directory/data/postmaster.pid")
    kill "-$1" "$postmaster"
    pkill "-$1" -P "$postmaster" || true
}

start
# The reader may be gone already.
echo ready || true

# Commands of a test that stops or freezes its server.
while read -r word; do
    case $word in
    stop) $as "$bin/pg_ctl" -D "$directory/data" -w -m immediate stop >/dev/null 2>&1 ;;
    start) start ;;
    freeze) every STOP ;;
    thaw) every CONT ;;
    esac
    echo done
done
