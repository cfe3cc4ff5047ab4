//! Requests to a bucket, and their replies: reads by JetStream's API, writes by messages to the bucket's subjects.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use session_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::error;
use crate::local::Local;

/// Prefix of the API's subjects.
const API: &str = "$JS.API.STREAM";

/// Header: the write is carried out only if this is the sequence number of the subject's last message, 0 for none.
const EXPECTED: HeaderName = HeaderName::from_static("Nats-Expected-Last-Subject-Sequence");
/// Header: seconds after which the server removes the message.
const TIME_TO_LIVE: HeaderName = HeaderName::from_static("Nats-TTL");
/// Header by which tools for key-value buckets recognise a deletion.
const OPERATION: HeaderName = HeaderName::from_static("KV-Operation");

/// Codes of the server's errors: `errors.json` in its source.
pub(crate) mod code {
    pub(crate) const NO_MESSAGE: u16 = 10037;
    pub(crate) const STREAM_NOT_FOUND: u16 = 10059;
    pub(crate) const NO_JETSTREAM: [u16; 2] = [10039, 10076];
    pub(super) const OTHER_SEQUENCE: [u16; 2] = [10071, 10164];
    pub(super) const TOO_LARGE: [u16; 2] = [10054, 10097];
    /// Storage of the server, bytes and messages of the stream, bytes of the account.
    pub(super) const FULL: [u16; 6] = [10002, 10023, 10028, 10047, 10077, 10122];
    /// The stream or JetStream has no leader at the moment.
    pub(super) const NO_LEADER: [u16; 2] = [10008, 10009];
}

/// An error of the API.
#[derive(Debug, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) err_code: u16,
}

impl ApiError {
    /// Returns the error of a call. The server's words are not passed on, because they could repeat a subject.
    pub(crate) fn in_use(&self) -> Error {
        let code = &self.err_code;
        if code::FULL.contains(code) {
            error::FULL
        } else if code::TOO_LARGE.contains(code) {
            error::TOO_LARGE
        } else if code::NO_LEADER.contains(code) {
            error::NO_LEADER
        } else if *code == code::STREAM_NOT_FOUND || code::NO_JETSTREAM.contains(code) {
            error::CHANGED
        } else {
            Error::new(ErrorKind::Unavailable, format!("the server has refused a call with its error {code}"))
        }
    }
}

/// A message of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    /// Empty for a marker that the subject was deleted.
    pub(crate) value: Bytes,
}

/// Condition of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// The subject's last message has this sequence number. 0: there is none.
    Sequence(u64),
    Any,
}

/// Result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is stored under this sequence number.
    At(u64),
    /// The subject's last message has another sequence number.
    Changed,
}

/// What is written under a subject.
pub(crate) enum Content {
    Value(Bytes),
    /// A marker that the subject was deleted.
    Deleted,
}

#[derive(Deserialize)]
struct GetReply<'r> {
    #[serde(borrow)]
    message: Option<StoredMessage<'r>>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StoredMessage<'r> {
    subject: String,
    seq: u64,
    #[serde(borrow, default)]
    data: Cow<'r, str>,
}

#[derive(Deserialize)]
struct PublishReply {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ListReply {
    #[serde(default)]
    total: usize,
    state: Option<ListState>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ListState {
    /// Subjects with their numbers of messages, `null` if there are none.
    subjects: Option<HashMap<String, u64>>,
}

/// Parses a reply in JSON.
pub(crate) fn parsed<'r, T: Deserialize<'r>>(reply: &'r [u8]) -> Result<T> {
    serde_json::from_slice(reply).map_err(|_| error::UNEXPECTED)
}

/// Returns the message of a reply.
pub(crate) fn message(reply: &[u8]) -> Result<Option<Message>> {
    let GetReply { message, error } = parsed(reply)?;
    match (message, error) {
        (_, Some(error)) if error.err_code == code::NO_MESSAGE => Ok(None),
        (_, Some(error)) => Err(error.in_use()),
        (Some(message), None) => {
            let value = STANDARD.decode(&*message.data).map_err(|_| error::UNEXPECTED)?;
            Ok(Some(Message { sequence: message.seq, subject: message.subject, value: value.into() }))
        }
        (None, None) => Err(error::UNEXPECTED),
    }
}

/// Returns the result of a write from its reply.
pub(crate) fn written(reply: &[u8]) -> Result<Written> {
    let PublishReply { seq, error } = parsed(reply)?;
    match error {
        Some(error) if code::OTHER_SEQUENCE.contains(&error.err_code) => Ok(Written::Changed),
        Some(error) => Err(error.in_use()),
        None if seq > 0 => Ok(Written::At(seq)),
        None => Err(error::UNEXPECTED),
    }
}

/// Returns the subject of a call of the API on a stream.
pub(crate) fn api(call: &str, stream: &str) -> String {
    format!("{API}.{call}.{stream}")
}

/// Returns the payload of a request for a subject's last message.
pub(crate) fn last_of(subject: &str) -> Bytes {
    serde_json::json!({ "last_by_subj": subject }).to_string().into()
}

/// Returns the headers of a write.
pub(crate) fn headers(content: &Content, expected: Expected, seconds: Option<i64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Expected::Sequence(sequence) = expected {
        headers.insert(EXPECTED, sequence.to_string());
    }
    if let Some(seconds) = seconds {
        headers.insert(TIME_TO_LIVE, seconds.to_string());
    }
    if matches!(content, Content::Deleted) {
        headers.insert(OPERATION, "DEL");
    }
    headers
}

impl Local {
    /// Returns the last message of a subject, as the leader has it.
    pub(crate) async fn last(self: &Arc<Self>, subject: &str) -> Result<Option<Message>> {
        self.message_by(last_of(subject)).await
    }

