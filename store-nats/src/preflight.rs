//! Checks of the server and of the bucket, before the first call.

use std::time::Duration;

use async_nats::ServerInfo;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use session_core::{Error, ErrorKind, Result, SessionId, StoreKey, Timestamp};
use session_store_kit::{ClockCheck, MAX_DATA_LEN, TIMED_OUT, wrong};
use tokio::time::timeout;

use crate::api::{ApiError, Content, Expected, api, code, headers, last_of, parsed, written};
use crate::connection::{Connection, Failure};
use crate::error;
use crate::schema::{OVERHEAD, Subjects};
use crate::storage::Storage;

/// Maximum length of a message's headers, which count towards the server's limits.
const HEADERS: usize = 128;

/// Number of times that a question is asked within the time-out.
const ATTEMPTS: u32 = 4;

/// First release with a time to live for each message.
const OLDEST: (u64, u64) = (2, 11);

const TOO_OLD: Error =
    Error::fixed(ErrorKind::Config, "the server is older than NATS 2.11, which cannot remove single sessions by time");

const NO_JETSTREAM: Error = Error::fixed(
    ErrorKind::Config,
    "JetStream is not enabled: add `jetstream { store_dir: …, sync_interval: always }` to the server's configuration, and enable it for the account",
);

/// Code of the error that a bucket exists with other settings.
const IN_USE: u16 = 10058;

/// Codes of the errors that there are fewer servers than replicas.
const TOO_FEW: [u16; 3] = [10005, 10074, 10023];

/// How a missing bucket is created.
#[derive(Clone, Copy)]
pub(crate) struct NewBucket {
    pub(crate) create: bool,
    pub(crate) replicas: u8,
    pub(crate) storage: Storage,
}

/// What was found.
pub(crate) struct Bucket {
    pub(crate) max_data_len: usize,
    pub(crate) replicated: bool,
    pub(crate) durable: bool,
    /// Milliseconds by which the server's clock is ahead.
    pub(crate) ahead: i64,
}

#[derive(Deserialize)]
struct InfoReply {
    config: Option<Settings>,
    ts: Option<String>,
    error: Option<ApiError>,
}

/// Settings of a bucket's stream. Those that older servers do not know have defaults.
#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    retention: String,
    max_msgs: i64,
    max_bytes: i64,
    max_age: i64,
    max_msgs_per_subject: i64,
    #[serde(default)]
    max_msg_size: i64,
    discard: String,
    storage: String,
    num_replicas: u64,
    #[serde(default)]
    no_ack: bool,
    mirror: Option<serde::de::IgnoredAny>,
    sources: Option<Vec<serde::de::IgnoredAny>>,
    subject_transform: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    allow_direct: bool,
    #[serde(default)]
    sealed: bool,
    #[serde(default)]
    allow_msg_ttl: bool,
    #[serde(default)]
    allow_msg_counter: bool,
    persist_mode: Option<String>,
}

impl Settings {
    /// Returns what is wrong with the settings, and the remedy.
    fn mistake(&self, bucket: &str) -> Option<&'static str> {
        let unlimited = |limit: i64| limit <= 0;
        let checks = [
            (
                self.subjects != [format!("$KV.{bucket}.>")],
                "has other subjects than a key-value bucket: use another bucket",
            ),
            (
                self.mirror.is_some() || self.sources.as_ref().is_some_and(|sources| !sources.is_empty()),
                "copies another stream: use the original",
            ),
            (self.subject_transform.is_some(), "renames subjects: remove `subject_transform`"),
            (self.sealed, "is sealed: use another bucket"),
            (self.retention != "limits", "removes messages that were read: set `retention` to `limits`"),
            (self.no_ack, "confirms no write: set `no_ack` to false"),
            (
                self.max_msgs_per_subject != 1,
                "keeps older states of a session: set its history (`max_msgs_per_subject`) to 1",
            ),
            (self.allow_direct, "lets servers that are behind answer reads: set `allow_direct` to false"),
            (!self.allow_msg_ttl, "removes no expired session: set `allow_msg_ttl` to true"),
            (
                !unlimited(self.max_age),
                "removes sessions by their age, whether they are in use or not: set `max_age` to 0",
            ),
            (
                self.discard != "new" && !(unlimited(self.max_msgs) && unlimited(self.max_bytes)),
                "removes the oldest sessions when it is full: set `discard` to `new`, or no limits",
            ),
            (self.allow_msg_counter, "is for counters: use another bucket"),
            (
                self.persist_mode.as_deref() == Some("async"),
                "confirms writes before they are in its file: use a bucket with the default `persist_mode`",
            ),
        ];
        checks.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, mistake)| mistake)
    }
}

