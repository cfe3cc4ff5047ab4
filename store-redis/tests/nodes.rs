//! What the suite cannot know of a cluster: what lies on which node, and what happens when nodes or slots change under the store.
//! Orders are made by doing a writer's or a healer's steps one by one, with the store's own scripts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conformance::proxy::Proxy;
use conformance::server::{self, Server};
use session_core::Outcome::{Conflict, Done, Exists};
use session_core::{
    Bytes, Call, Clock as _, ErrorKind, Principal, Record, SessionId, Store as _, StoreKey, SystemClock, Version,
    hours, seconds,
};
use store_redis::RedisStore;
use store_redis::redis::{self, Cmd, FromRedisValue};

#[path = "common/nodes.rs"]
mod nodes;

use nodes::{Node, Nodes, Slots};

const NAMESPACE: &str = "own_tests";
const LIMIT: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");

/// As in `apart.rs`, in ms.
const TIMES: &str = "local LEASE, MARGIN, GRACE = 360000, 600000, 1020000\n";
const LEASE: i64 = 360_000;
const MARGIN: i64 = 600_000;

/// A cluster, a store on it, and connections to look behind the store.
struct Bench {
    server: Server,
    store: RedisStore,
    nodes: Nodes,
}

impl Bench {
    async fn new() -> Self {
        let server = server::redis_cluster().await.unwrap();
        let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
        let nodes = Nodes::of(&server).await.unwrap();
        Self { server, store, nodes }
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &[&[u8]]) -> T {
        self.nodes.ask(&cmd(command)).await.unwrap()
    }

    /// When the entry goes at the latest, if there is one.
    async fn entry(&mut self, who: &Principal, key: &StoreKey) -> Option<i64> {
        self.ask(&[b"ZSCORE", &index(who), key.as_bytes()]).await
    }

    async fn doubt(&mut self, who: &Principal, key: &StoreKey) -> Option<i64> {
        self.ask(&[b"ZSCORE", &index(who), &doubt(key)]).await
    }

    /// The first step of a writer: the entry. Answers its node's time.
    async fn enter(&mut self, who: &Principal, key: &StoreKey, until: i64) -> Vec<u8> {
        let script = [COMMON, include_str!("../src/scripts/enter.lua")].concat();
        self.ask(&[b"EVAL", script.as_bytes(), b"1", &index(who), key.as_bytes(), until.to_string().as_bytes()]).await
    }

    /// The second: the record, as the bytes of another one of theirs.
    async fn create(&mut self, key: &StoreKey, like: &[u8], record: &Record, until: i64, at: &[u8]) -> redis::Value {
        let apart = include_str!("../src/scripts/apart.lua");
        let script = [COMMON, TIMES, apart, include_str!("../src/scripts/create.lua")].concat();
        let (now, expiry) = (SystemClock.now().as_millis().to_string(), record.expires_at.as_millis().to_string());
        let who = record.principal.as_ref().unwrap().as_str().as_bytes();
        let (name, until) = (name(key), until.to_be_bytes());
        let arguments: [&[u8]; 6] = [now.as_bytes(), like, expiry.as_bytes(), &until, who, at];
        self.ask(&[&[b"EVAL", script.as_bytes(), b"1", &name[..]], &arguments[..]].concat()).await
    }

