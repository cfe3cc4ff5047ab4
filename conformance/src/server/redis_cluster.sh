# A cluster of Redis or Valkey in one container: `redis PASSWORD PORTS` or `valkey PASSWORD PORTS`, a master for each of the ports.
# The nodes meet on 127.0.0.1, where they announce themselves: whoever tests reaches the same ports there.
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
    # One that was stopped knows its nodes already.
    # shellcheck disable=SC2086 # it is a list
    [ -e formed ] || { "$0-cli" --cluster create $nodes --cluster-yes && touch formed; }
}
# Nothing may run in the foreground: the shell would hear of the end only after it, if at all.
# shellcheck disable=SC2086 # it is a list
trap 'kill $pids' TERM
form "$2" &
# shellcheck disable=SC2086 # it is a list
wait $pids
wait
