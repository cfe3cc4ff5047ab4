use std::collections::HashMap;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use async_nats::{Client, ConnectOptions, HeaderMap, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::now;
use crate::cas::{Cas, Key, LIFE};

/// Bucket of the bare driver.
const BUCKET: &str = "bare";

/// A value is its version, its expiry, and the data.
const HEADER: usize = 16;

pub(crate) struct Driver {
    client: Client,
    /// Version last read or written under each key, and the sequence number of its message.
    numbers: Mutex<HashMap<Key, (i64, u64)>>,
}

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("nats://").context("no URL of NATS")?;
        let (login, place) = rest.split_once('@').context("no login")?;
        let (user, password) = login.split_once(':').context("no password")?;
        let address = place.split(['/', '?']).next().unwrap_or_default();
        let options = ConnectOptions::with_user_and_password(user.into(), password.into());
        let client = options.connect(address).await?;
        // The same settings as the store's.
        let bucket = json!({
            "name": format!("KV_{BUCKET}"), "subjects": [format!("$KV.{BUCKET}.>")], "storage": "file", "discard": "new",
            "max_msgs_per_subject": 1, "allow_msg_ttl": true, "allow_direct": false,
        });
        client.request(format!("$JS.API.STREAM.CREATE.KV_{BUCKET}"), bucket.to_string().into()).await?;
        Ok(Self { client, numbers: Mutex::default() })
    }

    fn note(&self, key: &Key, version: i64, sequence: u64) {
        self.numbers.lock().expect("no panic").insert(*key, (version, sequence));
    }

    /// Returns the version, the sequence number and the value of a live session.
    async fn get(&self, key: &Key) -> Result<Option<(i64, u64, Vec<u8>)>> {
        let request = json!({ "last_by_subj": subject(key) }).to_string();
        let reply = self.client.request(format!("$JS.API.STREAM.MSG.GET.KV_{BUCKET}"), request.into()).await?;
        let reply: Value = serde_json::from_slice(&reply.payload)?;
        let Some(message) = reply.get("message") else { return Ok(None) };
        let value = STANDARD.decode(message["data"].as_str().unwrap_or_default())?;
        let sequence = message["seq"].as_u64().context("no sequence number")?;
        let (version, expires_at) = (number(&value, 0)?, number(&value, 8)?);
        self.note(key, version, sequence);
        Ok((expires_at > now()).then_some((version, sequence, value)))
    }

    /// Stores a value if the last message has this sequence number.
    async fn put(&self, key: &Key, version: i64, data: &[u8], expected: u64) -> Result<bool> {
        let value = [&version.to_be_bytes()[..], &(now() + LIFE).to_be_bytes(), data].concat();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        headers.insert("Nats-TTL", (LIFE / 1000 + 2).to_string());
        let request = Request::new().headers(headers).payload(value.into());
        let reply = self.client.send_request(subject(key), request).await?;
        let reply: Value = serde_json::from_slice(&reply.payload)?;
        if reply.get("error").is_some() {
            return Ok(false);
        }
        self.note(key, version, reply["seq"].as_u64().context("no sequence number")?);
        Ok(true)
    }
}

fn subject(key: &Key) -> String {
    format!("$KV.{BUCKET}.{}", URL_SAFE_NO_PAD.encode(key))
}

fn number(value: &[u8], at: usize) -> Result<i64> {
    let bytes = value.get(at..at + 8).context("a value that is too short")?;
    Ok(i64::from_be_bytes(bytes.try_into()?))
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        ensure!(self.put(key, version, &data, 0).await?, "the session exists");
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        Ok(self.get(key).await?.map(|(version, _, mut value)| (version, value.split_off(HEADER))))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let known = self.numbers.lock().expect("no panic").get(key).copied();
        match known {
            Some((stored, sequence)) if stored == expected => self.put(key, version, &data, sequence).await,
            _ => Ok(false),
        }
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        match self.get(key).await? {
            Some((version, sequence, value)) if version == expected => {
                self.put(key, version, &value[HEADER..], sequence).await
            }
            _ => Ok(false),
        }
    }
}
