# Starts three PgBouncers in one container, each on its port: `pgbouncer PASSWORD "PORT PORT PORT" HOST PORT`. They stand in
# front of the PostgreSQL server at the last HOST and PORT, whose user has the same password.
# 1. Transaction mode without prepared statements. It refuses the options of a client's start-up message.
# 2. Transaction mode with prepared statements. It drops those options without a word.
# 3. Session mode.
password=$1
upstream="host=$3 port=$4"
pids=
listen() {
    folder=/tmp/bouncer$1
    mkdir -p "$folder"
    printf '"conformance" "%s"\n' "$password" > "$folder/users"
    cat > "$folder/ini" << END
[databases]
* = $upstream
[pgbouncer]
listen_addr = *
listen_port = $1
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $folder/users
admin_users = conformance
max_client_conn = 2000
pool_mode = $2
max_prepared_statements = $3
default_pool_size = $4
ignore_startup_parameters = $5
; Consecutive messages of one client go to different sessions of the server.
server_round_robin = 1
log_connections = 0
log_disconnections = 0
log_pooler_errors = 0
END
    "$0" "$folder/ini" &
    pids="$pids $!"
}
# Split into the three ports.
# shellcheck disable=SC2086 # it is a list
set -- $2
listen "$1" transaction 0 20 ""
listen "$2" transaction 100 20 extra_float_digits,options
listen "$3" session 0 300 ""
# shellcheck disable=SC2086 # it is a list
trap 'kill $pids' TERM INT
# shellcheck disable=SC2086 # it is a list
wait $pids
wait
