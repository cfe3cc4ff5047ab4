//! Servers that test programs need, and the variables by which the programs find them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::build::{Kind, Program};
use crate::images::{self, Image, Images};
use crate::process;
use crate::result::Result;
use crate::workspace::Workspace;

/// Stores whose tests start servers, with the services of `docker-compose.yml`.
const STORES: &[(&str, &[&str])] = &[
    ("session-store-postgres", &["postgres"]),
    ("session-store-mysql", &["mysql", "mariadb"]),
    ("session-store-redis", &["redis", "valkey"]),
    ("session-store-memcached", &["memcached"]),
    ("session-store-nats", &["nats"]),
    ("session-store-mongo", &["mongo"]),
    ("session-store-dynamo", &["dynamo"]),
];

/// Servers that the tests also run as clusters, pairs and with sentinels, from the same image.
const CLUSTERS: &[(&str, &str)] = &[
    ("redis", "redis_cluster"),
    ("valkey", "valkey_cluster"),
    ("redis", "redis_sentinel"),
    ("valkey", "valkey_sentinel"),
    ("postgres", "postgres_pair"),
    ("mariadb", "mariadb_galera"),
    ("nats", "nats_cluster"),
];

/// All servers.
const ALL: &[&str] = &["postgres", "mysql", "mariadb", "redis", "valkey", "memcached", "nats", "mongo", "dynamo"];

/// Time limit for removing containers.
const REMOVAL: Duration = Duration::from_secs(60);

/// Returns the servers that a test program starts. Unit tests start none.
pub(super) fn needed(program: &Program) -> &'static [&'static str] {
    match (&*program.package, &*program.target, program.kind) {
        (_, _, Kind::Unit) => &[],
        ("session-conformance", "server", _) | ("demo", "three_stores", _) => &["redis"],
        ("session-store-any", "logins", _) => &["postgres", "redis"],
        ("session-store-postgres", "pgbouncer" | "poolers", _) => &["postgres", "pgbouncer"],
        ("session-store-mysql", "deployed", _) => &["mysql", "haproxy", "mariadb"],
        ("demo", "databases", _) | ("session-store-any", "stopped", _) => ALL,
        (package, ..) => STORES.iter().find(|(store, _)| *store == package).map_or(&[], |(_, servers)| servers),
    }
}

/// Returns the variables by which a program finds the servers that `wanted` selects. Fails if one of them is not available.
pub(crate) fn variables(workspace: &Workspace, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let mut servers = Servers::named(workspace, ALL.iter().copied().filter(|name| wanted(name)).collect());
    if let Some((name, why)) = servers.missing.first_key_value() {
        return Err(format!("{name} cannot be had: {why}").into());
    }
    // The program removes its own containers.
    servers.run = None;
    Ok(std::mem::take(&mut servers.variables).into_iter().collect())
}

/// Servers that are available in this run.
#[derive(Debug, Default)]
pub(super) struct Servers {
    variables: BTreeMap<String, String>,
    /// Servers that are not available, and why.
    missing: BTreeMap<&'static str, String>,
    /// Label of this run's containers. `None` if none can have been started.
    run: Option<String>,
}

impl Servers {
    /// Gets the images of the servers that these programs need. A missing server fails only the programs that need it.
    pub(super) fn of(workspace: &Workspace, programs: &[&Program]) -> Self {
        let mut names: Vec<&'static str> = programs.iter().flat_map(|program| needed(program)).copied().collect();
        names.sort_unstable();
        names.dedup();
        Self::named(workspace, names)
    }

    /// Gets the images of these servers.
    fn named(workspace: &Workspace, mut names: Vec<&'static str>) -> Self {
        // A server whose URL or image is given needs no preparation.
        names.retain(|name| {
            let said = |of: &str, what| std::env::var_os(variable(of, what)).is_some();
            let clusters = CLUSTERS.iter().filter(|(server, _)| server == name);
            let all_are_there = said(name, "URL") && clusters.clone().all(|(_, cluster)| said(cluster, "URL"));
            !said(name, "IMAGE") && !all_are_there
        });
        let mut servers = Self::default();
        if names.is_empty() {
            return servers;
        }
        match prepare(workspace, &names) {
            Ok(found) => {
                for (name, image) in found {
                    match image {
                        Ok(Image::Official(_)) => {}
                        Ok(Image::Built(image)) => drop(servers.variables.insert(variable(name, "IMAGE"), image)),
                        Err(error) => drop(servers.missing.insert(name, error.to_string())),
                    }
                }
                servers.name_run();
            }
            Err(error) => {
                println!("servers: {error}");
                servers.missing.extend(names.into_iter().map(|name| (name, "see above, under servers".to_owned())));
            }
        }
        servers
    }

