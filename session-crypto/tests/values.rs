//! Sealed and signed values come back whole or not at all.

use proptest::prelude::*;
use session_crypto::{KeyRing, Sealer, Signer};

fn secret(n: u8) -> Vec<u8> {
    (n..n + 32).collect()
}

fn ring(keys: &[u8]) -> KeyRing {
    let ring = KeyRing::new(&secret(keys[0])).unwrap();
    keys[1..].iter().fold(ring, |ring, n| ring.and(&secret(*n)).unwrap())
}

#[test]
fn the_first_key_writes_and_all_read() {
    let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
    let sealed = old.sealer("p", "n").seal(b"c", b"data");
    let signed = old.signer("p", "n").sign(b"message");
    assert!(!both.sealer("p", "n").open(b"c", &sealed).unwrap().current);
    assert!(!both.signer("p", "n").verify(b"message", &signed).unwrap().current);
    assert!(new.sealer("p", "n").open(b"c", &sealed).is_none(), "the old key is gone");
    assert!(new.signer("p", "n").verify(b"message", &signed).is_none());

    let sealed = both.sealer("p", "n").seal(b"c", b"data");
    assert!(new.sealer("p", "n").open(b"c", &sealed).unwrap().current, "the new key sealed it");
    assert!(old.sealer("p", "n").open(b"c", &sealed).is_none());
    let signed = both.signer("p", "n").sign(b"message");
    assert!(new.signer("p", "n").verify(b"message", &signed).unwrap().current);
}

#[test]
fn purposes_names_and_contexts_are_apart() {
    let ring = ring(&[1]);
    let sealed = ring.sealer("ab", "c").seal(b"x", b"data");
    for (purpose, name, context) in [("a", "bc", b"x"), ("abc", "", b"x"), ("ab", "d", b"x"), ("ab", "c", b"y")] {
        assert!(ring.sealer(purpose, name).open(context, &sealed).is_none(), "{purpose} {name}");
    }
    let signed = ring.signer("ab", "c").sign(b"x");
    for (purpose, name, message) in [("a", "bc", b"x"), ("abc", "", b"x"), ("ab", "d", b"x"), ("ab", "c", b"y")] {
        assert!(ring.signer(purpose, name).verify(message, &signed).is_none(), "{purpose} {name}");
    }
    // Context and data cannot be confused.
    assert!(ring.sealer("ab", "c").open(b"", &sealed).is_none());
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let sealer = ring(&[1]).sealer("p", "n");
    let (one, other) = (sealer.seal(b"", b"data"), sealer.seal(b"", b"data"));
    assert_ne!(one, other);
    assert!(!one.windows(4).any(|window| window == b"data"));
}

/// The format is a promise: a value that an earlier release has sealed must open in a later one.
#[test]
fn what_was_sealed_before_still_opens() {
    let sealer = ring(&[0]).sealer("cookie", "id");
    let sealed = hex(SEALED);
    assert_eq!(&*sealer.open(b"context", &sealed).unwrap().data, b"a cart");
    let signed = hex(SIGNED);
    assert!(ring(&[0]).signer("cookie", "id").verify(b"an id", &signed).is_some());
}

const SEALED: &str =
    "0111ca7a7acf05d72d811c4cebfe70b0f9d4c74504e530087451c02ee542b727d6b8168caf54f0502cbcb431a825a0bee087ca";
const SIGNED: &str = "0111ca7a7a41d6b6d35cd488cd84c733089800944ab24ce1fd4c8f27bc52d1feb76cf448d7";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

proptest! {
    #[test]
    fn any_data_comes_back(data: Vec<u8>, context: Vec<u8>) {
        let sealer = ring(&[1, 2]).sealer("p", "n");
        let sealed = sealer.seal(&context, &data);
        prop_assert_eq!(sealed.len(), data.len() + Sealer::OVERHEAD);
        let opened = sealer.open(&context, &sealed).unwrap();
        prop_assert!(opened.current);
        prop_assert_eq!(&*opened.data, &data);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, context: Vec<u8>) {
        prop_assert!(ring(&[1, 2]).sealer("p", "n").open(&context, &bytes).is_none());
        prop_assert!(ring(&[1, 2]).signer("p", "n").verify(&context, &bytes).is_none());
    }

    #[test]
    fn a_right_head_before_any_bytes_is_refused(bytes: Vec<u8>) {
        let (sealer, signer) = (ring(&[1]).sealer("p", "n"), ring(&[1]).signer("p", "n"));
        let sealed = [&sealer.seal(b"", b"")[..5], &bytes].concat();
        prop_assert!(sealer.open(b"", &sealed).is_none());
        let signed = [&signer.sign(b"")[..5], &bytes].concat();
        prop_assert!(signer.verify(b"", &signed).is_none());
    }
}

#[test]
fn every_change_of_one_bit_and_every_other_length_is_refused() {
    let sealer = ring(&[1, 2]).sealer("p", "n");
    let sealed = sealer.seal(b"c", b"some data");
    let signer = ring(&[1, 2]).signer("p", "n");
    let signed = signer.sign(b"message");
    assert_eq!(signed.len(), Signer::LEN);
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer.open(b"c", &changed).is_none(), "bit {bit}");
    }
    for bit in 0..signed.len() * 8 {
        let mut changed = signed;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(signer.verify(b"message", &changed).is_none(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(sealer.open(b"c", &sealed[..length]).is_none(), "{length} bytes");
    }
    for length in 0..signed.len() {
        assert!(signer.verify(b"message", &signed[..length]).is_none(), "{length} bytes");
    }
    assert!(sealer.open(b"c", &[&sealed[..], &[0]].concat()).is_none());
    assert!(signer.verify(b"message", &[&signed[..], &[0]].concat()).is_none());
}
