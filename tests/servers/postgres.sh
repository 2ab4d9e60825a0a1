#!/bin/sh
# A private PostgreSQL server for one run of the tests.
#
#   postgres.sh DIRECTORY PORT
#
# Makes a cluster in DIRECTORY (which must be empty), says `ready` once it answers, and ends it and
# removes the directory when standard input closes: however the tests end, nothing is left.
set -eu
# A Ctrl-C, or a time-out of the tests, is for the tests: with them standard input closes.
trap '' HUP INT TERM PIPE
directory=$1 port=$2

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
    bin=$(dirname "$(command -v postgres)") || { echo "no PostgreSQL server here: run tests/setup"; exit 1; }
fi

# The server refuses to be root's.
as=
if [ "$(id -u)" -eq 0 ]; then
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chown 65534:65534 "$directory"
fi

end() {
    $as "$bin/pg_ctl" -D "$directory/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap end EXIT

printf 'secret' >"$directory/password"
chmod 644 "$directory/password"
$as "$bin/initdb" -D "$directory/data" -U root --pwfile="$directory/password" --auth=scram-sha-256 \
    -E UTF8 --locale=C.UTF-8 --no-sync >"$directory/initdb.log" 2>&1 || { cat "$directory/initdb.log"; exit 1; }
$as "$bin/pg_ctl" -D "$directory/data" -w -l "$directory/data/log" start \
    -o "-p $port -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200" \
    >"$directory/start.log" 2>&1 </dev/null || { cat "$directory/start.log" "$directory/data/log"; exit 1; }
# Nobody may be there to read this any more.
echo ready || true

cat >/dev/null
