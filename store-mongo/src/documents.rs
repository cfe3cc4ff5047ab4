//! Conversion between records and documents.

use mongodb::bson::raw::{RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime};
use session_core::{Bytes, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::{WRONG_TYPE, stored_principal};

/// Converts a key to a value for a filter.
pub(crate) fn key_value(key: &StoreKey) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: key.as_bytes().to_vec() })
}

/// Converts an instant to the server's type, which is exact to the millisecond and reaches beyond the year 9999.
pub(crate) fn instant(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

/// Returns the whole document of a record.
pub(crate) fn document(key: &StoreKey, record: &Record) -> RawDocumentBuf {
    let binary = |bytes| RawBinaryRef { subtype: BinarySubtype::Generic, bytes };
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), binary(key.as_bytes()));
    document.append(cstr!("version"), record.version.as_i64());
    document.append(cstr!("created_at"), instant(record.created_at));
    document.append(cstr!("expires_at"), instant(record.expires_at));
    if let Some(principal) = &record.principal {
        document.append(cstr!("principal"), principal.as_str());
    }
    document.append(cstr!("data"), binary(&record.data));
    document
}

/// Reads the record from a document.
pub(crate) fn record(document: &RawDocument) -> Result<Record> {
    let principal = match field(document, "principal") {
        Ok(RawBsonRef::String(text)) => Some(stored_principal(text.as_bytes())?),
        Ok(_) => return Err(WRONG_TYPE),
        Err(_) => None,
    };
    let data = Bytes::copy_from_slice(bytes(document, "data")?);
    let (created_at, expires_at) = (time(document, "created_at")?, time(document, "expires_at")?);
    Ok(Record::new(version(document)?, created_at, expires_at, principal, data))
}

/// Reads the version from a document.
pub(crate) fn version(document: &RawDocument) -> Result<Version> {
    match field(document, "version")? {
        RawBsonRef::Int64(version) => Version::from_i64(version),
        _ => Err(WRONG_TYPE),
    }
}

/// Reads the key from a document.
pub(crate) fn key(document: &RawDocument) -> Result<StoreKey> {
    StoreKey::from_slice(bytes(document, "_id")?)
}

/// Reads key and record from a document.
pub(crate) fn keyed(document: &RawDocument) -> Result<(StoreKey, Record)> {
    Ok((key(document)?, record(document)?))
}

fn time(document: &RawDocument, name: &str) -> Result<Timestamp> {
    match field(document, name)? {
        RawBsonRef::DateTime(at) => Timestamp::from_millis(at.timestamp_millis()),
        _ => Err(WRONG_TYPE),
    }
}

fn bytes<'a>(document: &'a RawDocument, name: &str) -> Result<&'a [u8]> {
    match field(document, name)? {
        RawBsonRef::Binary(binary) => Ok(binary.bytes),
        _ => Err(WRONG_TYPE),
    }
}

fn field<'a>(document: &'a RawDocument, name: &str) -> Result<RawBsonRef<'a>> {
    document.get(name).ok().flatten().ok_or(WRONG_TYPE)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;
    use session_core::{ErrorKind, Principal, hours};

    use super::*;

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        let all: Vec<u8> = (0..=255).collect();
        for (principal, at, data) in
            [(None, Timestamp::MIN, &b""[..]), (Some("ann "), Timestamp::MAX.minus(hours(1)), &all)]
        {
            let principal = principal.map(|who| Principal::new(who).unwrap());
            let data = Bytes::copy_from_slice(data);
            let record = Record::new(Version::random(), at, Timestamp::MAX, principal, data);
            let key = StoreKey::from_bytes([0xE9; StoreKey::LEN]);
            assert_eq!(keyed(&document(&key, &record)).unwrap(), (key, record));
        }
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        let whole = document(
            &StoreKey::from_bytes([1; StoreKey::LEN]),
            &Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, Bytes::new()),
        );
        for name in ["_id", "version", "created_at", "expires_at", "data", "principal"] {
            let mut other = rawdoc! {};
            for element in whole.iter() {
                let (field, value) = element.unwrap();
                if field != name {
                    other.append(field, value);
                }
            }
            if name == "principal" {
                other.append(cstr!("principal"), 7);
            }
            assert_eq!(keyed(&other).unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
        }
    }
}