/// Returns the milliseconds since 1970 of a time in RFC 3339 with the zone `Z`, as the server writes it.
fn millis_of(time: &str) -> Option<i64> {
    humantime::parse_rfc3339(time).ok().map(|time| Timestamp::from(time).as_millis())
}

/// Checks what a server says of itself.
fn check_server(server: &ServerInfo) -> Result<()> {
    let mut numbers = server.version.split(['.', '-']).map_while(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST || !server.headers { Err(TOO_OLD) } else { Ok(()) }
}

/// Checks the server and the bucket, which is created if it is missing and may be.
pub(crate) async fn check(
    connection: &Connection,
    subjects: &Subjects,
    bucket: &str,
    new: NewBucket,
    limit: Duration,
) -> Result<Bucket> {
    let server = connection.server();
    check_server(&server)?;
    let asker = Asker { connection, limit };
    let clock = ClockCheck::begin();
    let info: InfoReply =
        parsed(&asker.ask(&api("INFO", &subjects.stream), Bytes::new(), "to ask about the bucket").await?)?;
    let time = info.ts.as_deref().and_then(millis_of);
    let ahead = time.and_then(|time| clock.end("the NATS server", time)).map_or(0, |seconds| seconds * 1000);
    let settings = match (info.config, info.error) {
        (Some(settings), None) => settings,
        (_, Some(error)) if error.err_code == code::STREAM_NOT_FOUND => create(&asker, subjects, bucket, new).await?,
        (_, Some(error)) => return Err(refused(&error)),
        (None, None) => return Err(error::UNEXPECTED),
    };
    if let Some(mistake) = settings.mistake(bucket) {
        return wrong(format!("the bucket `{bucket}` {mistake}"));
    }
    try_rights(&asker, subjects).await?;
    let largest = usize::try_from(settings.max_msg_size).ok().filter(|size| *size > 0).unwrap_or(usize::MAX);
    let largest = largest.min(server.max_payload);
    Ok(Bucket {
        max_data_len: largest.saturating_sub(HEADERS + OVERHEAD).clamp(1, MAX_DATA_LEN),
        replicated: settings.num_replicas > 1,
        durable: settings.storage == "file",
        ahead,
    })
}

/// Asks on the first connection, within a limit.
struct Asker<'c> {
    connection: &'c Connection,
    limit: Duration,
}

impl Asker<'_> {
    /// Asks until there is an answer. None of the questions does harm when it is repeated, and servers that are electing a leader drop them.
    async fn ask(&self, subject: &str, payload: Bytes, what: &str) -> Result<Bytes> {
        for _ in 0..ATTEMPTS {
            match timeout(self.limit / ATTEMPTS, self.connection.request(subject, None, payload.clone())).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Failure::NoResponder)) => return Err(NO_JETSTREAM),
                Ok(Err(failure)) => return Err(failure.on_open(what)),
                Err(_) => {}
            }
        }
        Err(TIMED_OUT)
    }
}

fn refused(error: &ApiError) -> Error {
    if code::NO_JETSTREAM.contains(&error.err_code) { NO_JETSTREAM } else { error.in_use() }
}

async fn create(asker: &Asker<'_>, subjects: &Subjects, bucket: &str, new: NewBucket) -> Result<Settings> {
    if !new.create {
        return wrong(format!(
            "there is no bucket `{bucket}`, and `create=false` forbids to create it; the README has its settings"
        ));
    }
    let settings = json!({
        "name": subjects.stream,
        "subjects": [format!("$KV.{bucket}.>")],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "max_msg_size": -1,
        "discard": "new",
        "storage": match new.storage { Storage::File => "file", Storage::Memory => "memory" },
        "num_replicas": new.replicas,
        "allow_direct": false,
        "deny_delete": true,
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": true,
    });
    let request = settings.to_string().into();
    let reply = asker.ask(&api("CREATE", &subjects.stream), request, "to create the bucket").await?;
    let reply: InfoReply = parsed(&reply)?;
    match (reply.config, reply.error) {
        (Some(settings), None) => Ok(settings),
        (_, Some(error)) if error.err_code == IN_USE => {
            // Another process has created it meanwhile.
            let info = asker.ask(&api("INFO", &subjects.stream), Bytes::new(), "to ask about the bucket").await?;
            parsed::<InfoReply>(&info)?.config.ok_or(error::UNEXPECTED)
        }
        (_, Some(error)) if TOO_FEW.contains(&error.err_code) => wrong(format!(
            "there are fewer than {} servers with JetStream and room, which `replicas` asks for",
            new.replicas
        )),
        (_, Some(error)) => Err(refused(&error)),
        (None, None) => Err(error::UNEXPECTED),
    }
}

