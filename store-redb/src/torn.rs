//! Tests that stop the disk at every write, lose any part of what was not flushed, and open what is left.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{ReadableTable as _, StorageBackend};
use session_conformance::fixtures::{key, now, record};
use session_core::{Namespace, Outcome, Principal, Record, Store as _, hours};
use tempfile::NamedTempFile;
use tokio::runtime;

use crate::config::FileOptions;
use crate::database::Handle;
use crate::open_file::OpenFile;
use crate::rows::Head;
use crate::schema::{EXPIRIES, PRINCIPALS, Prefix, store_key};
use crate::{Durability, RedbStore};

/// Sessions, each of which one task changes, and changes of each.
const SESSIONS: usize = 6;
const CHANGES: usize = 100;
/// Part of a write that is on the disk as a whole or not at all.
const SECTOR: usize = 512;

/// What happened, in order.
#[derive(Clone, Debug)]
enum Event {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// A change of a session was sent to the store.
    Sent(usize),
    /// The store has reported it.
    Confirmed(usize),
}

/// A disk in memory that notes what happens to it.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    log: Vec<Event>,
}

impl Disk {
    fn with(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Content { bytes, log: Vec::new() })))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }

    fn note(&self, event: Event) {
        let mut content = self.content();
        apply(&mut content.bytes, &event);
        content.log.push(event);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content();
        let part = content.bytes.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Event::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(Event::Write(offset, data.to_vec()));
        Ok(())
    }
}

fn apply(bytes: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write(offset, data) => {
            let (start, end) = (*offset as usize, *offset as usize + data.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(data);
        }
        Event::SetLen(len) => bytes.resize(*len as usize, 0),
        Event::Sync | Event::Sent(_) | Event::Confirmed(_) => {}
    }
}

/// Numbers that look random and are the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// The place of a database whose content is on a [`Disk`]: a file that the path names, as the store demands.
struct Place {
    file: NamedTempFile,
    prefix: Prefix,
}

fn namespace() -> Namespace {
    Namespace::new("sessions").unwrap()
}

impl Place {
    fn new() -> Self {
        Self { file: NamedTempFile::new().unwrap(), prefix: Prefix::of(&namespace()) }
    }

    fn options(&self) -> FileOptions {
        FileOptions { path: self.file.path().to_owned(), cache: 64 << 20, max_len: u64::MAX }
    }

    fn open(&self, disk: &Disk) -> OpenFile {
        let file = File::open(self.file.path()).unwrap();
        match OpenFile::on(disk.clone(), file, &self.options(), true, &Arc::default()) {
            Ok(open) => open,
            Err(failure) => panic!("{}", failure.at_open(self.file.path())),
        }
    }
}

/// The states of each session, one after the other. The first is that there is none.
type Histories = Vec<Vec<Option<Record>>>;

/// Lets tasks change sessions at once on a store with this durability. Returns what happened to the disk.
fn work(place: &Place, durability: Durability) -> (Histories, Vec<Event>) {
    let disk = Disk::default();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let histories = runtime.block_on(async {
        let open = place.open(&disk);
        open.create_namespace(&namespace()).unwrap();
        let builder = RedbStore::builder(place.file.path()).durability(durability);
        let store = builder.start(Handle::to(place.options(), open), namespace()).unwrap();
        let tasks: Vec<_> = (0..SESSIONS).map(|n| tokio::spawn(change(store.clone(), disk.clone(), n))).collect();
        let mut histories = Histories::new();
        for task in tasks {
            histories.push(task.await.unwrap());
        }
        store.close().await.unwrap();
        histories
    });
    let log = std::mem::take(&mut disk.content().log);
    (histories, log)
}

