//! The shop's pages and the program's settings, driven from outside: the program as it is started.

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod outage;
mod pages;
mod settings;
