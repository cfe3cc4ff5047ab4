#![doc = include_str!("../README.md")]

mod derive;
mod ring;
mod seal;
mod sign;
mod source;

pub use ring::KeyRing;
pub use seal::{Opened, Sealer};
pub use sign::{Signer, Verified};
