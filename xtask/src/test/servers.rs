//! The servers that test programs need: which, and where the programs find them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::build::{Kind, Program};
use crate::Result;
use crate::images::{self, Image, Images};
use crate::process;

/// The stores whose tests start servers, as services of `docker-compose.yml`.
const STORES: &[(&str, &[&str])] = &[
    ("store-postgres", &["postgres"]),
    ("store-mysql", &["mysql", "mariadb"]),
    ("store-redis", &["redis", "valkey"]),
    ("store-mongo", &["mongo"]),
    ("store-dynamo", &["dynamo"]),
];

/// Servers of whose image the tests make clusters, too.
const CLUSTERS: &[(&str, &str)] = &[("redis", "redis_cluster"), ("valkey", "valkey_cluster")];

/// Every server that there is.
const ALL: &[&str] = &["postgres", "mysql", "mariadb", "redis", "valkey", "mongo", "dynamo"];

/// How long Docker may take to remove what is left.
const REMOVAL: Duration = Duration::from_secs(60);

/// The servers that a test program starts. Unit tests start none.
pub(super) fn needed(program: &Program) -> &'static [&'static str] {
    match (&*program.package, &*program.target, program.kind) {
        (_, _, Kind::Unit) => &[],
        ("conformance", "server", _) | ("demo", "three_stores", _) => &["redis"],
        ("demo", "databases", _) | ("store-any", "stopped", _) => ALL,
        (package, ..) => STORES.iter().find(|(store, _)| *store == package).map_or(&[], |(_, servers)| servers),
    }
}

/// What tells a program where the servers of `wanted` are; an error if one of them cannot be had. Others than servers are passed by.
pub(crate) fn variables(root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let mut servers = Servers::named(root, ALL.iter().copied().filter(|name| wanted(name)).collect());
    if let Some((name, why)) = servers.missing.first_key_value() {
        return Err(format!("{name} cannot be had: {why}").into());
    }
    // What the program leaves behind is its own affair.
    servers.run = None;
    Ok(std::mem::take(&mut servers.variables).into_iter().collect())
}

/// Servers to be had in this run.
#[derive(Debug, Default)]
pub(super) struct Servers {
    variables: BTreeMap<String, String>,
    /// Why a server cannot be had.
    missing: BTreeMap<&'static str, String>,
    /// A word by which containers of this run are known. `None` if none can have been started.
    run: Option<String>,
}

impl Servers {
    /// Gets the images of what these programs need. What cannot be had fails the programs that need it, no others.
    pub(super) fn of(root: &Path, programs: &[&Program]) -> Self {
        let mut names: Vec<&'static str> = programs.iter().flat_map(|program| needed(program)).copied().collect();
        names.sort_unstable();
        names.dedup();
        Self::named(root, names)
    }

    /// Gets the images of these servers.
    fn named(root: &Path, mut names: Vec<&'static str>) -> Self {
        // Whoever says where a server is has seen to it.
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
        match prepare(root, &names) {
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

    /// Why this program cannot be run, if it cannot.
    pub(super) fn missing(&self, program: &Program) -> Option<String> {
        needed(program).iter().find_map(|name| Some(format!("{name} cannot be had: {}", self.missing.get(name)?)))
    }

    /// What test programs are told.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl Servers {
    /// Removes containers that outlived their test programs, which can only be if those were killed.
    pub(super) fn clean(&mut self) {
        let Some(run) = self.run.take() else { return };
        let mut list = Command::new("docker");
        list.args(["ps", "--all", "--quiet", "--filter", &format!("label=conformance.run={run}")]);
        let Ok(left) = process::run(&mut list, REMOVAL) else { return };
        if left.well && !left.output.is_empty() {
            println!("removing {} containers that test programs have left", left.output.len());
            let mut remove = Command::new("docker");
            // What does not succeed is shown by `docker ps`; the tests have been counted.
            let _ = process::run(remove.args(["rm", "--force", "--volumes"]).args(&left.output), REMOVAL);
        }
    }
}

impl Drop for Servers {
    /// Where an error ended the run before its conclusion.
    fn drop(&mut self) {
        self.clean();
    }
}

fn variable(server: &str, what: &str) -> String {
    format!("CONFORMANCE_{}_{what}", server.to_uppercase())
}

/// The images of the named servers, or why there is none; an error if there is no Docker.
fn prepare(root: &Path, names: &[&'static str]) -> Result<Vec<(&'static str, Result<Image>)>> {
    println!("servers: {}", names.join(", "));
    let services = images::services(root)?;
    let mut images = Images::new(root)?;
    let get = |name: &&'static str| {
        let service = services.iter().find(|service| service.name == **name);
        let image = service.ok_or_else(|| "docker-compose.yml lacks it".into()).and_then(|it| images.get(it));
        (*name, image)
    };
    Ok(names.iter().map(get).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Kind, Program, Servers, needed};

    fn program(package: &str, target: &str, kind: Kind) -> Program {
        Program {
            package: package.into(),
            target: target.into(),
            kind,
            folder: PathBuf::new(),
            version: String::new(),
            executable: PathBuf::new(),
        }
    }

    #[test]
    fn only_tests_of_stores_with_a_server_need_one() {
        assert_eq!(needed(&program("store-redis", "conformance", Kind::Integration)), ["redis", "valkey"]);
        assert_eq!(needed(&program("store-postgres", "open", Kind::Integration)), ["postgres"]);
        assert_eq!(needed(&program("store-postgres", "store_postgres", Kind::Unit)), [""; 0]);
        assert_eq!(needed(&program("store-sqlite", "conformance", Kind::Integration)), [""; 0]);
        assert_eq!(needed(&program("conformance", "mutants", Kind::Integration)), [""; 0]);
    }

    #[test]
    fn a_run_without_servers_asks_for_no_docker() {
        let memory = program("store-memory", "conformance", Kind::Integration);
        let servers = Servers::of(std::path::Path::new("/nowhere"), &[&memory]);
        assert_eq!(servers.variables().count(), 0);
        assert_eq!(servers.missing(&memory), None);
    }

    #[test]
    fn a_server_that_cannot_be_had_fails_whoever_needs_it() {
        let redis = program("store-redis", "conformance", Kind::Integration);
        let mut servers = Servers::default();
        servers.missing.insert("valkey", "no network".into());
        assert_eq!(servers.missing(&redis).unwrap(), "valkey cannot be had: no network");
        assert_eq!(servers.missing(&program("store-postgres", "open", Kind::Integration)), None);
    }
}
