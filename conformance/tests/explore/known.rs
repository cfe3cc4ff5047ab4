//! What is known to be wrong with the core.

/// A promise that a program is known to break, and the choices of a run that shows it.
pub(crate) struct Known {
    pub(crate) program: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) choices: &'static str,
}

const fn known(program: &'static str, promise: &'static str, choices: &'static str) -> Known {
    Known { program, promise, choices }
}

/// The tests pass only if exactly these are found.
pub(crate) const KNOWN: &[Known] = &[
    // The store's limit refuses the joint save, and the short write fails with it.
    known("too large together", "errors.documented", "0.0.0.0.0.0.0.0.0.0.0.1"),
    // A follower of a refused joint save stays unavailable for ever.
    known("too large together", "retry.succeeds", "0.0.0.0.0.0.0.0.0.0.0.1"),
    // The touch of a page that only reads moves the tombstone, and its answer sets the old id over the login's.
    known("read beside a login", "browser.follows", "0.0.1"),
    // A close after an explicit save announces the old id after a login has replaced it.
    known("save, then close, beside a login", "browser.follows", "0.0.0.1"),
    // A login between the last step of a close and its end is neither stored nor refused.
    known("login while closing", "login.kept", "0.0.1"),
    // A login begins from nothing when the session has moved, so the guard of `take` is not checked.
    known("take and login, twice", "take.once", ""),
    // The record of a rotation that was dropped turns up after its one removal.
    known("login with a lost answer", "ghosts", "0.0.1.0.0.0.1.0.0.0.0.0.1"),
    // A follower that was dropped sends the joint save again. The leader's own copy is then refused, and it repeats both writes.
    known("merged and dropped", "updates.once", "0.0.0.0.1.1.3"),
    // A save that finds its session gone throws away the login that a clone has made meanwhile.
    known("login beside a lost save", "login.kept", "0.1"),
    // The same after a logout.
    known("logout and login beside a lost save", "login.kept", "0.1"),
    // A login that begins from nothing still compares the values that it read before.
    known("guarded login beside a revocation", "errors.documented", "0.0.0.0.1"),
    // A create without an answer turns up after its one removal.
    known("late create", "ghosts", "0.1.0.0.0.0.0.0.0.0.0.1"),
    // The record of a login that lost to a logout stays when its removal fails.
    known("login beside a logout", "ghosts", "0.2.0.0.0.0.0.0.0.0.0.0.0.0.1"),
    // A login whose answer was lost stays unavailable once a logout has ended the session.
    known("login beside a logout", "retry.succeeds", "0.0.0.1.0.0.0.0.1"),
    // `discard` takes a logout back, and the client is told to forget the session all the same.
    known("logout, then discard", "browser.follows", ""),
    // `reload` does the same.
    known("logout, then reload", "browser.follows", ""),
    // The record of a rotation that was dropped turns up after its one removal.
    known("rotation settled late", "ghosts", "0.0.4.0.0.0.1.0.0.0.0.0.1"),
    // After 60 seconds the tombstone that proves the rotation is gone, and the session is removed.
    known("rotation settled late", "updates.kept", "0.0.0.0.2.1"),
    // The record of a rotation that was refused turns up after its one removal.
    known("two rotations", "ghosts", "0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.1"),
    // A logout waits until an older write in doubt is settled, which never happens.
    known("logout beside a save", "retry.succeeds", "0.0.0.0.1.0.0.0.0.0.0.0.0.1"),
];
