//! Trouble between a store and its server: connections that end, replies that are lost, a server that restarts.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use session_conformance::proxy::Proxy;
use session_conformance::server::Server;
use session_core::Result;
use tokio::time::{Instant, sleep};

/// Longest time between two faults of the network.
const CALM: Duration = Duration::from_secs(1);
/// Time between two restarts of the server.
const UP: Duration = Duration::from_secs(60);

/// Troubles the connections of a store, until it is dropped.
pub(crate) struct Trouble {
    /// Through which the store reaches the server.
    pub(crate) network: Arc<Proxy>,
    faults: tokio::task::JoinHandle<Result<()>>,
}

impl Trouble {
    /// Begins to trouble the connections through `network`, and to restart the server.
    pub(crate) fn begin(network: Arc<Proxy>, server: Arc<Server>, seed: u64) -> Self {
        let faults = tokio::spawn(trouble(Arc::clone(&network), server, StdRng::seed_from_u64(seed)));
        Self { network, faults }
    }

    /// Whether the faults have ended, because the server could not be restarted.
    pub(crate) fn has_ended(&self) -> bool {
        self.faults.is_finished()
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.faults.abort();
    }
}

async fn trouble(network: Arc<Proxy>, server: Arc<Server>, mut rng: StdRng) -> Result<()> {
    let mut restarts = Instant::now() + UP;
    loop {
        // sleep: faults are to meet calls at any point, so their times are random.
        sleep(CALM.mul_f64(rng.random())).await;
        if rng.random() {
            network.forget();
        } else {
            network.lose_reply();
        }
        // DynamoDB Local keeps its tables in memory, so a restart would end them.
        if Instant::now() >= restarts && server.name() != "dynamo" {
            println!("the server is restarted");
            server.stop().await?;
            // A loaded machine may need longer than one attempt takes.
            if server.start().await.is_err() {
                server.start().await?;
            }
            restarts = Instant::now() + UP;
        }
    }
}
