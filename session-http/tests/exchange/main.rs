//! Exchanges from a `Cookie` header to the `Set-Cookie` lines of the response, over a memory store.

mod lifetimes;
mod requests;
mod response_options;
mod rig;
