//! Helpers that the tests of the shop share.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod server;
pub(crate) mod slow;
pub(crate) mod walk;
