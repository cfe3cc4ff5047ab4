//! Result of opening a session.

/// Result of opening a session by the value that the client sent; see [`Session::opened`](crate::Session::opened).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opened {
    /// The client sent nothing.
    New,
    /// A live session was found.
    Resumed,
    /// No session has the id: it has expired, was revoked, was refused by [`verify`](crate::ManagerBuilder::verify), or never existed.
    /// The id is not adopted.
    Unknown,
    /// The session is still stored, but has passed a time-out that is in force now, such as the absolute one.
    Expired,
    /// The client's value is not an id, or the stored record does not decode.
    Undecodable,
    /// The session has moved to another id within the last minute. The client has that id, or is about to receive it. After a
    /// [renewal](crate::ManagerBuilder::renew_id_every) the old id still opens the session for a while, as `Resumed`.
    Moved,
    /// A logout has ended the session within the last minute. A login starts a new session. Other writes return
    /// [`Gone`](crate::ErrorKind::Gone), because they may come from the page that signed out.
    Ended,
}
