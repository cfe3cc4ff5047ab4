//! Runs the conformance suite on a Valkey cluster of three masters.

use std::process::ExitCode;

use session_conformance::server;

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/nodes.rs"]
mod nodes;

fn main() -> ExitCode {
    session_conformance::run(cluster::Cluster::on("valkey-cluster", || Box::pin(server::valkey_cluster())))
}
