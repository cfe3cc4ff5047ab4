//! Tests of situations that DynamoDB Local never produces: throttling, conflicts of transactions, failures, keys left over.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_conformance::fixtures::{key, now};
use session_core::{Bytes, Clock, ErrorKind, Outcome, Principal, Record, Store, SystemClock, Version, hours};
use session_store_dynamo::DynamoStore;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Status and body of an answer.
type Answer = (u16, Value);

/// A server that gives the answers of a test, and records the requests.
struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts a server. `answer` gets the operation, the number of earlier requests for it, and the request. It does not get the
    /// requests that open a store.
    async fn start(answer: impl Fn(&str, usize, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &log, &*answer).await });
            }
        });
        Self { address, asked }
    }

    async fn store(&self, options: &str) -> DynamoStore {
        let url = format!("dynamodb://key:secret@{}/us-east-1?{options}", self.address);
        let store = DynamoStore::connect(&url).await.unwrap();
        self.asked.lock().unwrap().clear();
        store
    }

    /// Returns the operations requested since the store was opened.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, log: &Mutex<Vec<String>>, answer: &(dyn Fn(&str, usize, &Value) -> Answer + Sync)) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut operation, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(n) if n > 0 => {}
                _ => return,
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
                Some((name, value)) if name == "x-amz-target" => {
                    value.rsplit('.').next().unwrap().clone_into(&mut operation);
                }
                Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let request: Value = serde_json::from_slice(&body).unwrap();
        let (status, body) = opening(&operation, &request).unwrap_or_else(|| {
            let before = {
                let mut log = log.lock().unwrap();
                log.push(operation.clone());
                log.iter().filter(|it| **it == operation).count() - 1
            };
            answer(&operation, before, &request)
        });
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns the answers with which a store opens: the table exists, has a time to live and the right layout.
fn opening(operation: &str, request: &Value) -> Option<Answer> {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let bytes = |name: &str| json!({ "AttributeName": name, "AttributeType": "B" });
    let answer = match operation {
        "DescribeTable" => json!({ "Table": {
            "TableStatus": "ACTIVE",
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
            "AttributeDefinitions": [bytes("pk"), bytes("sk")],
        }}),
        "DescribeTimeToLive" => {
            json!({ "TimeToLiveDescription": { "AttributeName": "ttl", "TimeToLiveStatus": "ENABLED" } })
        }
        // Base64 of "layout".
        "GetItem" if request["Key"]["pk"]["B"] == "bGF5b3V0" => json!({ "Item": { "layout": { "N": "1" } } }),
        _ => return None,
    };
    Some((200, answer))
}

fn error(code: &str) -> Answer {
    (400, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no" }))
}

fn cancelled(reasons: &[&str]) -> Answer {
    let reasons: Vec<_> = reasons.iter().map(|code| json!({ "Code": code })).collect();
    let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    (400, json!({ "__type": code, "Message": "cancelled", "CancellationReasons": reasons }))
}

fn done() -> Answer {
    (200, json!({}))
}

fn record(principal: Option<&str>) -> Record {
    let now = SystemClock.now();
    let principal = principal.map(|name| Principal::new(name).unwrap());
    Record::new(Version::random(), now, now.plus(hours(1)), principal, Bytes::from_static(b"{}"))
}

#[tokio::test]
async fn in_the_usual_case_each_call_is_one_request_and_the_cheapest_that_will_do() {
    let fake = Fake::start(|_, _, _| done()).await;
    let store = fake.store("").await;
    let (anonymous, anns) = (record(None), record(Some("ann")));
    for session in [&anonymous, &anns] {
        assert_eq!(store.create(&now(), &key(1), session).await.unwrap(), Outcome::Done);
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
        assert_eq!(store.save(&now(), &key(1), Version::random(), session).await.unwrap(), Outcome::Done);
    }
    assert_eq!(store.touch(&now(), &key(1), Version::random(), SystemClock.now()).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    let without = ["PutItem", "GetItem", "PutItem"];
    let with = ["TransactWriteItems", "GetItem", "UpdateItem"];
    assert_eq!(fake.asked(), [&without[..], &with, &["UpdateItem", "DeleteItem"]].concat());
}

#[tokio::test]
async fn what_is_throttled_is_sent_again_until_it_is_done() {
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "TransactionConflictException"] {
        let fake = Fake::start(move |_, before, _| if before < 3 { error(code) } else { done() }).await;
        let store = fake.store("").await;
        assert_eq!(store.create(&now(), &key(1), &record(None)).await.unwrap(), Outcome::Done, "{code}");
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None, "{code}");
        assert_eq!(fake.asked(), [["PutItem"; 4], ["GetItem"; 4]].concat(), "{code}");
    }
}

