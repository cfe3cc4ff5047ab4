//! Connections to other machines without TLS.

use redis::ConnectionAddr;
use session_store_kit::is_loopback;

/// Error text for a connection to another machine that is not encrypted, which the URL does not ask for.
pub(crate) const EXPOSED: &str = "a connection to another machine is not encrypted: use TLS, with a URL that begins with rediss:// \
     (or rediss+cluster://, rediss+sentinel://), or add `tls=false` to the URL if the network between the machines is trusted";

/// Whether connections to this address leave this machine and are not encrypted.
pub(crate) fn is_exposed(address: &ConnectionAddr) -> bool {
    matches!(address, ConnectionAddr::Tcp(host, _) if !is_loopback(host))
}
