#!/bin/sh
# A private MariaDB server for one run of the tests.
#
#   mariadb.sh DIRECTORY PORT CONNECTIONS [CERTIFICATE]
#
# Makes a data directory in DIRECTORY (which must be empty), says `ready` once it answers, and ends
# it and removes the directory when standard input closes: however the tests end, nothing is left.
#
# With DURABLE=1 in the environment what it acknowledges survives a power failure, as in use.
set -eu
[ -n "${DURABLE-}" ] && flush=1 || flush=2
# A Ctrl-C, or a time-out of the tests, is for the tests: with them standard input closes.
trap '' HUP INT TERM PIPE
directory=$1 port=$2 connections=$3 certificate=${4-}

PATH=$PATH:/usr/sbin
command -v mariadbd >/dev/null || { echo "no MariaDB server here: run tests/setup"; exit 1; }

# It is nobody's superuser here.
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

# Of its own: a server that starts removes what others have in theirs.
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

# A statement whose client has gone, as a host that a test ends does, ends some time.
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
# Nobody may be there to read this any more.
echo ready || true

# A test may take its server away for a while.
while read -r word; do
    case $word in
    stop) kill -KILL "$server"; wait "$server" 2>/dev/null || true; rm -f "$directory/data/s" ;;
    start) start ;;
    freeze) kill -STOP "$server" ;;
    thaw) kill -CONT "$server" ;;
    esac
    echo done
done
