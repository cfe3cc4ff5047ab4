//! Sessions that are kept in their cookies, read back from real `Set-Cookie` lines.

mod lifetimes;
mod limits;
mod requests;
mod rig;
