//! Every order of the steps of small programs with a batcher.
//!
//! The test decides when a call begins, when a round trip ends and how, when a caller goes away or stops polling, when time
//! passes and when the batcher is closed. It tries every order, and checks the promises of the README after each step.
//! `EXPLORE_PROGRAM` names the only program to run.

mod caller;
mod choices;
mod program;
mod wire;
mod world;

#[cfg(feature = "mutants")]
mod mutants;

use choices::Choices;
use program::{PROGRAMS, Program};
use tokio::runtime::Builder;
use world::World;

/// Orders of one program, and the first that breaks a promise.
struct Explored {
    orders: u64,
    violation: Option<String>,
}

/// Tries every order of a program.
fn explore(program: &Program) -> Explored {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (mut choices, mut orders) = (Choices::default(), 0);
    runtime.block_on(async {
        loop {
            orders += 1;
            let mut world = World::new(program, &mut choices);
            if let Err(broken) = world.run().await {
                let violation = Some(format!("{broken}\n{}", world.trace.join("\n")));
                break Explored { orders, violation };
            }
            drop(world);
            if !choices.advance() {
                break Explored { orders, violation: None };
            }
        }
    })
}

#[test]
fn batches_keep_their_promises_in_every_order_of_their_steps() {
    let only = std::env::var("EXPLORE_PROGRAM").ok();
    let mut programs =
        PROGRAMS.iter().filter(|program| only.as_deref().is_none_or(|only| only == program.name)).peekable();
    assert!(programs.peek().is_some(), "there is no program {only:?}");
    for program in programs {
        let explored = explore(program);
        println!("{}: {} orders, all of them", program.name, explored.orders);
        if let Some(violation) = explored.violation {
            panic!("{}, order {}: {violation}", program.name, explored.orders);
        }
    }
}
