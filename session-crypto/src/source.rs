//! Reads keys from text, files and environment variables.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use session_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Maximum length of a key file in bytes. A file of 8 keys is far shorter, but a wrong path may name a whole disk.
const LONGEST_FILE: u64 = 64 * 1024;

/// Reason for refusing a key. The caller adds the key's source. It never quotes the key.
pub(crate) type Reason = &'static str;

/// Decodes the keys in a text: base64, separated by commas or white space.
pub(crate) fn decode_all(text: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, Reason> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words.map(decode).collect()
}

fn decode(word: &str) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let alphabet = if word.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(alphabet, config).decode(word);
    // The decoder's error is dropped, because it quotes bytes of the key.
    decoded.map(Zeroizing::new).map_err(|_| "a key is not base64: `openssl rand -base64 32` makes one")
}

/// Reads a key file, without its comments.
pub(crate) fn file(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |what: &str| Error::new(ErrorKind::Config, format!("the key file {what}"));
    let file = std::fs::File::open(path)
        .map_err(|error| failed("cannot be opened: check its path and mode").with_source(&error))?;
    warn_if_public(&file);
    let mut text = Zeroizing::new(String::new());
    let read = file.take(LONGEST_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| failed("cannot be read: write one key in base64 on each line").with_source(&error))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(failed("is longer than 64 KiB: check its path"));
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    Ok(Zeroizing::new(lines.fold(String::with_capacity(text.len()), |mut all, line| {
        all.push_str(line);
        all.push('\n');
        all
    })))
}

#[cfg(unix)]
fn warn_if_public(file: &std::fs::File) {
    use std::os::unix::fs::PermissionsExt as _;

    if file.metadata().is_ok_and(|about| about.permissions().mode() & 0o004 != 0) {
        tracing::warn!("every user of this machine can read the key file: set its mode to 0600 or 0640");
    }
}

#[cfg(not(unix))]
fn warn_if_public(_file: &std::fs::File) {}

/// Reads an environment variable. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Result<Zeroizing<String>> {
    match std::env::var(name) {
        Ok(text) if !text.trim().is_empty() => Ok(Zeroizing::new(text)),
        Ok(_) | Err(std::env::VarError::NotPresent) => Err(Error::new(
            ErrorKind::Config,
            format!("{name} is not set: set it to a key in base64, which `openssl rand -base64 32` makes"),
        )),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(ErrorKind::Config, format!("{name} is not text: set it to a key in base64")))
        }
    }
}
