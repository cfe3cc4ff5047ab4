//! Value of a session's cookie: an id, an id with a signature, or the sealed session.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_core::{Record, SessionId};
use session_crypto::{Sealer, Signer};

use crate::CookieOptions;
use crate::cookie_store::format;

/// Separator between an id and its signature. It is in the alphabet of neither.
const DOT: char = '.';

/// Length of a signature in base64url.
const SIGNATURE: usize = encoded_len(Signer::LEN);

/// Format of the values of one session's cookie.
pub(crate) enum Value {
    Id,
    Signed { signer: Signer, accept_unsigned: bool },
    Sealed(Sealer),
}

/// Value that passed every check that needs no store.
pub(crate) struct Read<'h> {
    pub(crate) id: Cow<'h, str>,
    /// Record of a sealed session.
    pub(crate) record: Option<Record>,
    /// Whether the value has today's format and key. If not, the cookie must be reissued.
    pub(crate) current: bool,
}

impl Value {
    /// Whether `value` has the length and characters of such a value. Any other value costs neither a round trip nor a verification.
    pub(crate) fn is_well_formed(&self, value: &str) -> bool {
        match self {
            Self::Id => could_be_id(value),
            Self::Signed { accept_unsigned, .. } => match value.split_once(DOT) {
                Some((id, signature)) => could_be_id(id) && signature.len() == SIGNATURE,
                None => *accept_unsigned && could_be_id(value),
            },
            Self::Sealed(_) => (encoded_len(Sealer::OVERHEAD)..=CookieOptions::MAX_LEN).contains(&value.len()),
        }
    }

    /// Whether a well-formed value must also have been made by a key of the ring.
    pub(crate) const fn is_verified(&self) -> bool {
        matches!(self, Self::Signed { .. } | Self::Sealed(_))
    }

    /// Reads `value`. Returns `None` if it is malformed or no key of the ring made it. Uses at most a few times its length in memory.
    pub(crate) fn read<'h>(&self, value: &'h str) -> Option<Read<'h>> {
        let unsigned = || could_be_id(value).then_some(Read { id: value.into(), record: None, current: true });
        match self {
            Self::Id => unsigned(),
            Self::Signed { signer, accept_unsigned } => match value.split_once(DOT) {
                Some((id, signature)) => signed(signer, id, signature),
                None if *accept_unsigned => Some(Read { current: false, ..unsigned()? }),
                None => None,
            },
            Self::Sealed(sealer) => unseal(sealer, value),
        }
    }

    /// Returns the cookie value for `id`. A sealed value also contains `record`.
    pub(crate) fn write<'i>(&self, id: &'i str, record: Option<&Record>) -> Cow<'i, str> {
        match (self, record) {
            (Self::Signed { signer, .. }, _) => {
                let signature = URL_SAFE_NO_PAD.encode(signer.sign(id.as_bytes()));
                format!("{id}{DOT}{signature}").into()
            }
            (Self::Sealed(sealer), Some(record)) => {
                URL_SAFE_NO_PAD.encode(sealer.seal(format::CONTEXT, &format::write(id, record))).into()
            }
            (Self::Id | Self::Sealed(_), _) => id.into(),
        }
    }
}

fn signed<'h>(signer: &Signer, id: &'h str, signature: &str) -> Option<Read<'h>> {
    if !could_be_id(id) || signature.len() != SIGNATURE {
        return None;
    }
    let mut bytes = [0; Signer::LEN];
    let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes).ok()?;
    let verified = signer.verify(id.as_bytes(), &bytes[..length])?;
    Some(Read { id: id.into(), record: None, current: verified.current })
}

fn unseal(sealer: &Sealer, value: &str) -> Option<Read<'static>> {
    if value.len() > CookieOptions::MAX_LEN {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let opened = sealer.open(format::CONTEXT, &sealed)?;
    let (id, record) = format::read(&opened.data)?;
    Some(Read { id: id.into(), record: Some(record), current: opened.current })
}

/// Length of the sealed value for `record`.
pub(crate) fn sealed_len(record: &Record) -> usize {
    encoded_len(format::len(record) + Sealer::OVERHEAD)
}

/// Length of an id cookie's value, with its signature if `options` ask for one.
pub(crate) fn longest_id(options: &CookieOptions) -> usize {
    let signature = if options.signing.is_some() { DOT.len_utf8() + SIGNATURE } else { 0 };
    SessionId::ENCODED_LEN + signature
}

/// Length of `bytes` in base64 without padding.
const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Whether `value` has the length and alphabet of an id. The manager decodes it.
fn could_be_id(value: &str) -> bool {
    value.len() == SessionId::ENCODED_LEN && value.bytes().all(|b| IN_ALPHABET[usize::from(b)])
}

/// Base64url alphabet as a lookup table, because every request with a session needs it.
const IN_ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    loop {
        table[b as usize] = b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if b == u8::MAX {
            break table;
        }
        b += 1;
    }
};

#[cfg(test)]
mod tests;
