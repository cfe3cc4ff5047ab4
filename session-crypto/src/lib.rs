#![doc = include_str!("../README.md")]

mod derive;
mod key_ring;
mod keys;
mod seal;
mod sign;
mod source;

pub use key_ring::KeyRing;
pub use seal::{Opened, Sealer};
pub use sign::{Signer, Verified};
