//! A subject whose server is reached by an IPv6 address.

use std::net::SocketAddr;
use std::sync::Arc;

use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use tokio::sync::OnceCell;

use crate::harness::{Harness, Subject};
use crate::peers;

/// The subject of another harness, with its server reached by the IPv6 address of this machine. It is for the variant
/// [`IPV6`](crate::variant::IPV6).
///
/// The other harness opens its store through proxies ([`Harness::open_through`]).
///
/// ```no_run
/// use std::sync::Arc;
///
/// use session_conformance::variant::IPV6;
/// use session_conformance::{ByIpv6, Harness, run_variants};
///
/// fn run(store: impl Harness) -> std::process::ExitCode {
///     run_variants(vec![("ipv6", &IPV6, Arc::new(ByIpv6::new("mine-ipv6", store)))])
/// }
/// ```
pub struct ByIpv6<H> {
    name: &'static str,
    inner: H,
    address: OnceCell<SocketAddr>,
}

impl<H: Harness> ByIpv6<H> {
    /// Returns the subject of `inner` under another name.
    pub const fn new(name: &'static str, inner: H) -> Self {
        Self { name, inner, address: OnceCell::const_new() }
    }

    /// Returns the server's IPv6 address.
    async fn address(&self) -> Result<SocketAddr> {
        let address = self.address.get_or_try_init(async || match self.inner.subject().await?.address {
            Some(server) => on_ipv6(&server).await,
            None => Err(Error::unsupported("a subject without a server has no IPv6 address")),
        });
        address.await.copied()
    }
}

async fn on_ipv6(server: &str) -> Result<SocketAddr> {
    let none = Error::fixed(ErrorKind::Unsupported, "this machine has no IPv6 address");
    peers::on_ipv6(server).await.map_err(|error| none.with_source(&error))
}

#[async_trait]
impl<H: Harness> Harness for ByIpv6<H> {
    async fn subject(&self) -> Result<Subject> {
        let mut subject = self.inner.subject().await?;
        self.name.clone_into(&mut subject.name);
        Ok(subject.address(self.address().await?.to_string()))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.inner.open_through(self.address().await?, namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.inner.open_through(on_ipv6(&proxy.to_string()).await?, namespace).await
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        self.inner.plant_orphan(namespace, principal, key).await
    }

    async fn clean(&self, namespace: &str) {
        self.inner.clean(namespace).await;
    }
}
