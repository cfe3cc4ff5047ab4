//! The layer and the extractors under axum, a test named for each promise.

mod caching;
mod cancel;
mod failures;
mod kinds;
mod layers;
mod pages;
mod rig;
mod session;
