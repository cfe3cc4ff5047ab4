//! Errors of the first connection of a store.

use session_core::{Error, ErrorKind};
use sqlx::Error as Driver;

use crate::connecting::{NoServer, Refusal};
use crate::failure::unreachable;
use crate::role::TakesNoWrites;

/// Translates an error of the first connection. `at_open` translates one that does not depend on the address.
pub(crate) fn unconnected(error: &Driver, address: Option<&str>, at_open: fn(&Driver) -> Error) -> Error {
    if let Some(refusals) = NoServer::of(error) {
        return none_usable(refusals, at_open);
    }
    match (unreachable(error), address) {
        (Some(why), Some(address)) => Error::new(
            ErrorKind::Unavailable,
            format!("{why} at {address}; check host and port, and that the server runs"),
        ),
        _ => at_open(error),
    }
}

/// Returns the error for several servers, none of which could be used. It says why for each.
///
/// It is a mistake only if it is one for each server. A replica is none, because another server of the list may be promoted.
fn none_usable(refusals: &[Refusal], at_open: fn(&Driver) -> Error) -> Error {
    let mut kind = ErrorKind::Config;
    let reasons = refusals.iter().map(|Refusal { address, error }| {
        let opening = at_open(error);
        let reason = unreachable(error).map_or_else(|| message(&opening), str::to_owned);
        if opening.kind() != ErrorKind::Config || TakesNoWrites::of(error).is_some() {
            kind = ErrorKind::Unavailable;
        }
        format!("{address} ({reason})")
    });
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    Error::new(kind, format!("none of the servers can be used: {reasons}"))
}

/// Returns the text of an error without that of its kind.
fn message(error: &Error) -> String {
    let (kind, text) = (Error::from(error.kind()).to_string(), error.to_string());
    text.strip_prefix(&kind).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text).to_owned()
}
