//! The shop's pages and the program's settings, tested over HTTP on a process of the program.

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod outage;
mod pages;
mod settings;