    async fn listed(&self, who: &Principal) -> Vec<StoreKey> {
        let mut keys: Vec<_> =
            self.store.sessions_of(&call(), who, LIMIT).await.unwrap().into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// A stored record of theirs, its bytes, and its entry's instant.
    async fn stored(&mut self, who: &Principal) -> (Record, Vec<u8>, i64) {
        let (key, record) = (key(), record(Some(who)));
        assert_eq!(self.store.create(&call(), &key, &record).await.unwrap(), Done);
        let bytes: Vec<u8> = self.ask(&[b"GET", &name(&key)]).await;
        let until = self.entry(who, &key).await.unwrap();
        assert_eq!(bytes[25..33], until.to_be_bytes());
        assert_eq!(self.store.delete(&call(), &key, None).await.unwrap(), Done);
        (record, bytes, until)
    }

    async fn slot(&mut self, name: &[u8]) -> u16 {
        self.ask(&[b"CLUSTER", b"KEYSLOT", name]).await
    }

    /// The place of the node that serves a slot.
    async fn owner(&mut self, slot: u16) -> usize {
        let slots: Slots = self.ask(&[b"CLUSTER", b"SLOTS"]).await;
        let (.., (host, port, ..)) =
            slots.into_iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).unwrap();
        let address = format!("{host}:{port}");
        self.nodes.0.iter().position(|node| node.address == address).unwrap()
    }
}

const COMMON: &str = include_str!("../src/scripts/common.lua");

fn cmd(command: &[&[u8]]) -> Cmd {
    let mut cmd = Cmd::new();
    for part in command {
        cmd.arg(*part);
    }
    cmd
}

fn key() -> StoreKey {
    StoreKey::derive("id", &SessionId::random())
}

fn call() -> Call {
    Call::new(SystemClock.now())
}

fn record(principal: Option<&Principal>) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(24)), principal.cloned(), Bytes::from_static(b"{}"))
}

fn somebody() -> Principal {
    Principal::new(format!("{:?}", Version::random())).unwrap()
}

fn name(key: &StoreKey) -> Vec<u8> {
    [format!("{NAMESPACE}:s:").as_bytes(), key.as_bytes()].concat()
}

fn index(who: &Principal) -> Vec<u8> {
    format!("{NAMESPACE}:p:{}", who.as_str()).into_bytes()
}

fn doubt(key: &StoreKey) -> Vec<u8> {
    [b"?", &key.as_bytes()[..]].concat()
}

async fn tell(node: &mut Node, command: &[&[u8]]) {
    cmd(command).exec_async(&mut node.connection).await.unwrap();
}

/// A slot that moves, in the steps of an operator's tool.
struct Move {
    slot: u16,
    from: usize,
    to: usize,
}

impl Move {
    async fn open(&self, nodes: &mut Nodes) {
        let (from, to) = (id(nodes, self.from).await, id(nodes, self.to).await);
        let slot = self.slot.to_string();
        tell(&mut nodes.0[self.to], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"IMPORTING", &from]).await;
        tell(&mut nodes.0[self.from], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"MIGRATING", &to]).await;
    }

    async fn carry(&self, nodes: &mut Nodes, password: &str) {
        let (host, port) = nodes.0[self.to].address.rsplit_once(':').unwrap();
        let (host, port) = (host.to_owned(), port.to_owned());
        let slot = self.slot.to_string();
        loop {
            let from = &mut nodes.0[self.from].connection;
            let get = cmd(&[b"CLUSTER", b"GETKEYSINSLOT", slot.as_bytes(), b"100"]);
            let keys: Vec<Vec<u8>> = get.query_async(from).await.unwrap();
            if keys.is_empty() {
                return;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg(&host).arg(&port).arg("").arg(0).arg(5000).arg("AUTH").arg(password).arg("KEYS").arg(keys);
            migrate.exec_async(from).await.unwrap();
        }
    }

    async fn close(&self, nodes: &mut Nodes) {
        let (to, slot) = (id(nodes, self.to).await, self.slot.to_string());
        // The one that takes it first, then the one that gives it, then who only hears of it.
        let mut order: Vec<usize> = (0..nodes.0.len()).collect();
        order.sort_by_key(|place| if *place == self.to { 0 } else { 1 + usize::from(*place != self.from) });
        for place in order {
            tell(&mut nodes.0[place], &[b"CLUSTER", b"SETSLOT", slot.as_bytes(), b"NODE", &to]).await;
        }
    }

    async fn all(&self, nodes: &mut Nodes, password: &str) {
        self.open(nodes).await;
        self.carry(nodes, password).await;
        self.close(nodes).await;
    }
}

