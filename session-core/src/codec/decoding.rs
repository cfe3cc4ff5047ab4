//! Decoded form of a record's data, which copies of the record share.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::content::Content;
use crate::Record;
use crate::head::Head;
use crate::mutant::{self, Mutant};

/// Decoded form of a record's data. Copies of the record share it, and the first of them that is read fills it in.
///
/// It is for stores in this process's memory, so that a session that is read again and again is decoded once.
/// A copy may have been changed, so it counts only for the data, version, principal and start that it was made from.
#[derive(Clone, Default)]
pub(crate) struct Decoding(Option<Arc<Shared>>);

struct Shared {
    data: Bytes,
    decoded: OnceLock<(Arc<Content>, Head)>,
}

impl Decoding {
    /// Creates a decoded form of `data` that the first reader fills in.
    pub(crate) fn of(data: &Bytes) -> Self {
        Self(Some(Arc::new(Shared { data: data.clone(), decoded: OnceLock::new() })))
    }

    pub(crate) const fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the content and the head of `record`, if a copy of it was decoded before.
    pub(super) fn get(&self, record: &Record) -> Option<(Arc<Content>, Head)> {
        let (content, head) = self.shared(record)?.decoded.get()?;
        let is_same = head.trail.is_of(record.version)
            && content.created_at == record.created_at
            && content.principal == record.principal;
        (is_same || mutant::is(Mutant::TrustsAnyDecoding)).then(|| (content.clone(), head.clone()))
    }

    /// Fills in the content and the head of `record`, unless another copy of it has done so.
    pub(crate) fn fill(&self, record: &Record, content: &Arc<Content>, head: &Head) {
        if let Some(shared) = self.shared(record) {
            shared.decoded.get_or_init(|| (content.clone(), head.clone()));
        }
    }

    /// Returns the same for the copy of `record` that has its data in `data`.
    pub(crate) fn moved(&self, record: &Record, data: &Bytes) -> Self {
        let Some(shared) = self.shared(record) else { return Self::default() };
        Self(Some(Arc::new(Shared { data: data.clone(), decoded: shared.decoded.clone() })))
    }

    /// Returns what is shared, if it belongs to the very data of `record`.
    ///
    /// A store or a layer over it may have given a copy other data, such as decrypted ones.
    fn shared(&self, record: &Record) -> Option<&Shared> {
        let is_own = |shared: &&Shared| {
            let (own, other) = (&shared.data, &record.data);
            (own.as_ptr(), own.len()) == (other.as_ptr(), other.len()) || mutant::is(Mutant::TrustsAnyDecoding)
        };
        self.0.as_deref().filter(is_own)
    }
}

/// Records are equal whether or not they are decoded.
impl PartialEq for Decoding {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Decoding {}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decoding").field(&self.0.as_ref().map(|shared| shared.decoded.get().is_some())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Stored;
    use crate::{Principal, Timestamp, Version};

    fn record() -> Record {
        let data = Bytes::copy_from_slice(br#"{"v":{"n":1}}"#);
        Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, data)
    }

    fn content(record: &Record) -> Arc<Content> {
        match Stored::read(record) {
            Ok((Stored::Content(content), _)) => content,
            _ => panic!("not a session"),
        }
    }

    #[test]
    fn copies_of_a_record_are_decoded_once() {
        let mut record = record();
        let apart = record.clone();
        record.share_decoding();
        let (first, second) = (record.clone(), record.clone());
        assert!(Arc::ptr_eq(&content(&first), &content(&second)));
        assert!(
            Arc::ptr_eq(&content(&first), &content(&first.compact())),
            "a copy with its own buffer is still the same"
        );
        assert!(!Arc::ptr_eq(&content(&apart), &content(&apart)), "nobody has asked for this one to be shared");
        drop(record.take_decoding());
        assert!(!Arc::ptr_eq(&content(&first), &content(&record)));
    }

    #[test]
    fn a_copy_that_was_changed_is_decoded_anew() {
        let mut record = record();
        record.share_decoding();
        let before = content(&record);
        let mut other = record.clone();
        other.data = Bytes::from_static(br#"{"v":{"n":2}}"#);
        assert_ne!(content(&other), before);
        let mut other = record.clone();
        other.version = Version::random();
        assert!(!Arc::ptr_eq(&content(&other), &before), "its head has another version");
        let mut other = record.clone();
        other.principal = Some(Principal::new("ann").unwrap());
        assert_eq!(content(&other).principal, other.principal);
        let mut other = record.clone();
        other.created_at = Timestamp::MAX;
        assert_eq!(content(&other).created_at, Timestamp::MAX);
        other = record.clone();
        other.expires_at = Timestamp::MIN;
        assert!(Arc::ptr_eq(&content(&other), &before), "its content does not depend on its expiry");
    }

    #[test]
    fn other_data_in_a_copy_stays_out_of_what_is_shared() {
        let mut sealed = record();
        sealed.share_decoding();
        let mut opened = sealed.clone();
        opened.data = Bytes::from_static(br#"{"v":{"secret":2}}"#);
        assert!(content(&opened).values.contains_key("secret"));
        assert!(sealed.decoding.get(&sealed).is_none());
        opened.data = opened.compact().data;
        assert!(!opened.decoding.moved(&opened, &opened.data).is_shared());
    }
}
