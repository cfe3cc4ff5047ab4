//! What `cargo bench -p store-dynamo` measures, on the server of `CONFORMANCE_DYNAMO_URL` or in a container;
//! see `conformance::bench`.

use std::sync::Arc;

use conformance::{bench, server};
use store_dynamo::DynamoStore;

fn main() {
    let mut held = None;
    bench::run("dynamo", async || {
        let server = held.insert(server::dynamo().await?);
        let separator = if server.url().contains('?') { '&' } else { '?' };
        // A namespace of its own: the server may be somebody's.
        let namespace = format!("bench_{:x}", rand::random::<u64>());
        let url = format!("{}{separator}namespace={namespace}", server.url());
        Ok(Arc::new(DynamoStore::connect(&url).await?) as _)
    });
}
