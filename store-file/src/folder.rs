//! Paths in a namespace's folder, and the reads that need no lock.
//!
//! - `layout`: the layout of the folder
//! - `records/ab/<64 digits>`: a session, named by its key in hexadecimal; the folder's name is the first two digits
//! - `records/ab/new`: the temporary file of the session that is being written
//! - `people/cd/<32 digits>-<64 digits>`: the index entry of a session, an empty file named by
//!   a hash of the principal and the session's key
//! - `locks/ab`: the lock file; its holder may write to `records/ab` and to the entries of the sessions there
//!
//! A session's file is never changed in place: a new file is written and renamed over the old one.
//! A reader therefore gets the whole old file or the whole new file, without a lock.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use session_core::{Error, ErrorKind, Handle, Principal, Record, Result, StoreKey, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::error::{self, GONE, NOT_A_FILE};
use crate::format::{self, Head, LONGEST_HEAD};

/// Name of the temporary file of a shard. One is enough, because only the holder of the shard's lock writes.
pub(crate) const TEMPORARY: &str = "new";
/// Number of bytes in the first read of a file.
const FIRST_READ: usize = 4096;

const _: () = assert!(FIRST_READ >= LONGEST_HEAD);

/// The folder of a namespace.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    pub(crate) durable: bool,
    pub(crate) max_len: Option<usize>,
}

impl Folder {
    pub(crate) fn layout(&self) -> PathBuf {
        self.root.join("layout")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn lock(&self, shard: u8) -> PathBuf {
        self.locks().join(format!("{shard:02x}"))
    }

    pub(crate) fn records(&self, shard: u8) -> PathBuf {
        self.records_root().join(format!("{shard:02x}"))
    }

    pub(crate) fn index(&self, shard: u8) -> PathBuf {
        self.index_root().join(format!("{shard:02x}"))
    }

    pub(crate) fn record(&self, key: &StoreKey) -> PathBuf {
        self.records(shard_of(key)).join(Handle::from(*key).to_string())
    }

    pub(crate) fn temporary(&self, shard: u8) -> PathBuf {
        self.records(shard).join(TEMPORARY)
    }

    pub(crate) fn entry(&self, hash: PrincipalHash, key: &StoreKey) -> PathBuf {
        self.index(hash.shard()).join(format!("{}{}", hash.prefix(), Handle::from(*key)))
    }

    /// Reads the record if it is live at `now`.
    pub(crate) fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>> {
        self.read(key, |head| head.is_live(now))
    }

    /// Reads the record, live or not.
    pub(crate) fn load_expired_or_live(&self, key: &StoreKey) -> Result<Option<Record>> {
        self.read(key, |_| true)
    }

    fn read(&self, key: &StoreKey, wanted: impl FnOnce(&Head) -> bool) -> Result<Option<Record>> {
        let mut start = [0; FIRST_READ];
        let Some((mut file, start, head)) = self.open_record(key, &mut start)? else { return Ok(None) };
        if !wanted(&head) {
            return Ok(None);
        }
        let len = usize::try_from(head.data_len).unwrap_or(usize::MAX);
        if self.max_len.is_some_and(|max| len > max) {
            return Err(Error::fixed(ErrorKind::Corrupt, "a session file is longer than max_len allows"));
        }
        let mut data = Vec::new();
        data.try_reserve_exact(len)
            .map_err(|_| Error::fixed(ErrorKind::Unavailable, "there is no memory for a session's data"))?;
        // The file has the length that its head states, so the bytes read after the head are data.
        data.extend_from_slice(&start[head.len()..]);
        let left = head.data_len - data.len() as u64;
        if left > 0 {
            file.by_ref().take(left).read_to_end(&mut data).map_err(|error| error::in_use(&error))?;
        }
        head.with(data.into()).map(Some)
    }

    /// Reads the head of the record's file.
    pub(crate) fn head(&self, key: &StoreKey) -> Result<Option<Head>> {
        let mut start = [0; LONGEST_HEAD];
        Ok(self.open_record(key, &mut start)?.map(|(_, _, head)| head))
    }

    /// Opens a record's file and reads as much as `start` has room for.
    fn open_record<'b>(&self, key: &StoreKey, start: &'b mut [u8]) -> Result<Option<(File, &'b [u8], Head)>> {
        let mut file = match File::open(self.record(key)) {
            Ok(file) => file,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                check_exists(&self.records_root())?;
                return Ok(None);
            }
            Err(error) => return Err(error::in_use(&error)),
        };
        let metadata = file.metadata().map_err(|error| error::in_use(&error))?;
        if !metadata.is_file() {
            return Err(NOT_A_FILE);
        }
        let most = usize::try_from(metadata.len()).map_or(start.len(), |len| len.min(start.len()));
        let start = &mut start[..most];
        match file.read_exact(start) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::fixed(ErrorKind::Corrupt, "a session file became shorter while it was read"));
            }
            Err(error) => return Err(error::in_use(&error)),
        }
        let head = format::head(key, start, metadata.len())?;
        Ok(Some((file, start, head)))
    }

    /// Returns the paths of all folders and lock files that a call may need. Some may not have been made yet.
    #[cfg(unix)]
    pub(crate) fn parts(&self) -> impl Iterator<Item = PathBuf> {
        let shards = (0..=u8::MAX).flat_map(|shard| [self.records(shard), self.index(shard), self.lock(shard)]);
        [self.locks(), self.records_root(), self.index_root(), self.layout()].into_iter().chain(shards)
    }

    /// Returns the parent of the folders with records.
    pub(crate) fn records_root(&self) -> PathBuf {
        self.root.join("records")
    }

    /// Returns the parent of the folders with index entries.
    pub(crate) fn index_root(&self) -> PathBuf {
        self.root.join("people")
    }

    /// Makes a file in one of the 256 folders, and creates that folder if it is missing.
    ///
    /// The parent of the folder is not created: if it is missing, the store's folder has been removed.
    pub(crate) fn with_folder(&self, folder: &Path, make: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match make() {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
            made => return made,
        }
        match make_private(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if self.durable
            && let Some(above) = folder.parent()
        {
            sync(above)?;
        }
        make()
    }

    /// Returns the shards from `first` on that have a folder, in order.
    ///
    /// Needs no lock, because the store never removes a folder.
    pub(crate) fn shards_from(&self, first: u8) -> Result<Vec<u8>> {
        let mut shards = Vec::new();
        for shard in first..=u8::MAX {
            match fs::metadata(self.records(shard)) {
                Ok(_) => shards.push(shard),
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error::in_use(&error)),
            }
        }
        if shards.is_empty() {
            check_exists(&self.records_root())?;
        }
        Ok(shards)
    }

    /// Returns the keys of the sessions in a shard, in order.
    pub(crate) fn keys(&self, shard: u8) -> Result<Vec<StoreKey>> {
        let mut keys = Vec::new();
        for_each_name(&self.records(shard), |name| keys.extend(key_of(name)))?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Returns the keys in the index entries of a principal.
    pub(crate) fn keys_of(&self, hash: PrincipalHash) -> Result<Vec<StoreKey>> {
        let (mut keys, prefix) = (Vec::new(), hash.prefix());
        for_each_name(&self.index(hash.shard()), |name| keys.extend(name.strip_prefix(&prefix).and_then(key_of)))?;
        Ok(keys)
    }
}

