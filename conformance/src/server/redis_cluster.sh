# Starts a Redis or Valkey cluster in one container: `redis PASSWORD PORTS` or `valkey PASSWORD PORTS`, with one
# master per port.
# The nodes announce themselves on 127.0.0.1, because tests reach them there by the same ports.
password=$1
nodes=
pids=
number=0
for port in $2; do
    number=$((number + 1))
    mkdir -p "node$number"
    "$0-server" --dir "node$number" --port "$port" --cluster-port "1600$number" --cluster-enabled yes \
        --cluster-announce-ip 127.0.0.1 --requirepass "$password" --masterauth "$password" &
    pids="$pids $!"
    nodes="$nodes 127.0.0.1:$port"
done
form() {
    for port in $1; do
        until "$0-cli" -p "$port" ping 2>&1 | grep -q PONG; do sleep 0.05; done
    done
    # A cluster that was stopped knows its nodes already.
    # shellcheck disable=SC2086 # it is a list
    [ -e formed ] || { "$0-cli" --cluster create $nodes --cluster-yes && touch formed; }
}
# Nothing may run in the foreground, because the shell handles a signal only after a foreground process has ended.
# shellcheck disable=SC2086 # it is a list
trap 'kill $pids' TERM
form "$2" &
# shellcheck disable=SC2086 # it is a list
wait $pids
wait
