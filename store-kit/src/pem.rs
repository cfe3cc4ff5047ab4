//! Checks of the PEM files that a URL names.

use std::{fs, io};

use session_core::Result;

use crate::wrong;

/// Content of a PEM file ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pem {
    /// One or more certificates.
    Certificates,
    /// A private key that is not encrypted.
    Key,
    /// A private key that is not encrypted, and certificates.
    KeyAndCertificates,
}

/// Checks that `value` of a URL's option `name` is the path of a PEM file, or PEM itself.
///
/// A driver would report a missing file as a server that cannot be reached. The file's content is not decoded.
///
/// ```
/// use session_store_kit::{Pem, check_pem};
///
/// let error = check_pem("sslrootcert", "/nowhere/ca.pem", Pem::Certificates).unwrap_err();
/// assert!(error.to_string().ends_with("the file of the URL's option sslrootcert does not exist"));
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a file that cannot be read, and for other content.
pub fn check_pem(name: &str, value: &str, content: Pem) -> Result<()> {
    let text = if value.trim_start().starts_with("-----BEGIN") {
        value.to_owned()
    } else {
        match fs::read(value) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return wrong(format!("the file of the URL's option {name} {}", unreadable(&error))),
        }
    };
    let has = |label: &str| text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(label));
    if content != Pem::Key && !has("CERTIFICATE") {
        return wrong(format!("the URL's option {name} names no PEM certificates; convert the file to PEM"));
    }
    if content == Pem::Certificates {
        return Ok(());
    }
    if has("ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return wrong(format!(
            "the key of the URL's option {name} is encrypted; decrypt it, and let only the service's user read it"
        ));
    }
    if !has("PRIVATE KEY") {
        return wrong(format!("the URL's option {name} names no PEM key; convert the file to PEM"));
    }
    Ok(())
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this process; grant it the right".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder; name the file in it".to_owned(),
        kind => format!("cannot be read: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_pem_is_said_without_the_value() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
        let both = format!("{key}{certificate}");
        for (value, content) in
            [(certificate, Pem::Certificates), (key, Pem::Key), (&*both, Pem::KeyAndCertificates), (&*both, Pem::Key)]
        {
            check_pem("sslcert", value, content).unwrap();
        }
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nMIIB\n-----END RSA PRIVATE KEY-----\n";
        for (value, content, part) in [
            ("/nowhere/hunter2", Pem::Certificates, "does not exist"),
            ("/", Pem::Certificates, "is a folder"),
            ("/proc/self/cmdline", Pem::Certificates, "names no PEM certificates"),
            (key, Pem::Certificates, "names no PEM certificates"),
            (certificate, Pem::Key, "names no PEM key"),
            (certificate, Pem::KeyAndCertificates, "names no PEM key"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n", Pem::Key, "is encrypted; decrypt it"),
            (old, Pem::Key, "is encrypted; decrypt it"),
        ] {
            let error = check_pem("sslcert", value, content).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("sslcert"), "{value}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
