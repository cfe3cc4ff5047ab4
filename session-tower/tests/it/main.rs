//! Tests of the layer and the extractors under axum, each named for the promise that it checks.

mod application_error;
mod caching;
mod cancel;
mod events;
mod failures;
mod heads;
mod kinds;
mod layers;
mod outcomes;
mod pages;
mod questions;
mod require;
mod rig;
mod session;
mod transports;