/// Changes session number `n` again and again. Returns its states.
async fn change(store: RedbStore, disk: Disk, n: usize) -> Vec<Option<Record>> {
    let (mut dice, mut states) = (Dice(n as u64 + 1), vec![None::<Record>]);
    let (call, key) = (now(), key(n as u32));
    for nth in 0..CHANGES {
        let last = states.last().unwrap().clone();
        let mut next = record(&vec![nth as u8; [10, 300, 6000][dice.below(3)]]);
        next.principal = [None, Some("ann"), Some("bob")][dice.below(3)].map(|name| Principal::new(name).unwrap());
        disk.note(Event::Sent(n));
        let done = match (last, dice.below(5)) {
            (None, _) => {
                states.push(Some(next.clone()));
                store.create(&call, &key, &next).await
            }
            (Some(last), 0) => {
                states.push(None);
                store.delete(&call, &key, Some(last.version)).await
            }
            (Some(last), 1) => {
                let mut touched = last.clone();
                touched.expires_at = last.expires_at.plus(hours(1));
                states.push(Some(touched.clone()));
                store.touch(&call, &key, last.version, touched.expires_at).await
            }
            (Some(last), _) => {
                states.push(Some(next.clone()));
                store.save(&call, &key, last.version, &next).await
            }
        };
        assert_eq!(done.unwrap(), Outcome::Done);
        disk.note(Event::Confirmed(n));
    }
    states
}

/// A moment at which the disk stops.
struct Moment<'l> {
    /// Content of the disk at the last flush.
    flushed: &'l [u8],
    /// What was written since.
    pending: &'l [Event],
    /// Number of changes of each session that were sent, and that were confirmed.
    sent: [usize; SESSIONS],
    confirmed: [usize; SESSIONS],
}

impl Moment<'_> {
    /// Returns what is on the disk if all that was written is, as after a process was killed.
    fn all(&self) -> Vec<u8> {
        let mut bytes = self.flushed.to_vec();
        self.pending.iter().for_each(|event| apply(&mut bytes, event));
        bytes
    }

    /// Returns what is on the disk if any part of what was written is, as after a loss of power.
    fn part(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.flushed.to_vec();
        // Sometimes most of it, sometimes little.
        let often = 1 + dice.below(8);
        for event in self.pending {
            match event {
                _ if dice.below(often) == 0 => {}
                Event::Write(offset, data) if dice.below(4) == 0 => {
                    for (nth, sector) in data.chunks(SECTOR).enumerate() {
                        if dice.below(2) == 0 {
                            apply(&mut bytes, &Event::Write(offset + (nth * SECTOR) as u64, sector.to_vec()));
                        }
                    }
                }
                event => apply(&mut bytes, event),
            }
        }
        bytes
    }
}