async fn id(nodes: &mut Nodes, place: usize) -> Vec<u8> {
    cmd(&[b"CLUSTER", b"MYID"]).query_async(&mut nodes.0[place].connection).await.unwrap()
}

#[tokio::test]
async fn an_entry_just_written_stands_until_its_record_comes_whoever_heals_between() {
    let mut bench = Bench::new().await;
    let (ann, key) = (somebody(), key());
    let (record, bytes, until) = bench.stored(&ann).await;
    // A writer between his two steps.
    let at = bench.enter(&ann, &key, until).await;
    for _ in 0..3 {
        assert_eq!(bench.listed(&ann).await, []);
        assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 0);
    }
    assert!(bench.doubt(&ann, &key).await.is_some_and(|since| since < 0), "healing has met the entry");
    assert_eq!(bench.entry(&ann, &key).await, Some(until));
    assert_eq!(bench.create(&key, &bytes, &record, until, &at).await, redis::Value::Int(0));
    assert_eq!(bench.listed(&ann).await, [key]);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_writer_who_comes_later_than_healing_is_refused_and_begins_again() {
    let mut bench = Bench::new().await;
    let (ann, key) = (somebody(), key());
    let (mut record, bytes, until) = bench.stored(&ann).await;
    let at = bench.enter(&ann, &key, until).await;
    assert_eq!(bench.listed(&ann).await, []);
    // The doubt has lasted for long enough, and so has the writer's pause.
    bench.ask::<i64>(&[b"ZADD", &index(&ann), b"-1", &doubt(&key)]).await;
    assert_eq!(bench.listed(&ann).await, []);
    assert_eq!(bench.entry(&ann, &key).await, None, "an entry that was in doubt for long is removed");
    assert_eq!(bench.doubt(&ann, &key).await, None);
    let paused = std::str::from_utf8(&at).unwrap().parse::<i64>().unwrap() - LEASE - 60_000;
    let answer = bench.create(&key, &bytes, &record, until, paused.to_string().as_bytes()).await;
    assert_eq!(answer, redis::Value::BulkString(ann.as_str().into()), "whose entry has to be written first");
    assert!(!bench.ask::<bool>(&[b"EXISTS", &name(&key)]).await, "a record without an entry");

    record.version = Version::random();
    assert_eq!(bench.store.create(&call(), &key, &record).await.unwrap(), Done);
    assert_eq!(bench.listed(&ann).await, [key]);
}

#[tokio::test]
async fn a_touch_that_renews_an_entry_wins_over_a_healer_who_had_judged_it() {
    let mut bench = Bench::new().await;
    let (ann, key) = (somebody(), key());
    let stored = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    // A healer has seen this doubt, and has not removed the entry yet.
    bench.ask::<i64>(&[b"ZADD", &index(&ann), b"-1", &doubt(&key)]).await;
    let farther = stored.expires_at.plus(hours(48));
    assert_eq!(bench.store.touch(&call(), &key, farther).await.unwrap(), Done);
    assert_eq!(bench.doubt(&ann, &key).await, None, "who writes an entry ends the doubt");
    let script = [COMMON, TIMES, include_str!("../src/scripts/heal_apart.lua")].concat();
    let member = &key.as_bytes()[..];
    bench.ask::<i64>(&[b"EVAL", script.as_bytes(), b"1", &index(&ann), member, b"-1"]).await;
    assert!(bench.entry(&ann, &key).await.unwrap() >= farther.as_millis() + MARGIN);
    assert_eq!(bench.listed(&ann).await, [key]);
}

