//! Clauses about sessions of a manager over the store.

use crate::Clause;
use crate::clause::clause;

mod commit;
mod conflict;
mod expiry;
mod identity;
mod logout;
mod principals;
mod site;
mod unknown;

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "session.lazy",
        [],
        commit::lazy,
        "Opening, reading and an empty new session store nothing, and an unknown id is never adopted."
    ),
    clause!(
        "session.no-op",
        [],
        commit::no_op,
        "A commit that leaves a session as it is creates and saves nothing, and does not lose a value that another request has removed meanwhile."
    ),
    clause!(
        "session.time-outs",
        [],
        expiry::changed,
        "Today's time-outs count, whatever they were when the session was stored: a shorter one at once, a longer one after one more use."
    ),
    clause!(
        "session.replay",
        [],
        conflict::replay,
        "Writers of different keys both win, `update` and `flash` run again on the newer record, and 64 concurrent updates of one session over two instances all count."
    ),
    clause!(
        "session.clash",
        [],
        conflict::clash,
        "A value read, then written, and changed meanwhile is a Conflict that names its key; the same value, a peek and a blind write are none."
    ),
    clause!(
        "session.flash-two-readers",
        [],
        conflict::flash_two_readers,
        "Of two requests that show flashes each removes what it saw, and a message added meanwhile stays."
    ),
    clause!(
        "session.identity",
        [],
        identity::identity,
        "After another request's login, logout or rotation pending writes are Gone under every conflict policy."
    ),
    clause!(
        "session.gone",
        [],
        identity::gone,
        "Writes to a session that was revoked meanwhile are Gone, and a touch of it is no error."
    ),
    clause!(
        "session.rotate",
        [],
        identity::rotate,
        "A rotation leaves no instant without a usable session and loses no save made in between; the old id then gives no data and sets no cookie."
    ),
    clause!(
        "session.login-race",
        [],
        identity::login_race,
        "Two logins at once both end signed in, none with the other's data, and a login on a session that ended starts clean."
    ),
    clause!(
        "session.logout-races",
        [],
        logout::races,
        "A logout beats saves, rotations and logins of the same session in flight: nothing of that chain stays live."
    ),
    clause!(
        "session.revoke-all",
        [ByPrincipal],
        principals::revoke_all,
        "Every session of a principal but the excepted one is gone after `revoke_all`, those that were being rotated included."
    ),
    clause!(
        "session.list",
        [ByPrincipal],
        principals::list,
        "`sessions_of` lists where a principal is signed in, and `revoke` ends only a session of that principal."
    ),
    clause!(
        "session.expiry",
        [],
        expiry::expiry,
        "Idle, absolute and own time-outs hold, survive saves of other requests, and a stale touch never outlives the absolute one."
    ),
    clause!(
        "session.commit",
        [],
        commit::commit,
        "An explicit save still announces its cookie, two clones that commit at once store once, and a commit dropped half-way loses no operation."
    ),
    clause!(
        "session.unknown-outcome",
        [],
        unknown::unknown_outcome,
        "With replies lost no update is ever applied twice, and no error is reported as success."
    ),
];
