//! Renewal of ids by policy.

#[path = "../common/mod.rs"]
mod common;
mod ids;
mod requests;
mod rig;