#[tokio::test]
async fn an_entry_outlives_its_record_and_is_written_again_only_when_it_is_due() {
    let mut bench = Bench::new().await;
    let (ann, bob, key) = (somebody(), somebody(), key());
    let mut stored = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    let first = bench.entry(&ann, &key).await.unwrap();
    assert!(first >= stored.expires_at.plus(hours(11)).as_millis());
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &index(&ann)]).await, first);

    // Within its time the entry is left alone: a touch and a save.
    let nearer = stored.expires_at.plus(hours(1));
    assert_eq!(bench.store.touch(&call(), &key, nearer).await.unwrap(), Done);
    assert_eq!(bench.entry(&ann, &key).await, Some(first));
    let before = stored.version;
    (stored.version, stored.expires_at) = (Version::random(), nearer);
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert_eq!(bench.entry(&ann, &key).await, Some(first));
    let bytes: Vec<u8> = bench.ask(&[b"GET", &name(&key)]).await;
    assert_eq!(bytes[25..33], first.to_be_bytes(), "a save keeps what is known of the entry");
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &name(&key)]).await, nearer.as_millis());

    // Beyond it, the entry comes first and the header follows.
    let farther = stored.expires_at.plus(hours(30));
    assert_eq!(bench.store.touch(&call(), &key, farther).await.unwrap(), Done);
    let second = bench.entry(&ann, &key).await.unwrap();
    assert!(second >= farther.as_millis() + MARGIN);
    let bytes: Vec<u8> = bench.ask(&[b"GETRANGE", &name(&key), b"25", b"32"]).await;
    assert_eq!(bytes, second.to_be_bytes());
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &index(&ann)]).await, second);

    // Somebody else's now. The entry that is left behind is in doubt with the next listing.
    let before = stored.version;
    (stored.version, stored.principal) = (Version::random(), Some(bob.clone()));
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert_eq!(bench.listed(&bob).await, [key]);
    assert_eq!(bench.listed(&ann).await, []);
    assert!(bench.doubt(&ann, &key).await.is_some());
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 0);
    assert_eq!(bench.listed(&bob).await, [key], "delete_all takes no record that is another's by now");
}

#[tokio::test]
async fn scripts_that_one_node_has_lost_are_sent_again() {
    let mut bench = Bench::new().await;
    let ann = somebody();
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    for flushed in 0..bench.nodes.0.len() {
        for key in &keys {
            let _ = bench.store.delete(&call(), key, None).await.unwrap();
        }
        tell(&mut bench.nodes.0[flushed], &[b"SCRIPT", b"FLUSH"]).await;
        for key in &keys {
            let first = record(Some(&ann));
            assert_eq!(bench.store.create(&call(), key, &first).await.unwrap(), Done);
            assert_eq!(bench.store.create(&call(), key, &record(Some(&ann))).await.unwrap(), Exists);
            assert_eq!(bench.store.touch(&call(), key, first.expires_at.plus(hours(100))).await.unwrap(), Done);
        }
        assert_eq!(bench.listed(&ann).await.len(), keys.len());
    }
    let flush = [&b"SCRIPT"[..], b"FLUSH"];
    for node in &mut bench.nodes.0 {
        tell(node, &flush).await;
    }
    assert_eq!(bench.store.delete_all(&call(), &ann, Some(&keys[0])).await.unwrap(), 11);
}

/// A session that counts.
fn count(record: &Record) -> u64 {
    u64::from_le_bytes(record.data[..8].try_into().unwrap())
}

fn counting(n: u64, who: &Principal) -> Record {
    let mut record = record(Some(who));
    record.data = Bytes::from(n.to_le_bytes().to_vec());
    record
}

