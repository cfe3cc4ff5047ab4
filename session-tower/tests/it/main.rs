//! Tests of the layer and the extractors under axum, each named for the promise that it checks.

mod application_error;
mod caching;
mod cancel;
mod failures;
mod kinds;
mod layers;
mod pages;
mod rig;
mod session;