/// Returns the number of the shard that holds a session.
pub(crate) fn shard_of(key: &StoreKey) -> u8 {
    key.as_bytes()[0]
}

/// Returns the key that a file is named by, or `None` if it is not the file of a session.
pub(crate) fn key_of(name: &str) -> Option<StoreKey> {
    name.parse::<Handle>().ok().map(|handle| *handle.key())
}

/// Checks that a folder exists, so that a folder that was moved or unmounted is not taken for an empty one.
fn check_exists(folder: &Path) -> Result<()> {
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(GONE),
        Err(error) => Err(error::in_use(&error)),
    }
}

/// Calls `see` with each name in one of the 256 folders.
pub(crate) fn for_each_name(folder: &Path, mut see: impl FnMut(&str)) -> Result<()> {
    let names = match fs::read_dir(folder) {
        Ok(names) => names,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            // The folder is created by the first write to it.
            return folder.parent().map_or(Err(GONE), check_exists);
        }
        Err(error) => return Err(error::in_use(&error)),
    };
    for name in names {
        let name = name.map_err(|error| error::in_use(&error))?.file_name();
        // Names that are not UTF-8 are not the store's.
        if let Some(name) = name.to_str() {
            see(name);
        }
    }
    Ok(())
}

/// Creates a folder that only its owner can access.
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    private(&mut builder);
    builder.create(folder)
}

#[cfg(unix)]
fn private(builder: &mut DirBuilder) {
    use std::os::unix::fs::DirBuilderExt as _;
    builder.mode(0o700);
}

#[cfg(not(unix))]
fn private(_: &mut DirBuilder) {}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    // Windows cannot open a folder as a file, and flushes names by itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Hash that names a principal in the index: the first half of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrincipalHash([u8; 16]);

impl PrincipalHash {
    pub(crate) fn of(principal: &Principal) -> Self {
        let [hash, _] = format::halves(Sha256::digest(principal.as_str().as_bytes()).into());
        Self(hash)
    }

    /// Parses the name of an index entry into its principal's hash and its key.
    pub(crate) fn and_key(name: &str) -> Option<(Self, StoreKey)> {
        let (hash, key) = name.split_once('-')?;
        let number = u128::from_str_radix(hash, 16).ok()?;
        let hash = Self(number.to_be_bytes());
        // Only the form that the store writes is accepted.
        name.starts_with(&hash.prefix()).then_some((hash, key_of(key)?))
    }

    pub(crate) const fn shard(self) -> u8 {
        self.0[0]
    }

    fn prefix(self) -> String {
        format!("{:032x}-", u128::from_be_bytes(self.0))
    }
}
