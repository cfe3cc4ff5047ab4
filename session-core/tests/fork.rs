//! Forked processes never draw the same random number.
//!
//! This is a separate test program with one thread, because `fork` copies only the calling thread.

#[cfg(unix)]
fn main() {
    use std::collections::HashSet;
    use std::io::{Read as _, Write as _};

    use session_core::{SessionId, Version};

    const CHILDREN: usize = 3;
    const EACH: usize = 100;

    let draw = || {
        let versions = (0..EACH).map(|_| Version::random().as_i64().to_string());
        let ids = (0..EACH).map(|_| SessionId::random().encode());
        versions.chain(ids).collect::<Vec<_>>()
    };
    // Numbers are drawn before the forks too, so that a generator in memory would have a state to copy.
    let mut drawn = draw();
    for _ in 0..CHILDREN {
        let (mut told, mut tell) = std::io::pipe().expect("a pipe");
        match fork::fork().expect("a fork") {
            fork::Fork::Child => {
                let written = tell.write_all(draw().join("\n").as_bytes());
                std::process::exit(i32::from(written.is_err()));
            }
            fork::Fork::Parent(_) => drop(tell),
        }
        let mut text = String::new();
        told.read_to_string(&mut text).expect("what a child has drawn");
        drawn.extend(text.lines().map(String::from));
    }
    drawn.extend(draw());
    assert_eq!(drawn.len(), 2 * EACH * (CHILDREN + 2));
    let different: HashSet<_> = drawn.iter().collect();
    assert_eq!(different.len(), drawn.len(), "some number was drawn twice");
    println!("test forks_draw_no_number_twice ... ok");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
}

#[cfg(not(unix))]
fn main() {
    println!("not run: this system has no fork");
}
