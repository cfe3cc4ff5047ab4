#![doc = include_str!("../README.md")]

#[cfg(feature = "sealed")]
mod sealed;

#[cfg(feature = "sealed")]
pub use sealed::Sealed;
