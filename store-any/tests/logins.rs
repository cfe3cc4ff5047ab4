//! Many logins of one user at once under a limit of sessions, on stores in a file, on a server and in memory.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use session_conformance::server::{self, Server};
use session_core::{Commit, ErrorKind, Excess, Manager, Opened, Result, Store};
use tokio::task::JoinSet;

/// Logins at once.
const LOGINS: usize = 32;
const ROUNDS: usize = 3;
const STORES: [&str; 5] = ["memory", "sqlite", "redb", "postgres", "redis"];

fn main() -> ExitCode {
    let trials = STORES.iter().flat_map(|store| {
        [1, 3].into_iter().flat_map(move |most| {
            [Excess::EndOldest, Excess::Refuse].map(|excess| {
                let name = match excess {
                    Excess::Refuse => format!("{store}::of_{LOGINS}_logins_at_once_no_more_than_{most}_are_let_in"),
                    _ => format!("{store}::of_{LOGINS}_logins_at_once_at_least_one_and_at_most_{most}_stay"),
                };
                Trial::test(name, move || {
                    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
                    runtime.block_on(race(store, most, excess))
                })
            })
        })
    });
    let mut arguments = Arguments::from_args();
    // Each trial of a server starts one.
    arguments.test_threads.get_or_insert(2);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Opens two stores on the same sessions, as two processes would, with what must live as long as they do.
async fn open(store: &str) -> Result<([Arc<dyn Store>; 2], Box<dyn std::any::Any>)> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let server: Server = match store {
        "memory" => {
            let store = session_store_any::connect("memory:").await?;
            return Ok(([Arc::clone(&store), store], Box::new(())));
        }
        "sqlite" => {
            let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
            let stores = [session_store_any::connect(&url).await?, session_store_any::connect(&url).await?];
            return Ok((stores, Box::new(folder)));
        }
        "redb" => {
            let url = format!("redb://{}", folder.path().join("sessions.redb").display());
            let stores = [session_store_any::connect(&url).await?, session_store_any::connect(&url).await?];
            return Ok((stores, Box::new(folder)));
        }
        "postgres" => server::postgres().await?,
        _ => server::redis().await?,
    };
    let url = server.url_with("namespace=logins&timeout=20000");
    let stores = [session_store_any::connect(&url).await?, session_store_any::connect(&url).await?];
    Ok((stores, Box::new(server)))
}

async fn race(store: &str, most: u32, excess: Excess) -> std::result::Result<(), Failed> {
    let (stores, _lives) = open(store).await?;
    let [first, second] = stores.map(|store| Manager::builder(store).max_sessions(most, excess).build());
    let first = first?;
    // A process has one manager. Only such a manager tells apart logins of one millisecond.
    let second = if store == "memory" { first.clone() } else { second? };
    for round in 0..ROUNDS {
        let who = format!("user {round}");
        let mut logins = JoinSet::new();
        for n in 0..LOGINS {
            let (manager, who) = (if n % 2 == 0 { first.clone() } else { second.clone() }, who.clone());
            logins.spawn(async move { login(&manager, &who).await });
        }
        let mut let_in = Vec::new();
        for login in logins.join_all().await {
            match login {
                Ok(id) => let_in.push(id),
                Err(error) if error.kind() == ErrorKind::TooManySessions && excess == Excess::Refuse => {}
                // Newer logins have ended this one before it was answered.
                Err(error) if error.kind() == ErrorKind::Gone && excess == Excess::EndOldest => {}
                Err(error) => return Err(error.into()),
            }
        }
        let live = first.sessions_of(&who, None).await?.len();
        assert!(live <= most as usize, "{live} sessions are live");
        let mut open = 0;
        for id in &let_in {
            open += usize::from(second.open(Some(id)).await?.opened() == Opened::Resumed);
        }
        assert_eq!(open, live, "each live session is one of those that were let in");
        match excess {
            Excess::Refuse => assert_eq!(let_in.len(), live, "a login that was let in stays"),
            _ => assert!(live >= 1, "none is live"),
        }
        // With the limit reached or not, the next login alone has its usual outcome.
        let next = login(&first, &who).await;
        match excess {
            Excess::Refuse if live == most as usize => assert_eq!(next.unwrap_err().kind(), ErrorKind::TooManySessions),
            _ => assert_eq!(second.open(Some(&next?)).await?.opened(), Opened::Resumed),
        }
    }
    Ok(())
}

/// Signs in on a new session and returns the id in its cookie.
async fn login(manager: &Manager, who: &str) -> Result<String> {
    let session = manager.open(None).await?;
    session.login(who)?;
    let closed = manager.close(&session).await;
    if closed.is_err() {
        session.discard();
    }
    match closed? {
        Commit::Issue(cookie) => Ok(cookie.value.as_str().to_owned()),
        other => panic!("no cookie: {other:?}"),
    }
}
