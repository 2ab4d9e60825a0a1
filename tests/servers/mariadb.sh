#!/bin/sh
# A private MariaDB server for one run of the tests.
#
#   mariadb.sh DIRECTORY PORT CONNECTIONS [CERTIFICATE]
#
# Creates a data directory in DIRECTORY, which must be empty, and prints `ready` once the server accepts connections. Ends the
# server and removes the directory when standard input closes, as it does however the tests end.
#
# With DURABLE=1 in the environment, acknowledged writes survive a power failure, as in production.
set -eu
[ -n "${DURABLE-}" ] && flush=1 || flush=2
# Signals are for the tests: when they end, standard input closes.
trap '' HUP INT TERM PIPE
directory=$1 port=$2 connections=$3 certificate=${4-}

PATH=$PATH:/usr/sbin
command -v mariadbd >/dev/null || { echo "no MariaDB server here: run tests/setup"; exit 1; }

# MariaDB does not run as root.
as=
if [ "$(id -u)" -eq 0 ]; then
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chown 65534:65534 "$directory"
fi

server=
end() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$directory"
}
trap end EXIT

# Its own temporary directory: a starting server removes the files of others.
$as mkdir "$directory/tmp"
$as mariadb-install-db --no-defaults --tmpdir="$directory/tmp" --datadir="$directory/data" --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve >"$directory/install.log" 2>&1 || { cat "$directory/install.log"; exit 1; }
cat >"$directory/first.sql" <<'SQL'
ALTER USER root@localhost IDENTIFIED BY 'secret';
CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY 'secret';
GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
SQL
chmod 644 "$directory/first.sql"
tls=--skip-ssl
if [ -n "$certificate" ]; then
    cp "$certificate/server.crt" "$certificate/server.key" "$directory/data/"
    [ -z "$as" ] || chown 65534:65534 "$directory/data/server.crt" "$directory/data/server.key"
    tls="--ssl-cert=$directory/data/server.crt --ssl-key=$directory/data/server.key"
fi

# With --max-statement-time, the statements of a host that a test has killed end, too.
start() {
    $as mariadbd --no-defaults --tmpdir="$directory/tmp" --datadir="$directory/data" --port="$port" --bind-address=127.0.0.1 \
        --socket="$directory/data/s" --init-file="$directory/first.sql" --skip-name-resolve \
        --max-connections="$connections" --innodb-flush-log-at-trx-commit=$flush --innodb-buffer-pool-size=64M \
        --skip-log-bin --max-statement-time=120 $tls >>"$directory/server.log" 2>&1 </dev/null &
    server=$!
    until [ -S "$directory/data/s" ] && MYSQL_PWD=secret mariadb --no-defaults --protocol=tcp -h 127.0.0.1 \
        -P "$port" -u root -e 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || { cat "$directory/server.log"; exit 1; }
        sleep 0.1
    done
}

start
# The reader may be gone already.
echo ready || true

# Commands of a test that stops or freezes its server.
while read -r word; do
    case $word in
    stop) kill -KILL "$server"; wait "$server" 2>/dev/null || true; rm -f "$directory/data/s" ;;
    start) start ;;
    freeze) kill -STOP "$server" ;;
    thaw) kill -CONT "$server" ;;
    esac
    echo done
done
