# Starts a PostgreSQL primary and a standby of it in one container: `postgres PASSWORD "PORT PORT"`. The primary has the first port.
# The replication is asynchronous. A test stops a server by `copy (select) to program 'pg_ctl stop …'`, and promotes the standby by
# `select pg_promote()`.
password=$1
# Split into the two ports.
# shellcheck disable=SC2086 # it is a list
set -- $2
# The official image runs this as root, as whom the server refuses to run.
as=
[ "$(id -u)" != 0 ] || as='gosu postgres'
folder=/tmp/pair
pids=
run() {
    # shellcheck disable=SC2086 # it is a list
    $as "$0" -D "$folder/$1" -p "$1" -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=200 &
    pids="$pids $!"
}
ready() {
    until pg_isready --quiet --host=/tmp --port="$1"; do sleep 0.05; done
}
make() {
    $as mkdir "$folder"
    # The entrypoint of the image may have made a server already.
    if [ -s "${PGDATA:-}/PG_VERSION" ]; then
        mv "$PGDATA" "$folder/$1"
        return
    fi
    # shellcheck disable=SC2086 # it is a list
    echo "$password" | $as initdb -D "$folder/$1" --username=conformance --pwfile=/dev/stdin --auth-local=trust \
        --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync > /dev/null
    echo 'host all all all scram-sha-256' >> "$folder/$1/pg_hba.conf"
    echo 'create database conformance' | $as "$0" --single -D "$folder/$1" postgres > /dev/null
}
start() {
    ready "$1"
    [ -e "$folder/$2" ] || $as pg_basebackup --host=/tmp --port="$1" --username=conformance --pgdata="$folder/$2" \
        --write-recovery-conf --checkpoint=fast --no-sync
}
[ -e "$folder" ] || make "$1"
run "$1"
start "$1" "$2"
run "$2"
# Nothing may run in the foreground, because the shell handles a signal only after a foreground process has ended.
# shellcheck disable=SC2086 # it is a list
trap 'kill -INT $pids' TERM INT
# shellcheck disable=SC2086 # it is a list
wait $pids
wait
