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
    /// Where it listens.
    pub(super) port: u16,
    /// What tells that it answers.
    pub(super) probe: Probe,
    /// The variables that the image takes. `{password}` becomes the password here and in the next two.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Its command; empty for the image's own.
    pub(super) command: &'static [&'static str],
    /// Where stores connect. `{address}` becomes `host:port`.
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
    port: 5432,
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
    port: 3306,
    probe: Probe::Mysql,
    environment: &[
        ("MYSQL_RANDOM_ROOT_PASSWORD", "yes"),
        ("MYSQL_DATABASE", USER),
        ("MYSQL_USER", USER),
        ("MYSQL_PASSWORD", "{password}"),
    ],
    command: &["mysqld", "--max-connections=500"],
    url: "mysql://conformance:{password}@{address}/conformance",
};

pub(super) const MARIADB: Kind = Kind {
    name: "mariadb",
    image: "mariadb:11.8.9",
    port: 3306,
    probe: Probe::Mysql,
    environment: &[
        ("MARIADB_RANDOM_ROOT_PASSWORD", "yes"),
        ("MARIADB_DATABASE", USER),
        ("MARIADB_USER", USER),
        ("MARIADB_PASSWORD", "{password}"),
    ],
    command: &["mariadbd", "--max-connections=500"],
    url: "mariadb://conformance:{password}@{address}/conformance",
};

pub(super) const REDIS: Kind = Kind {
    name: "redis",
    image: "redis:8.0.6",
    port: 6379,
    probe: Probe::Redis,
    environment: &[],
    command: &["redis-server", "--requirepass", "{password}"],
    url: "redis://:{password}@{address}/0",
};

pub(super) const VALKEY: Kind = Kind {
    name: "valkey",
    image: "valkey/valkey:9.1.2",
    port: 6379,
    probe: Probe::Redis,
    environment: &[],
    command: &["valkey-server", "--requirepass", "{password}"],
    url: "redis://:{password}@{address}/0",
};

pub(super) const MONGO: Kind = Kind {
    name: "mongo",
    image: "mongo:8.2.12",
    port: 27017,
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
    port: 8000,
    probe: Probe::Http,
    environment: &[],
    command: &[],
    url: "dynamodb://conformance:{password}@{address}/us-east-1",
};
