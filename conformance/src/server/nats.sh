# Starts NATS servers with JetStream in one container: `nats PASSWORD "PORT…" [CONFIGURATION]`. Several are a cluster.
# The process of a server is in the file PORT.pid of /tmp/sessions, and `sh /tmp/sessions/start PORT` starts it again.
password=$1 ports=$2 more=$3
folder=/tmp/sessions
# For the further configuration.
export PASSWORD="$password"
authorization="authorization { user: conformance, password: \"$password\" }"
case $more in *authorization*) authorization= ;; esac
jetstream="jetstream { store_dir: \"$folder/data\", sync_interval: always }"
case $more in *jetstream*) jetstream= ;; esac
make() {
    mkdir "$folder" || exit
    routes=
    number=0
    for port in $ports; do
        number=$((number + 1))
        routes="$routes${routes:+, }\"nats://127.0.0.1:$((4500 + number))\""
    done
    servers=$number
    number=0
    for port in $ports; do
        number=$((number + 1))
        cat > "$folder/$port.conf" <<CONF
server_name: "server-$number"
listen: "0.0.0.0:$port"
pid_file: "$folder/$port.pid"
$authorization
$jetstream
$more
CONF
        if [ "$servers" -gt 1 ]; then
            sed -i "s|$folder/data|$folder/data-$number|" "$folder/$port.conf"
            echo "cluster { name: conformance, listen: \"127.0.0.1:$((4500 + number))\", routes: [$routes] }" >> "$folder/$port.conf"
        fi
    done
    cat > "$folder/start" <<START
exec nats-server -c "$folder/\$1.conf"
START
}
[ -e "$folder" ] || make
for port in $ports; do
    sh "$folder/start" "$port" &
done
trap 'cat $folder/*.pid | xargs kill; wait; exit' TERM INT
# The container stays while a test has killed a server. Nothing may run in the foreground, because the shell handles a signal only after a
# foreground process has ended.
while :; do
    sleep 3600 &
    wait $!
done