#[tokio::test]
async fn a_transaction_that_met_another_is_sent_again() {
    for reasons in [["TransactionConflict", "None"], ["None", "TransactionConflict"], ["None", "ThrottlingError"]] {
        let fake = Fake::start(move |_, before, _| if before < 2 { cancelled(&reasons) } else { done() }).await;
        let store = fake.store("").await;
        assert_eq!(store.create(&now(), &key(1), &record(Some("ann"))).await.unwrap(), Outcome::Done);
        assert_eq!(fake.asked(), ["TransactWriteItems"; 3], "{reasons:?}");
    }
}

#[tokio::test]
async fn what_is_throttled_for_ever_is_unavailable_within_the_time_out() {
    let fake = Fake::start(|_, _, _| error("ThrottlingException")).await;
    let store = fake.store("timeout=400").await;
    let begun = Instant::now();
    for answer in [
        store.load(&now(), &key(1)).await.map(drop),
        store.touch(&now(), &key(1), Version::random(), SystemClock.now()).await.map(drop),
        store.sessions_of(&now(), &Principal::new("ann").unwrap(), std::num::NonZeroU32::MIN).await.map(drop),
        store.scan(&now(), None, std::num::NonZeroU32::MIN).await.map(drop),
    ] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "four calls of 400 ms took {:?}", begun.elapsed());
    assert!(fake.asked().len() > 8, "each was tried more than once");
}

#[tokio::test]
async fn a_write_whose_fate_is_unknown_is_not_sent_again_and_a_read_is() {
    let failure = || (500, json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" }));
    let fake = Fake::start(move |_, before, _| if before == 0 { failure() } else { done() }).await;
    let store = fake.store("").await;
    let session = record(None);
    assert_eq!(store.create(&now(), &key(1), &session).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let save = store.save(&now(), &key(1), session.version, &record(Some("ann"))).await;
    assert_eq!(save.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.delete(&now(), &key(1), None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
    assert_eq!(fake.asked(), ["PutItem", "UpdateItem", "DeleteItem", "GetItem", "GetItem"]);
}

#[tokio::test]
async fn credentials_that_expire_and_rights_that_go_in_use_are_an_outage() {
    for code in ["ExpiredTokenException", "AccessDeniedException", "AnUnknownException"] {
        let fake = Fake::start(move |_, _, _| error(code)).await;
        let store = fake.store("").await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable, "{code}");
    }
}

#[tokio::test]
async fn keys_that_are_left_over_are_asked_for_again() {
    // Answers to a batch have one item and none in turn.
    let fake = Fake::start(|operation, before, request| {
        if operation != "BatchGetItem" {
            return done();
        }
        let keys = request["RequestItems"]["sessions"]["Keys"].as_array().unwrap();
        assert_eq!(request["RequestItems"]["sessions"]["ConsistentRead"], true);
        let taken = (before + 1) % 2;
        let item = |key: &Value| {
            let mut item = key.clone();
            for name in ["version", "created_at"] {
                item[name] = json!({ "N": "1" });
            }
            item["expires_at"] = json!({ "N": "253402300799999" });
            item["data"] = json!({ "B": "" });
            item
        };
        let items: Vec<_> = keys[..taken].iter().map(item).collect();
        let left = match &keys[taken..] {
            [] => json!({}),
            left => json!({ "sessions": { "Keys": left, "ConsistentRead": true } }),
        };
        (200, json!({ "Responses": { "sessions": items }, "UnprocessedKeys": left }))
    })
    .await;
    // Concurrent loads share a batch.
    let store = fake.store("pool=1").await;
    let loads: Vec<_> = (0..6)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&now(), &key(n)).await.unwrap().is_some() })
        })
        .collect();
    let mut found = 0;
    for load in loads {
        found += u32::from(load.await.unwrap());
    }
    let batches = fake.asked().iter().filter(|it| *it == "BatchGetItem").count();
    assert_eq!((found, batches), (6, 11), "six went together and came in turn: {:?}", fake.asked());
}
