//! What the servers are, and how each is asked for.

use super::probe::Probe;

/// The user, and the database, that containers are started with.
const USER: &str = "conformance";

/// A kind of server.
pub(super) struct Kind {
    /// Its name in variables and messages.
    pub(super) name: &'static str,
    /// The official image. `docker-compose.yml` names the same one.
    pub(super) image: &'static str,
    /// Whose image it is, in variables: its own name, or that of the kind that it is made of.
    pub(super) image_of: &'static str,
    /// Where it listens. A cluster's nodes tell others where they are, so they listen on the ports by which they are reached.
    pub(super) port: u16,
    /// How many nodes it has: more than one makes it a cluster.
    pub(super) nodes: usize,
    /// What tells that it answers.
    pub(super) probe: Probe,
    /// The variables that the image takes. `{password}` becomes the password here and in the next two, `{ports}` the nodes' ports.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Its command; empty for the image's own.
    pub(super) command: &'static [&'static str],
    /// Where stores connect. `{address}` becomes `host:port`, of each node with commas between.
    url: &'static str,
}

impl Kind {
    /// The URL of such a server.
    pub(super) fn url(&self, address: &str, password: &str) -> String {
        self.url.replace("{address}", address).replace("{password}", password)
    }
}

pub(super) const POSTGRES: Kind = Kind {
    name: "postgres",
    image: "postgres:18.6",
    image_of: "postgres",
    port: 5432,
    nodes: 1,
    probe: Probe::Postgres { user: USER, database: USER },
    environment: &[("POSTGRES_USER", USER), ("POSTGRES_PASSWORD", "{password}")],
    // Clauses run side by side, each with several instances of the store, each with a pool of its own.
    command: &["postgres", "-c", "max_connections=500"],
    // In a container of the suite there is no TLS, wherever Docker is reached.
    url: "postgres://conformance:{password}@{address}/conformance?sslmode=disable",
};

pub(super) const MYSQL: Kind = Kind {
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
    // The server has made its own certificate, which nobody can verify.
    url: "mysql://conformance:{password}@{address}/conformance?ssl-mode=preferred",
};

pub(super) const MARIADB: Kind = Kind {
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
    // The server has made its own certificate, which nobody can verify.
    url: "mariadb://conformance:{password}@{address}/conformance?ssl-mode=preferred",
};

pub(super) const REDIS: Kind = Kind {
    name: "redis",
    image: "redis:8.0.6",
    image_of: "redis",
    port: 6379,
    nodes: 1,
    probe: Probe::Redis,
    environment: &[],
    command: &["redis-server", "--requirepass", "{password}"],
    url: "redis://:{password}@{address}/0",
};

pub(super) const VALKEY: Kind = Kind {
    name: "valkey",
    image: "valkey/valkey:9.1.2",
    image_of: "valkey",
    port: 6379,
    nodes: 1,
    probe: Probe::Redis,
    environment: &[],
    command: &["valkey-server", "--requirepass", "{password}"],
    url: "redis://:{password}@{address}/0",
};

pub(super) const MONGO: Kind = Kind {
    name: "mongo",
    image: "mongo:8.2.12",
    image_of: "mongo",
    port: 27017,
    nodes: 1,
    probe: Probe::Mongo,
    environment: &[("MONGO_INITDB_ROOT_USERNAME", USER), ("MONGO_INITDB_ROOT_PASSWORD", "{password}")],
    // Once a minute is the usual pace of what removes the expired, and a clause waits for it.
    command: &["mongod", "--setParameter", "ttlMonitorSleepSecs=5"],
    // The first user is the server's and not the database's. In a container of the suite there is no TLS.
    url: "mongodb://conformance:{password}@{address}/conformance?authSource=admin&tls=false",
};

pub(super) const DYNAMO: Kind = Kind {
    name: "dynamo",
    image: "amazon/dynamodb-local:2.6.1",
    image_of: "dynamo",
    port: 8000,
    nodes: 1,
    probe: Probe::Http,
    environment: &[],
    command: &[],
    // No TLS in a container of the suite, wherever Docker is reached.
    url: "dynamodb://conformance:{password}@{address}/us-east-1?tls=false",
};

/// Three masters in one container.
pub(super) const REDIS_CLUSTER: Kind = Kind {
    name: "redis_cluster",
    image: REDIS.image,
    image_of: "redis",
    port: 6379,
    nodes: 3,
    probe: Probe::RedisCluster,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_cluster.sh"), "redis", "{password}", "{ports}"],
    url: "redis+cluster://:{password}@{address}/",
};

/// Three masters in one container.
pub(super) const VALKEY_CLUSTER: Kind = Kind {
    name: "valkey_cluster",
    image: VALKEY.image,
    image_of: "valkey",
    port: 6379,
    nodes: 3,
    probe: Probe::RedisCluster,
    environment: &[("REDISCLI_AUTH", "{password}")],
    command: &["sh", "-c", include_str!("redis_cluster.sh"), "valkey", "{password}", "{ports}"],
    url: "valkey+cluster://:{password}@{address}/",
};