/// Calls `at` for each moment after a write.
fn each_moment(log: &[Event], mut at: impl FnMut(usize, &Moment<'_>)) {
    let (mut flushed, mut pending) = (Vec::new(), Vec::new());
    let (mut sent, mut confirmed) = ([0; SESSIONS], [0; SESSIONS]);
    for (nth, event) in log.iter().enumerate() {
        match event {
            Event::Sent(n) => sent[*n] += 1,
            Event::Confirmed(n) => confirmed[*n] += 1,
            Event::Sync => pending.drain(..).for_each(|event| apply(&mut flushed, &event)),
            // A file that is being created is put in place when it is a database.
            event if sent == [0; SESSIONS] => apply(&mut flushed, event),
            Event::Write(..) | Event::SetLen(_) => {
                pending.push(event.clone());
                at(nth, &Moment { flushed: &flushed, pending: &pending, sent, confirmed });
            }
        }
    }
}

/// Opens `bytes` and checks that each session is in a state that was sent. Returns the number of confirmed changes that are missing,
/// and what opening wrote to the disk.
fn check(place: &Place, bytes: Vec<u8>, histories: &Histories, moment: &Moment<'_>) -> (usize, Vec<Event>) {
    let disk = Disk::with(bytes);
    let open = place.open(&disk);
    let mut lost = 0;
    for (n, history) in histories.iter().enumerate() {
        let found = open.snapshot().load(&place.prefix, &key(n as u32), now().now).unwrap().unwrap();
        // From the end, because a session that was deleted twice has the same state twice.
        let sent = &history[..=moment.sent[n]];
        let state = sent.iter().rposition(|state| *state == found).expect("a state that was sent");
        lost += moment.confirmed[n].saturating_sub(state);
    }
    indexes_agree(&open, &place.prefix);
    let log = std::mem::take(&mut disk.content().log);
    (lost, log)
}

/// Checks that the indexes have one entry for each record that needs it, and no other.
fn indexes_agree(open: &OpenFile, prefix: &Prefix) {
    let (mut principals, mut expiries) = (Vec::new(), Vec::new());
    for stored in open.snapshot().records().iter().unwrap() {
        let (at, value) = stored.unwrap();
        let (key, head) = (store_key(at.value()).unwrap(), Head::read(value.value()).unwrap());
        expiries.push(prefix.expiry(head.purge_at, &key));
        principals.extend(head.principal.map(|principal| prefix.principal(&principal, &key)));
    }
    let transaction = open.begin_write().unwrap();
    for (index, mut expected) in [(PRINCIPALS, principals), (EXPIRIES, expiries)] {
        let table = transaction.open_table(index).unwrap();
        let found: Vec<_> = table.iter().unwrap().map(|entry| entry.unwrap().0.value().to_vec()).collect();
        expected.sort();
        assert_eq!(found, expected, "{index}");
    }
    transaction.abort().unwrap();
}

#[test]
fn whenever_the_disk_stops_everything_confirmed_is_there() {
    let place = Place::new();
    let (histories, log) = work(&place, Durability::Immediate);
    let (mut dice, mut moments) = (Dice(7), 0);
    each_moment(&log, |nth, moment| {
        moments += 1;
        for bytes in [moment.all(), moment.part(&mut dice), moment.part(&mut dice)] {
            let (lost, _) = check(&place, bytes, &histories, moment);
            assert_eq!(lost, 0, "confirmed changes lost when the disk stops after write {nth}");
        }
    });
    assert!(moments > 500, "{moments}");
}

#[test]
fn the_disk_may_stop_again_while_the_file_is_opened() {
    let place = Place::new();
    let (histories, log) = work(&place, Durability::Immediate);
    let (mut dice, mut moments) = (Dice(8), 0);
    each_moment(&log, |nth, first| {
        if nth % 16 != 0 {
            return;
        }
        let bytes = first.part(&mut dice);
        let (_, opening) = check(&place, bytes.clone(), &histories, first);
        // What the first stop has left is all on the disk by now.
        let (mut flushed, mut pending) = (bytes, Vec::new());
        for event in opening {
            if matches!(event, Event::Sync) {
                pending.drain(..).for_each(|event| apply(&mut flushed, &event));
                continue;
            }
            pending.push(event);
            let second = Moment { flushed: &flushed, pending: &pending, ..*first };
            for bytes in [second.all(), second.part(&mut dice)] {
                assert_eq!(check(&place, bytes, &histories, first).0, 0, "after {nth} and a second stop");
            }
            moments += 1;
        }
    });
    assert!(moments > 100, "{moments}");
}

/// Also shows that the tests above would notice a loss.
#[test]
fn delayed_commits_may_be_lost_and_leave_an_intact_file() {
    let place = Place::new();
    let (histories, log) = work(&place, Durability::Delayed);
    let (mut dice, mut lost, mut end) = (Dice(9), 0, None);
    each_moment(&log, |_, moment| {
        for bytes in [moment.all(), moment.part(&mut dice)] {
            lost = lost.max(check(&place, bytes, &histories, moment).0);
        }
        end = Some(check(&place, moment.all(), &histories, moment).0);
    });
    assert!(lost > 0);
    assert_eq!(end, Some(0), "a store that is closed has written everything");
}