    /// Returns the first message from `sequence` on whose subject matches.
    pub(crate) async fn next(self: &Arc<Self>, sequence: u64, subjects: &str) -> Result<Option<Message>> {
        self.message_by(serde_json::json!({ "seq": sequence, "next_by_subj": subjects }).to_string().into()).await
    }

    async fn message_by(self: &Arc<Self>, request: Bytes) -> Result<Option<Message>> {
        let get = api("MSG.GET", &self.at.subjects.stream);
        let reply = self.believed(|| self.ask(&get, request.clone())).await?;
        message(&reply)
    }

    /// Returns the subjects that match and have a message, as the leader has them.
    pub(crate) async fn list(self: &Arc<Self>, subjects: &str) -> Result<Vec<String>> {
        let info = api("INFO", &self.at.subjects.stream);
        let mut found = Vec::new();
        loop {
            let request = serde_json::json!({ "subjects_filter": subjects, "offset": found.len() }).to_string();
            let reply = self.believed(|| self.ask(&info, request.clone().into())).await?;
            let ListReply { total, state, error } = parsed(&reply)?;
            if let Some(error) = error {
                return Err(error.in_use());
            }
            let page = state.and_then(|state| state.subjects).unwrap_or_default();
            let is_last = page.is_empty() || found.len() + page.len() >= total;
            found.extend(page.into_keys());
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Writes under a subject, for the server to remove after some seconds. A write that is confirmed proves that the leader leads.
    pub(crate) async fn put(
        self: &Arc<Self>,
        subject: &str,
        content: Content,
        expected: Expected,
        seconds: Option<i64>,
    ) -> Result<Written> {
        let headers = headers(&content, expected, seconds);
        let value = match content {
            Content::Value(value) => value,
            Content::Deleted => Bytes::new(),
        };
        let sent = Instant::now();
        let written = written(&self.send(subject, headers, value).await?)?;
        if matches!(written, Written::At(_)) {
            self.proof.confirmed(sent);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let found = br#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"$KV.b.n.s.k","seq":7,"hdrs":"TkFUUy8xLjANCg==","data":"aGk+","time":"2026-11-30T19:25:17Z"}}"#;
        let expected = Message { sequence: 7, subject: "$KV.b.n.s.k".into(), value: Bytes::from_static(b"hi>") };
        assert_eq!(message(found).unwrap(), Some(expected));
        let deleted = br#"{"message":{"subject":"$KV.b.n.s.k","seq":8,"time":"2026-11-30T19:25:17Z"}}"#;
        assert_eq!(message(deleted).unwrap().unwrap().value, Bytes::new());
        let none = br#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        assert_eq!(message(none).unwrap(), None);
        assert_eq!(written(br#"{"stream":"KV_b","seq":5}"#).unwrap(), Written::At(5));
        for code in [10071, 10164] {
            let reply = format!(r#"{{"error":{{"code":400,"err_code":{code}}},"stream":"KV_b","seq":0}}"#);
            assert_eq!(written(reply.as_bytes()).unwrap(), Written::Changed);
        }
    }

    #[test]
    fn errors_of_the_server_have_a_kind_and_none_of_its_words() {
        for (code, kind, part) in [
            (10077, ErrorKind::Unavailable, "no room"),
            (10054, ErrorKind::TooLarge, "max_payload"),
            (10008, ErrorKind::Unavailable, "no leader"),
            (10059, ErrorKind::Unavailable, "have changed"),
            (19999, ErrorKind::Unavailable, "error 19999"),
        ] {
            let reply = format!(r#"{{"error":{{"code":500,"err_code":{code},"description":"hunter2"}}}}"#);
            for error in [message(reply.as_bytes()).unwrap_err(), written(reply.as_bytes()).unwrap_err()] {
                assert_eq!(error.kind(), kind);
                let text = format!("{error} {error:?}");
                assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
            }
        }
        for strange in ["", "{}", "[]", "no JSON", r#"{"message":{"subject":"a","seq":1,"data":"%"}}"#] {
            assert_eq!(message(strange.as_bytes()).unwrap_err().kind(), ErrorKind::Unavailable, "{strange}");
            assert_eq!(written(strange.as_bytes()).unwrap_err().kind(), ErrorKind::Unavailable, "{strange}");
        }
    }
}
