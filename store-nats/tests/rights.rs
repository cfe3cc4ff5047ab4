//! Runs the conformance suite as a user who may do no more than the README grants, in a bucket that another user has made.
//! `cargo test -p session-store-nats --test rights -- --list` names the clauses that a normal run checks.

use std::process::ExitCode;
use std::sync::Arc;

use session_conformance::variant::LEAST_COMMANDS;
use session_conformance::{run_variants, server};

mod common;

/// Returns the user of the README, beside the one who makes the bucket, as configuration of a server.
fn users() -> String {
    let readme = include_str!("../README.md");
    let block = readme.split("```text\n").find(|block| block.starts_with("authorization {")).expect("a block of users");
    let user = block.split("```").next().expect("an end").replace("password: secret", "password: $PASSWORD");
    assert!(user.contains("user: shop") && user.contains("$PASSWORD"), "the README's user");
    user.replacen("users: [{", "users: [{ user: conformance, password: $PASSWORD }, {", 1)
}

fn main() -> ExitCode {
    let shop = common::Nats::as_user("nats-rights", "shop", || Box::pin(async { server::nats_with(&users()).await }));
    run_variants(vec![("rights", &LEAST_COMMANDS, Arc::new(shop))])
}
