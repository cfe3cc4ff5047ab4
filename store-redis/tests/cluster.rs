//! Runs the conformance suite on a Redis cluster of three masters.

use std::process::ExitCode;

use session_conformance::server;

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/nodes.rs"]
mod nodes;

fn main() -> ExitCode {
    session_conformance::run(cluster::Cluster::on("redis-cluster", || Box::pin(server::redis_cluster())))
}
