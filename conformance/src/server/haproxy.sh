# Starts HAProxy in TCP mode on port 3306, before the server at HOST and PORT: `haproxy HOST PORT`.
# It ends connections that were idle for longer than the time-out of the suite's stores.
cat > /tmp/haproxy.cfg << END
defaults
    mode tcp
    timeout connect 5s
    timeout client 6s
    timeout server 6s
listen server
    bind :3306
    server one $1:$2
END
exec "$0" -f /tmp/haproxy.cfg