#[tokio::test]
async fn slots_that_move_lose_no_update_and_no_entry() {
    const ROUNDS: u64 = 40;
    let mut bench = Bench::new().await;
    let ann = somebody();
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &counting(0, &ann)).await.unwrap(), Done);
    }
    let over = Arc::new(AtomicBool::new(false));
    let writers = keys.iter().flat_map(|key| [*key, *key]).map(|key| {
        let (store, ann) = (bench.store.clone(), ann.clone());
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                loop {
                    let old = store.load(&call(), &key).await.unwrap().unwrap();
                    let new = counting(count(&old) + 1, &ann);
                    match store.save(&call(), &key, old.version, &new).await.unwrap() {
                        Done => break,
                        outcome => assert_eq!(outcome, Conflict),
                    }
                }
                // Far enough for a new entry.
                let farther = SystemClock.now().plus(hours(24 * (round + 2)));
                assert_eq!(store.touch(&call(), &key, farther).await.unwrap(), Done);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let ended = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            for writer in writers {
                writer.await.unwrap();
            }
            over.store(true, Ordering::SeqCst);
        })
    };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.push(index(&ann));
    let mut moved = 0;
    while !over.load(Ordering::SeqCst) || moved == 0 {
        for name in &names {
            let slot = bench.slot(name).await;
            let from = bench.owner(slot).await;
            let to = (from + 1) % bench.nodes.0.len();
            Move { slot, from, to }.all(&mut bench.nodes, bench.server.password()).await;
            moved += 1;
        }
    }
    ended.await.unwrap();
    for key in &keys {
        let record = bench.store.load(&call(), key).await.unwrap().unwrap();
        assert_eq!(count(&record), 2 * ROUNDS, "updates of a session whose slot moved, {moved} moves in all");
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(bench.listed(&ann).await, sorted);
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 8);
}

#[tokio::test]
async fn a_slot_that_stays_half_moved_serves_everything() {
    let mut bench = Bench::new().await;
    let (ann, key) = (somebody(), key());
    let slot = bench.slot(&name(&key)).await;
    let from = bench.owner(slot).await;
    let half = Move { slot, from, to: (from + 1) % 3 };
    half.open(&mut bench.nodes).await;
    // Not there yet, and then made where the slot goes to.
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), None);
    let first = record(Some(&ann));
    assert_eq!(bench.store.create(&call(), &key, &first).await.unwrap(), Done);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(first.clone()));
    assert_eq!(bench.store.create(&call(), &key, &record(None)).await.unwrap(), Exists);
    assert_eq!(bench.store.touch(&call(), &key, first.expires_at.plus(hours(100))).await.unwrap(), Done);
    assert_eq!(bench.listed(&ann).await, [key]);
    let page = bench.store.scan(&call(), None, LIMIT).await.unwrap();
    assert!(page.records.iter().any(|(known, _)| *known == key), "a walk sees it where it is");
    assert_eq!(bench.store.delete(&call(), &key, Some(first.version)).await.unwrap(), Done);
    half.close(&mut bench.nodes).await;
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), None);
}

/// A walk shows all records, though some of them move behind its back, from a node that is still to come to one that was walked:
/// either their slots change hands, or they are open throughout.
async fn walk(finish: bool) {
    let mut bench = Bench::new().await;
    let mut missing = Vec::new();
    for _ in 0..90 {
        let (key, record) = (key(), record(None));
        assert_eq!(bench.store.create(&call(), &key, &record).await.unwrap(), Done);
        missing.push(key);
    }
    // The walk goes by addresses.
    bench.nodes.0.sort_by_key(|node| node.address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap());
    let mut moves = Vec::new();
    for key in &missing {
        let slot = bench.slot(&name(key)).await;
        if bench.owner(slot).await == 2 && moves.len() < 10 && moves.iter().all(|one: &Move| one.slot != slot) {
            moves.push(Move { slot, from: 2, to: 0 });
        }
    }
    assert!(!moves.is_empty());
    if !finish {
        // Slots that are open before the walk begins and after it ends.
        for one in &moves {
            one.open(&mut bench.nodes).await;
        }
    }
    let password = bench.server.password().to_owned();
    let few = NonZeroU32::new(5).unwrap();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = bench.store.scan(&call(), after, few).await.unwrap();
        assert!(page.records.len() <= 5);
        missing.retain(|key| page.records.iter().all(|(seen, _)| seen != key));
        if pages == 0 {
            for one in &moves {
                if finish {
                    one.all(&mut bench.nodes, &password).await
                } else {
                    one.carry(&mut bench.nodes, &password).await
                }
            }
        }
        pages += 1;
        assert!(pages < 1000, "the walk has no end");
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(missing.len(), 0, "records that a walk of {pages} pages has not shown");
}

