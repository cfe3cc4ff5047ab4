//! Kinds of servers: images, commands and URLs.

use super::probe::Probe;

/// Name of the user and of the database in a container.
const USER: &str = "conformance";

/// A kind of server.
pub(super) struct ServerKind {
    /// Name in variables and messages.
    pub(super) name: &'static str,
    /// Official image. `docker-compose.yml` names the same one.
    pub(super) image: &'static str,
    /// Kind whose variable sets the image. A cluster uses the image of its server.
    pub(super) image_of: &'static str,
    /// Port of the server. Nodes of a cluster listen on the ports by which they are reached, because they announce them.
    pub(super) port: u16,
    /// Number of nodes. A cluster has more than one.
    pub(super) nodes: usize,
    /// Probe that tells whether the server answers.
    pub(super) probe: Probe,
    /// Environment of the container. `{password}` stands for the password, also in `command` and `url`; `{ports}` for
    /// the nodes' ports.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Command of the container; empty for the image's own.
    pub(super) command: &'static [&'static str],
    /// URL for stores. `{address}` stands for `host:port` of each node, separated by commas, and `{sentinels}` for those of the first three.
    url: &'static str,
}

impl ServerKind {
    /// Returns the URL of a server of this kind.
    pub(super) fn url(&self, addresses: &[String], password: &str) -> String {
        let sentinels = &addresses[..addresses.len().min(3)];
        let url = self.url.replace("{address}", &addresses.join(",")).replace("{sentinels}", &sentinels.join(","));
        url.replace("{password}", password)
    }
}

