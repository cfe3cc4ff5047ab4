//! Signatures of tokens, checked by `ring`.
//!
//! The library `jsonwebtoken` leaves cryptography to a provider. This one is here because both of its own have a price: `rust_crypto`
//! brings the crate `rsa` (RUSTSEC-2023-0071), and `aws_lc_rs` a long build in C. `ring` is what TLS uses in this workspace.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Signature { algorithm: *algorithm, key: key.clone() })),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `ring` the cryptography of all tokens in this process.
pub(super) fn install() {
    // An error means that one is installed already, such as by an earlier call.
    let _ = RING.install_default();
}

struct Signature {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Signature {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Signature {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(key)) => by(&ECDSA_P256_SHA256_FIXED, key),
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => by(&ED25519, key),
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| Error::new())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm::{ES256, PS256, RS256};
    use jsonwebtoken::crypto::verify;
    use jsonwebtoken::{Algorithm, DecodingKey};

    /// Modulus of a key that `openssl` made, and its signature of `message`.
    const MODULUS: &str = concat!(
        "s-C8xiLrbPGaWZF1S22gOnNl5UuGkLFoh0Kx45Zq56Scj4LYOsZ4GfPYMXGrDGrz4BoGLfBisw7G9Gh1lGgpoigEoCOaI8dcaK6c",
        "gFou-12yNS5dSaLnyTrqW2lRFM2cEwMljHnLprwVVXKjkQvdTgg7l_yqthJwxAJg9F2rZ_Wp9jFK96wTqviCvn0kBncqY-KFZjJ3",
        "RCbPvNrorNpXay_wH2mxh5qcEkBlKP4Pp2J7Qn_u4JwBBUrB1I_nt_IaJRTHNYK63AxH1skWo0-iFXHqRftFn6FozZ8mrR6DCMOr",
        "WvQFao7J7r21WYwbr1xjOVVU3NB2m0lJZpFRonexTw",
    );
    const SIGNATURE: &str = concat!(
        "Z7XN5QBBoCXr67-h1VwC9Wft67NcFC-k71NB4n1zNTfZoI-MlDz7-Racf5_KK-VOJz1XkR800eto7Jbue9dTU-5vDTfhZyPCO7Ue",
        "a4LW8Pdqcjrqke5gjgVFDPyxxi9B8wZUyNqJyXu5-EMlfMepVxv_qot9dza0Fe3k2a4GlJFNueOeGROCGBj_pYDsGoaWGBZOrhEh",
        "-Il7rawJk-eWZs78cNS4i6YUeFZfY-kWrGDRWQB5ngJ95uGZOLh7j2617nuENdoRBfDWNpzQSX-PBeqnZV8E7nzSoqlpVQE-yBtB",
        "BjzHfoPAMuK_H39kry0wVzMSiYzhapDfCub_0CCnHQ",
    );

    /// The walks sign with other algorithms. This one cannot be signed with a fresh key, because `ring` makes none.
    #[test]
    fn a_signature_of_rsa_is_of_one_message_key_and_algorithm() {
        super::install();
        let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").unwrap();
        let is_valid = |message: &[u8], key: &DecodingKey, algorithm: Algorithm| {
            verify(SIGNATURE, message, key, algorithm).unwrap()
        };
        assert!(is_valid(b"message", &key, RS256));
        assert!(!is_valid(b"massage", &key, RS256));
        assert!(!is_valid(b"message", &key, PS256));
        assert!(!is_valid(b"message", &key, ES256));
        let other = DecodingKey::from_rsa_components(&MODULUS.replacen(&MODULUS[9..10], "_", 1), "AQAB").unwrap();
        assert!(!is_valid(b"message", &other, RS256));
    }
}
