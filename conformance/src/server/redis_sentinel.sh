# Starts three sentinels, a master and two replicas in one container, by Redis or Valkey: `redis PASSWORD PORTS` or
# `valkey PASSWORD PORTS`. The first three ports are those of the sentinels, the fourth is that of the first master.
# All have the same password. They announce themselves on 127.0.0.1, because tests reach them there by the same ports.
# A server's number is in the file PORT.pid, and it can be started again with PORT.conf.
password=$1
# shellcheck disable=SC2086 # it is a list
set -- $2
sentinels="$1 $2 $3"
master=$4
servers="$4 $5 $6"
pids=
if [ ! -e formed ]; then
    for port in $servers; do
        mkdir "$port"
        printf '%s\n' "port $port" "dir $PWD/$port" "pidfile $PWD/$port.pid" "requirepass $password" \
            "masterauth $password" "replica-announce-ip 127.0.0.1" "repl-diskless-sync-delay 0" \
            > "$port.conf"
        [ "$port" = "$master" ] || echo "replicaof 127.0.0.1 $master" >> "$port.conf"
    done
    for port in $sentinels; do
        printf '%s\n' "port $port" "requirepass $password" "sentinel sentinel-pass $password" \
            "sentinel announce-ip 127.0.0.1" "sentinel announce-port $port" "sentinel monitor main 127.0.0.1 $master 2" \
            "sentinel auth-pass main $password" "sentinel down-after-milliseconds main 1000" \
            "sentinel failover-timeout main 5000" "sentinel parallel-syncs main 2" > "$port.conf"
    done
fi
for port in $servers; do
    "$0-server" "$port.conf" &
    pids="$pids $!"
done
form() {
    until "$0-cli" -p "$master" info replication 2>&1 | grep -q connected_slaves:2 || [ -e formed ]; do sleep 0.05; done
    touch formed
    for port in $sentinels; do
        "$0-server" "$port.conf" --sentinel &
    done
    for port in $sentinels; do
        # The defaults are made for networks. With them a demotion takes eight seconds, and every failover some.
        until "$0-cli" -p "$port" sentinel debug info-period 300 ping-period 200 ask-period 200 publish-period 300 \
            min-link-reconnect-period 1000 2>&1 | grep -q OK; do sleep 0.05; done
    done
    wait
}
# Nothing may run in the foreground, because the shell handles a signal only after a foreground process has ended.
form &
pids="$pids $!"
# shellcheck disable=SC2086 # it is a list
trap 'kill $pids; wait $pids; exit' TERM
# The container stays while a test has killed a server.
while :; do
    sleep 3600 &
    wait $!
done
