# Starts three nodes of a MariaDB Galera cluster in one container: `mariadb PASSWORD "PORT PORT PORT"`.
# A node's process is in the file PORT.pid of /tmp/galera. `sh /tmp/galera/start PORT` starts it again: it gets from the others what it has
# missed, or all their data if the folder PORT is gone.
password=$1
# shellcheck disable=SC2086 # it is a list
set -- $2
folder=/tmp/galera
# The official image runs this as root, as whom the server refuses to run.
as=
[ "$(id -u)" != 0 ] || as='gosu mysql'
members=gcomm://127.0.0.1:4501,127.0.0.1:4511,127.0.0.1:4521
configure() {
    cat > "$folder/$1.cnf" <<CNF
[mysqld]
port=$1
datadir=$folder/$1
socket=$folder/$1.sock
pid-file=$folder/$1.pid
bind-address=0.0.0.0
skip-name-resolve
max-connections=500
innodb-buffer-pool-size=64M
innodb-log-file-size=32M
innodb-autoinc-lock-mode=2
binlog-format=ROW
wsrep-on=ON
wsrep-provider=/usr/lib/galera/libgalera_smm.so
loose-plugin-wsrep-provider=OFF
wsrep-provider-options="base_port=$2; gmcast.listen_addr=tcp://127.0.0.1:$2; ist.recv_addr=127.0.0.1:$(($2 + 1)); gcache.size=32M"
wsrep-cluster-name=conformance
wsrep-cluster-address=$members
wsrep-node-name=$1
wsrep-node-address=127.0.0.1
wsrep-sst-method=mariabackup
wsrep-sst-auth=sst:$password
wsrep-sst-receive-address=127.0.0.1:$(($2 + 2))
CNF
}
ready() {
    until mariadb --user=sst --password="$password" --host=localhost --socket="$folder/$1.sock" \
        --execute="show status like 'wsrep_ready'" 2>&1 | grep -q ON; do sleep 0.1; done
}
make() {
    $as mkdir "$folder"
    # The official image has no data yet.
    if [ -d /data/db ]; then
        $as cp -r /data/db "$folder/$1"
    else
        $as mariadb-install-db --no-defaults --datadir="$folder/$1" --skip-test-db > /dev/null
    fi
    $as mariadbd --no-defaults --datadir="$folder/$1" --bootstrap --innodb-log-file-size=32M <<SQL
flush privileges;
create database conformance;
create user conformance@'%' identified by '$password';
grant all on conformance.* to conformance@'%';
create user root@'%' identified by '$password';
grant all on *.* to root@'%' with grant option;
create user sst@localhost identified by '$password';
grant all on *.* to sst@localhost;
SQL
    configure "$1" 4501
    configure "$2" 4511
    configure "$3" 4521
    cat > "$folder/start" <<'START'
port=$1
shift
cd /tmp/galera || exit
as=
[ "$(id -u)" != 0 ] || as='gosu mysql'
$as mkdir -p "$port"
# A node that was killed does not know how far it had come.
if grep -qs 'seqno: *-1' "$port/grastate.dat"; then
    position=$($as mariadbd --defaults-file="$PWD/$port.cnf" --wsrep-recover --log-error= 2>&1 | sed -n 's/.*Recovered position: *//p')
    set -- "$@" ${position:+--wsrep-start-position=$position}
fi
exec $as mariadbd --defaults-file="$PWD/$port.cnf" "$@"
START
    # All nodes begin with the data of one that has been a cluster by itself, so they get from it only what comes after that.
    sh "$folder/start" "$1" --wsrep-new-cluster &
    ready "$1"
    kill $!
    wait $!
    $as cp -r "$folder/$1" "$folder/$2"
    $as cp -r "$folder/$1" "$folder/$3"
}
run() {
    if [ -e "$folder" ]; then
        for port in "$@"; do
            sh "$folder/start" "$port" &
        done
    else
        make "$@"
        option=--wsrep-new-cluster
        # One after the other, because nodes that join at once have to agree first, which takes longer.
        for port in "$@"; do
            # shellcheck disable=SC2086 # the option is for the first node only
            sh "$folder/start" "$port" $option &
            option=
            ready "$port"
        done
    fi
    wait
}
run "$@" &
# Killed at once, the nodes know that they were together, and become a cluster again by themselves.
trap 'cat $folder/*.pid | xargs kill -KILL; exit' TERM INT
# The container stays while a test has killed a node. Nothing may run in the foreground, because the shell handles a signal only after a
# foreground process has ended.
while :; do
    sleep 3600 &
    wait $!
done