    fn name_run(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{}-{}", std::process::id(), since.as_millis());
        self.variables.insert("CONFORMANCE_RUN".into(), run.clone());
        self.run = Some(run);
    }

    /// Returns why this program cannot run, if a server is missing.
    pub(super) fn missing(&self, program: &Program) -> Option<String> {
        needed(program).iter().find_map(|name| Some(format!("{name} cannot be had: {}", self.missing.get(name)?)))
    }

    /// Returns the environment variables for test programs.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl Servers {
    /// Removes containers that outlived their test programs, which happens only if those were killed.
    pub(super) fn clean(&mut self) {
        let Some(run) = self.run.take() else { return };
        let mut list = Command::new("docker");
        list.args(["ps", "--all", "--quiet", "--filter", &format!("label=conformance.run={run}")]);
        let Ok(left) = process::run(&mut list, REMOVAL) else { return };
        if left.well && !left.output.is_empty() {
            println!("removing {} containers that test programs have left", left.output.len());
            let mut remove = Command::new("docker");
            // A failure does not matter: the tests have been counted, and `docker ps` shows what is left.
            let _ = process::run(remove.args(["rm", "--force", "--volumes"]).args(&left.output), REMOVAL);
        }
    }
}

impl Drop for Servers {
    /// Removes the containers of a run that an error ended early.
    fn drop(&mut self) {
        self.clean();
    }
}

fn variable(server: &str, what: &str) -> String {
    format!("CONFORMANCE_{}_{what}", server.to_uppercase())
}

/// Gets the images of the named servers, each with its own error. Fails if there is no Docker.
fn prepare(workspace: &Workspace, names: &[&'static str]) -> Result<Vec<(&'static str, Result<Image>)>> {
    println!("servers: {}", names.join(", "));
    let services = images::services(&workspace.root)?;
    let mut images = Images::new(workspace)?;
    let get = |name: &&'static str| {
        let service = services.iter().find(|service| service.name == **name);
        let image = service.ok_or_else(|| "docker-compose.yml lacks it".into()).and_then(|it| images.get(it));
        (*name, image)
    };
    Ok(names.iter().map(get).collect())
}

#[cfg(test)]
mod tests {
    use super::{Kind, Program, Servers, needed};
    use crate::workspace::Workspace;

    #[test]
    fn only_tests_of_stores_with_a_server_need_one() {
        assert_eq!(
            needed(&Program::named("session-store-redis", "conformance", Kind::Integration)),
            ["redis", "valkey"]
        );
        assert_eq!(needed(&Program::named("session-store-postgres", "open", Kind::Integration)), ["postgres"]);
        assert_eq!(needed(&Program::named("session-store-postgres", "session_store_postgres", Kind::Unit)), [""; 0]);
        assert_eq!(
            needed(&Program::named("session-store-postgres", "pgbouncer", Kind::Integration)),
            ["postgres", "pgbouncer"]
        );
        assert_eq!(
            needed(&Program::named("session-store-mysql", "deployed", Kind::Integration)),
            ["mysql", "haproxy", "mariadb"]
        );
        assert_eq!(needed(&Program::named("session-store-sqlite", "conformance", Kind::Integration)), [""; 0]);
        assert_eq!(needed(&Program::named("session-conformance", "mutants", Kind::Integration)), [""; 0]);
    }

    #[test]
    fn a_run_without_servers_asks_for_no_docker() {
        let memory = Program::named("session-store-memory", "conformance", Kind::Integration);
        let servers = Servers::of(&Workspace { root: "/nowhere".into(), target: "/nowhere".into() }, &[&memory]);
        assert_eq!(servers.variables().count(), 0);
        assert_eq!(servers.missing(&memory), None);
    }

    #[test]
    fn a_missing_server_fails_the_programs_that_need_it() {
        let redis = Program::named("session-store-redis", "conformance", Kind::Integration);
        let mut servers = Servers::default();
        servers.missing.insert("valkey", "no network".into());
        assert_eq!(servers.missing(&redis).unwrap(), "valkey cannot be had: no network");
        assert_eq!(servers.missing(&Program::named("session-store-postgres", "open", Kind::Integration)), None);
    }
}