/// Tries each call that the store makes, without a change: the writes name a sequence number that no message has.
async fn try_rights(asker: &Asker<'_>, subjects: &Subjects) -> Result<()> {
    let get = api("MSG.GET", &subjects.stream);
    asker.ask(&get, last_of(&subjects.probe()), "to read from the bucket").await?;
    let key = StoreKey::derive("id", &SessionId::random());
    let principal = session_core::Principal::new("probe")?;
    for subject in [subjects.record(&key), subjects.entry(&principal, &key), subjects.probe()] {
        let content = Content::Value(Bytes::from_static(&[1]));
        let headers = headers(&content, Expected::Sequence(u64::MAX), Some(1));
        let request = asker.connection.request(&subject, Some(headers), Bytes::from_static(&[1]));
        match timeout(asker.limit, request).await {
            Ok(Ok(reply)) => drop(written(&reply)?),
            Ok(Err(failure)) => return Err(failure.on_open("to write to the bucket")),
            Err(_) => return Err(TIMED_OUT),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_with_a_time_to_live_are_accepted() {
        for (version, is_accepted) in [
            ("2.11.0", true),
            ("2.15.2-beta.1", true),
            ("3.0.0", true),
            ("2.10.29", false),
            ("2.9.10", false),
            ("1.99", false),
            ("", false),
        ] {
            let server = ServerInfo { version: version.to_owned(), headers: true, ..ServerInfo::default() };
            assert_eq!(check_server(&server).is_ok(), is_accepted, "{version}");
        }
    }

    #[test]
    fn each_setting_that_breaks_a_promise_is_named() {
        let good = json!({
            "name": "KV_b", "subjects": ["$KV.b.>"], "retention": "limits", "max_msgs": -1, "max_bytes": -1, "max_age": 0,
            "max_msgs_per_subject": 1, "max_msg_size": -1, "discard": "old", "storage": "file", "num_replicas": 3, "allow_msg_ttl": true,
        });
        let mistake = |changes: &[(&str, serde_json::Value)]| {
            let mut settings = good.clone();
            for (name, value) in changes {
                settings[*name] = value.clone();
            }
            serde_json::from_value::<Settings>(settings).unwrap().mistake("b")
        };
        assert_eq!(mistake(&[]), None);
        assert_eq!(mistake(&[("max_bytes", json!(1000)), ("discard", json!("new"))]), None);
        for (name, value, part) in [
            ("subjects", json!(["$KV.b.>", "x"]), "other subjects"),
            ("mirror", json!({ "name": "c" }), "the original"),
            ("sources", json!([{ "name": "c" }]), "the original"),
            ("subject_transform", json!({}), "subject_transform"),
            ("sealed", json!(true), "sealed"),
            ("retention", json!("workqueue"), "retention"),
            ("no_ack", json!(true), "no_ack"),
            ("max_msgs_per_subject", json!(5), "history"),
            ("allow_direct", json!(true), "allow_direct"),
            ("allow_msg_ttl", json!(false), "allow_msg_ttl"),
            ("max_age", json!(1), "max_age"),
            ("max_msgs", json!(5), "discard"),
            ("max_bytes", json!(5), "discard"),
            ("allow_msg_counter", json!(true), "counters"),
            ("persist_mode", json!("async"), "persist_mode"),
        ] {
            let mistake = mistake(&[(name, value)]).unwrap_or_default();
            assert!(mistake.contains(part), "{name}: {mistake}");
        }
    }

    #[test]
    fn times_of_the_server_are_read() {
        for (time, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59.999Z", Some(951_868_799_999)),
            ("2026-11-30T19:25:17.123456789Z", Some(1_796_066_717_123)),
            ("2026-03-01T00:00:00.5Z", Some(1_772_323_200_500)),
            ("2026-11-30T19:25:17+01:00", None),
            ("2026-13-30T19:25:17Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(millis_of(time), millis, "{time}");
        }
    }
}