#[tokio::test]
async fn a_walk_misses_nothing_when_slots_move_behind_it() {
    walk(true).await;
}

#[tokio::test]
async fn a_walk_misses_nothing_in_slots_that_stay_open() {
    walk(false).await;
}

#[tokio::test]
async fn a_silent_node_holds_up_no_session_on_another() {
    let mut bench = Bench::new().await;
    let limit = seconds(2);
    let mut builder = RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).timeout(limit);
    let mut proxies = Vec::new();
    for node in &bench.nodes.0 {
        let proxy = Proxy::before(&node.address).await.unwrap();
        builder = builder.node_at(&node.address, &proxy.address().to_string());
        proxies.push(proxy);
    }
    let store = builder.open().await.unwrap();
    let mut keys = vec![Vec::new(); 3];
    for _ in 0..30 {
        let (key, record) = (key(), record(None));
        assert_eq!(store.create(&call(), &key, &record).await.unwrap(), Done);
        let slot = bench.slot(&name(&key)).await;
        keys[bench.owner(slot).await].push(key);
    }
    proxies[0].stall();
    let silent = keys[0][0];
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.load(&call(), &silent).await }
    });
    let begun = Instant::now();
    for key in keys[1].iter().chain(&keys[2]) {
        assert!(store.load(&call(), key).await.unwrap().is_some());
    }
    assert!(begun.elapsed() < limit / 2, "other nodes' sessions took {:?}", begun.elapsed());
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    // Its slot is another's now. The call that gave up on it has had a look, or the next one will.
    let slot = bench.slot(&name(&silent)).await;
    Move { slot, from: 0, to: 1 }.all(&mut bench.nodes, bench.server.password()).await;
    let mut silences = 0;
    while store.load(&call(), &silent).await.is_err() {
        silences += 1;
        assert!(silences < 3, "the slot has moved away from the silent node, and calls do not follow");
    }
    // A node that is known to be gone is no different.
    let silent = *keys[0].iter().find(|key| **key != silent).unwrap();
    proxies[0].cut();
    let begun = Instant::now();
    assert_eq!(store.load(&call(), &silent).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for key in keys[1].iter().chain(&keys[2]) {
        assert!(store.load(&call(), key).await.unwrap().is_some());
    }
    assert!(begun.elapsed() < limit + Duration::from_millis(500));
    proxies[0].pass();
    let begun = Instant::now();
    while store.load(&call(), &silent).await.is_err() {
        assert!(begun.elapsed() < 3 * limit, "the node is back, and its sessions are not");
    }
}

#[tokio::test]
async fn a_cluster_and_a_single_server_are_not_taken_for_each_other() {
    let bench = Bench::new().await;
    let single = format!("redis://:{}@{}", bench.server.password(), bench.server.address());
    let error = RedisStore::connect(&single).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for word in ["redis+cluster://", "`cluster`"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    // The same address, said to be a cluster's: one node is enough to find the others.
    let store = RedisStore::builder(&single).unwrap().cluster(true).namespace(NAMESPACE).open().await.unwrap();
    let (key, first) = (key(), record(None));
    assert_eq!(store.create(&call(), &key, &first).await.unwrap(), Done);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(first));
    let wrong = RedisStore::builder(&format!("{single}/3")).unwrap().cluster(true).open().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config, "{wrong}");
    drop(bench);

    let one = server::redis().await.unwrap();
    let url = format!("redis+cluster://:{}@{}", one.password(), one.address());
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("not part of a cluster"), "{error}");
    let error = RedisStore::connect("redis+cluster://:xyzzy@127.0.0.1:1?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error:?}").contains("xyzzy"));
}
