//! What the head of a request tells beside its cookies.

#[path = "../counting/mod.rs"]
mod counting;
mod cross_site;
mod long_lives;
mod many_values;
mod places;
mod quiet;
mod rig;
mod schemes;
mod transports;
