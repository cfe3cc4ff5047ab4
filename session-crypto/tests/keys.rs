//! Sources of keys, and keys that are refused.

use session_core::ErrorKind;
use session_crypto::KeyRing;

const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "_w7dzLuqmYh3ZlVEMyIRAP_u3cy7qpmId2ZVRDMiEQA";

fn secret(n: u8) -> Vec<u8> {
    (n..n + 32).collect()
}

fn refused(ring: session_core::Result<KeyRing>, part: &str) {
    let error = ring.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn short_missing_and_senseless_keys_are_refused() {
    refused(KeyRing::new(&secret(0)[..31]), "at least 32 bytes");
    refused(KeyRing::new(b""), "at least 32 bytes");
    refused(KeyRing::new(&[0; 64]), "one byte repeated");
    refused(KeyRing::new(&secret(0)).unwrap().and(&secret(0)), "stands twice");
    let eight = (1..8).fold(KeyRing::new(&secret(0)).unwrap(), |ring, n| ring.and(&secret(n)).unwrap());
    assert_eq!(eight.len(), 8);
    refused(eight.and(&secret(8)), "at most 8 keys");
    refused(KeyRing::from_base64(""), "there is no key");
    refused(KeyRing::from_base64(" , \n"), "there is no key");
    refused(KeyRing::from_base64("a passphrase that a person thought of!"), "not base64");
    refused(KeyRing::from_base64("c2hvcnQ="), "at least 32 bytes");
}

#[test]
fn a_key_is_the_same_in_every_notation() {
    let sealed = KeyRing::new(&secret(0)).unwrap().sealer("p", "n").seal(b"", b"data");
    for text in
        [ONE, ONE.trim_end_matches('='), &format!("\n {ONE}\r\n"), &format!("{ONE},{TWO}"), &format!("{ONE} {TWO}")]
    {
        assert!(KeyRing::from_base64(text).unwrap().sealer("p", "n").open(b"", &sealed).unwrap().current, "{text}");
    }
    let behind = KeyRing::from_base64(&format!("{TWO} {ONE}")).unwrap();
    assert!(!behind.sealer("p", "n").open(b"", &sealed).unwrap().current);
}

#[test]
fn a_file_has_a_key_on_each_line_and_remarks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("# since May\n{TWO}  # the current one\n\n{ONE}\n")).unwrap();
    assert_eq!(KeyRing::from_file(&path).unwrap().len(), 2);
    refused(KeyRing::from_file(folder.path().join("none")), "cannot be opened");
    refused(KeyRing::from_file(folder.path()), "cannot be read");
    std::fs::write(&path, "# nothing\n").unwrap();
    refused(KeyRing::from_file(&path), "there is no key");
    std::fs::write(&path, "#".repeat(70_000)).unwrap();
    refused(KeyRing::from_file(&path), "longer than 64 KiB");
    std::fs::write(&path, [0xff; 40]).unwrap();
    refused(KeyRing::from_file(&path), "cannot be read");
}

#[test]
fn an_unset_variable_is_named() {
    refused(KeyRing::from_env_var("SESSION_KEYS_THAT_ARE_NEVER_SET"), "SESSION_KEYS_THAT_ARE_NEVER_SET is not set");
    // `PATH` is set on every machine and is not a key.
    refused(KeyRing::from_env_var("PATH"), "PATH: a key is not base64");
}

#[test]
fn no_secret_is_shown() {
    let ring = KeyRing::from_base64(ONE).unwrap();
    let shown = format!("{ring:?} {:?} {:?}", ring.sealer("p", "n"), ring.signer("p", "n"));
    assert_eq!(shown, "KeyRing(1 keys) Sealer Signer");
    let error = KeyRing::from_base64("AAECAwQFBgcICQoLDA0ODxAREhM!").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("AAEC"), "{error:?}");
}

#[test]
fn every_ephemeral_ring_is_another() {
    let sealed = KeyRing::ephemeral().sealer("p", "n").seal(b"", b"data");
    assert!(KeyRing::ephemeral().sealer("p", "n").open(b"", &sealed).is_none());
}