pub(super) const POSTGRES: ServerKind = ServerKind {
    name: "postgres",
    image: "postgres:18.6",
    image_of: "postgres",
    port: 5432,
    nodes: 1,
    probe: Probe::Postgres { user: USER, database: USER },
    environment: &[("POSTGRES_USER", USER), ("POSTGRES_PASSWORD", "{password}")],
    // Clauses run in parallel. Each opens several instances of the store, and each instance has its own pool.
    command: &["postgres", "-c", "max_connections=500"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "postgres://conformance:{password}@{address}/conformance?sslmode=disable",
};

/// A primary and its standby in one container.
pub(super) const POSTGRES_PAIR: ServerKind = ServerKind {
    name: "postgres_pair",
    image: POSTGRES.image,
    image_of: "postgres",
    port: 5432,
    nodes: 2,
    probe: Probe::Postgres { user: USER, database: USER },
    environment: &[("POSTGRES_USER", USER), ("POSTGRES_PASSWORD", "{password}")],
    command: &["sh", "-c", include_str!("postgres_pair.sh"), "postgres", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "postgres://conformance:{password}@{address}/conformance?sslmode=disable",
};

/// Three PgBouncers in one container, before a PostgreSQL server. Its address follows the command.
pub(super) const PGBOUNCER: ServerKind = ServerKind {
    name: "pgbouncer",
    image: "edoburu/pgbouncer:v1.25.2-p0",
    image_of: "pgbouncer",
    port: 6432,
    nodes: 3,
    probe: Probe::Postgres { user: USER, database: USER },
    // The official image makes a configuration, which the command does not use.
    environment: &[("DB_HOST", "localhost")],
    command: &["sh", "-c", include_str!("pgbouncer.sh"), "pgbouncer", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "postgres://conformance:{password}@{address}/conformance?sslmode=disable",
};

pub(super) const MYSQL: ServerKind = ServerKind {
    name: "mysql",
    image: "mysql:9.7.4",
    image_of: "mysql",
    port: 3306,
    nodes: 1,
    probe: Probe::Mysql,
    environment: &[
        ("MYSQL_ROOT_PASSWORD", "{password}"),
        ("MYSQL_DATABASE", USER),
        ("MYSQL_USER", USER),
        ("MYSQL_PASSWORD", "{password}"),
    ],
    command: &["mysqld", "--max-connections=500"],
    // The server's certificate is self-signed and cannot be verified.
    url: "mysql://conformance:{password}@{address}/conformance?ssl-mode=preferred",
};

pub(super) const MARIADB: ServerKind = ServerKind {
    name: "mariadb",
    image: "mariadb:11.8.9",
    image_of: "mariadb",
    port: 3306,
    nodes: 1,
    probe: Probe::Mysql,
    environment: &[
        ("MARIADB_ROOT_PASSWORD", "{password}"),
        ("MARIADB_DATABASE", USER),
        ("MARIADB_USER", USER),
        ("MARIADB_PASSWORD", "{password}"),
    ],
    command: &["mariadbd", "--max-connections=500"],
    // The server's certificate is self-signed and cannot be verified.
    url: "mariadb://conformance:{password}@{address}/conformance?ssl-mode=preferred",
};

/// Three nodes of a Galera cluster in one container.
pub(super) const MARIADB_GALERA: ServerKind = ServerKind {
    name: "mariadb_galera",
    image: MARIADB.image,
    image_of: "mariadb",
    port: 3306,
    nodes: 3,
    probe: Probe::Mysql,
    environment: &[],
    command: &["sh", "-c", include_str!("mariadb_galera.sh"), "mariadb", "{password}", "{ports}"],
    // The server's certificate is self-signed and cannot be verified.
    url: MARIADB.url,
};

/// HAProxy in TCP mode before a MySQL server. Its address follows the command.
pub(super) const HAPROXY: ServerKind = ServerKind {
    name: "haproxy",
    image: "haproxy:3.2.25",
    image_of: "haproxy",
    port: 3306,
    nodes: 1,
    // The server behind it speaks first.
    probe: Probe::Mysql,
    environment: &[],
    command: &["sh", "-c", include_str!("haproxy.sh"), "haproxy"],
    // The certificate is that of the server behind it.
    url: "mysql://conformance:{password}@{address}/conformance?ssl-mode=preferred",
};

pub(super) const REDIS: ServerKind = ServerKind {
    name: "redis",
    image: "redis:8.0.6",
    image_of: "redis",
    port: 6379,
    nodes: 1,
    probe: Probe::Redis,
    environment: &[],
    command: &["redis-server", "--requirepass", "{password}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "redis://:{password}@{address}/0?tls=false",
};

pub(super) const VALKEY: ServerKind = ServerKind {
    name: "valkey",
    image: "valkey/valkey:9.1.2",
    image_of: "valkey",
    port: 6379,
    nodes: 1,
    probe: Probe::Redis,
    environment: &[],
    command: &["valkey-server", "--requirepass", "{password}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "redis://:{password}@{address}/0?tls=false",
};

pub(super) const MEMCACHED: ServerKind = ServerKind {
    name: "memcached",
    image: "memcached:1.6.39",
    image_of: "memcached",
    port: 11211,
    nodes: 1,
    probe: Probe::Memcached,
    environment: &[],
    // Clauses run in parallel. Each opens several instances of the store, and each instance has its own connections.
    command: &[
        "sh",
        "-c",
        "printf 'conformance:%s\\n' \"$0\" > /tmp/users && exec memcached -m 512 -c 8192 -Y /tmp/users \"$@\"",
        "{password}",
    ],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "memcached://conformance:{password}@{address}/?tls=false",
};

/// Three servers in one container, which know nothing of each other.
pub(super) const MEMCACHED_SEVERAL: ServerKind = ServerKind {
    name: "memcached_several",
    image: MEMCACHED.image,
    image_of: "memcached",
    port: 11211,
    nodes: 3,
    probe: Probe::Memcached,
    environment: &[],
    command: &[
        "sh",
        "-c",
        "printf 'conformance:%s\\n' \"$0\" > /tmp/users
        for port in $1; do memcached -m 256 -c 8192 -Y /tmp/users -p \"$port\" & done; wait",
        "{password}",
        "{ports}",
    ],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "memcached://conformance:{password}@{address}/?tls=false",
};

pub(super) const NATS: ServerKind = ServerKind {
    name: "nats",
    // The one with a shell.
    image: "nats:2.15.2-alpine",
    image_of: "nats",
    port: 4222,
    nodes: 1,
    probe: Probe::Nats { user: USER },
    environment: &[],
    command: &["sh", "-c", include_str!("nats.sh"), "nats", "{password}", "4222"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "nats://conformance:{password}@{address}/sessions?tls=false",
};

/// Cluster of three servers in one container.
pub(super) const NATS_CLUSTER: ServerKind = ServerKind {
    name: "nats_cluster",
    image: NATS.image,
    image_of: "nats",
    port: 4222,
    nodes: 3,
    probe: Probe::Nats { user: USER },
    environment: &[],
    command: &["sh", "-c", include_str!("nats.sh"), "nats", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "nats://conformance:{password}@{address}/sessions?replicas=3&tls=false",
};

pub(super) const MONGO: ServerKind = ServerKind {
    name: "mongo",
    image: "mongo:8.2.12",
    image_of: "mongo",
    port: 27017,
    nodes: 1,
    probe: Probe::Mongo,
    environment: &[("MONGO_INITDB_ROOT_USERNAME", USER), ("MONGO_INITDB_ROOT_PASSWORD", "{password}")],
    // By default expired records are removed once a minute. A clause waits for it.
    command: &["mongod", "--setParameter", "ttlMonitorSleepSecs=5"],
    // The first user belongs to the server, not to the database. A container of the suite has no TLS.
    url: "mongodb://conformance:{password}@{address}/conformance?authSource=admin&tls=false",
};

pub(super) const DYNAMO: ServerKind = ServerKind {
    name: "dynamo",
    image: "amazon/dynamodb-local:2.6.1",
    image_of: "dynamo",
    port: 8000,
    nodes: 1,
    probe: Probe::Http,
    environment: &[],
    command: &[],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "dynamodb://conformance:{password}@{address}/us-east-1?tls=false",
};

/// Cluster of three masters in one container.
pub(super) const REDIS_CLUSTER: ServerKind = ServerKind {
    name: "redis_cluster",
    image: REDIS.image,
    image_of: "redis",
    port: 6379,
    nodes: 3,
    probe: Probe::RedisCluster,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_cluster.sh"), "redis", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "redis+cluster://:{password}@{address}/?tls=false",
};

/// Cluster of three masters in one container.
pub(super) const VALKEY_CLUSTER: ServerKind = ServerKind {
    name: "valkey_cluster",
    image: VALKEY.image,
    image_of: "valkey",
    port: 6379,
    nodes: 3,
    probe: Probe::RedisCluster,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_cluster.sh"), "valkey", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "valkey+cluster://:{password}@{address}/?tls=false",
};

/// Three sentinels, a master and two replicas in one container.
pub(super) const REDIS_SENTINEL: ServerKind = ServerKind {
    name: "redis_sentinel",
    image: REDIS.image,
    image_of: "redis",
    port: 26_379,
    nodes: 6,
    probe: Probe::RedisSentinel,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_sentinel.sh"), "redis", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "redis+sentinel://:{password}@{sentinels}/main?sentinel-password={password}&tls=false",
};

/// Three sentinels, a master and two replicas in one container.
pub(super) const VALKEY_SENTINEL: ServerKind = ServerKind {
    name: "valkey_sentinel",
    image: VALKEY.image,
    image_of: "valkey",
    port: 26_379,
    nodes: 6,
    probe: Probe::RedisSentinel,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_sentinel.sh"), "valkey", "{password}", "{ports}"],
    // A container of the suite has no TLS, wherever Docker runs.
    url: "valkey+sentinel://:{password}@{sentinels}/main?sentinel-password={password}&tls=false",
};
