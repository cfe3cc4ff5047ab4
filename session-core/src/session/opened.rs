//! How a session was opened.

/// Result of opening a session by the value that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opened {
    /// The client sent nothing.
    New,
    /// A live session was found.
    Resumed,
    /// The id is of no session: it expired, was revoked, or never was. It is not adopted.
    Unknown,
    /// The session is over its absolute time-out.
    Expired,
    /// The client's value is no id, or the stored record does not decode.
    Undecodable,
    /// The session goes on under another id, which the client has been or is being told.
    Moved,
    /// The session was ended by a logout within the last minute. A login begins a new session; other writes are
    /// [`Gone`](crate::ErrorKind::Gone), because they may come from the page that signed out.
    Ended,
}
