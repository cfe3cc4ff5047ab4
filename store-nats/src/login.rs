//! What a client proves its identity with.

use std::path::Path;

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;
use session_core::Result;
use session_store_kit::{absolute, wrong};

/// Login at a server. It is read once, when the builder is made.
#[derive(Clone)]
pub(crate) enum Login {
    /// The server asks for nothing, or TLS or the network tells it enough.
    None,
    Password {
        user: String,
        password: String,
    },
    Token(String),
    /// A key, with the token that its account has signed if the server works with accounts of an operator.
    Key {
        seed: String,
        jwt: Option<String>,
    },
}

impl Login {
    /// Reads the seed of a user's key from a file.
    pub(crate) fn key_file(path: impl AsRef<Path>) -> Result<Self> {
        let text = read(path.as_ref(), "nkey")?;
        match seed_in(&text) {
            Some(seed) => Ok(Self::Key { seed, jwt: None }),
            None => wrong("the option nkey names a file without the seed of a user's key, which begins with SU"),
        }
    }

    /// Reads a credentials file, which holds a user's token and key.
    pub(crate) fn credentials_file(path: impl AsRef<Path>) -> Result<Self> {
        let text = read(path.as_ref(), "creds")?;
        let jwt = text.lines().map(str::trim).find(|line| line.matches('.').count() == 2 && line.starts_with("eyJ"));
        match (seed_in(&text), jwt) {
            (Some(seed), Some(jwt)) => Ok(Self::Key { seed, jwt: Some(jwt.to_owned()) }),
            _ => wrong(
                "the option creds names a file without the token and the key of a user; `nsc generate creds` makes one",
            ),
        }
    }

    /// Returns `other`, if this is none: a store has one login.
    pub(crate) fn replaced_by(self, other: Self) -> Result<Self> {
        match self {
            Self::None => Ok(other),
            _ => wrong(
                "a store has one login: user and password or a token in the URL, or one of the options creds and nkey",
            ),
        }
    }

    /// Returns what is sent to a server that has sent `nonce`.
    pub(crate) fn proof(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        match self {
            Self::None => {}
            Self::Password { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.clone());
            }
            Self::Token(token) => auth.token = Some(token.clone()),
            Self::Key { seed, jwt } => {
                let key = KeyPair::from_seed(seed).map_err(AuthError::new)?;
                auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
                // A token names its key.
                auth.nkey = jwt.is_none().then(|| key.public_key());
                auth.jwt.clone_from(jwt);
            }
        }
        Ok(auth)
    }
}

/// Returns the line that is the seed of a user's key.
fn seed_in(text: &str) -> Option<String> {
    let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU") && KeyPair::from_seed(line).is_ok());
    seed.map(str::to_owned)
}

fn read(path: &Path, option: &str) -> Result<String> {
    match std::fs::read_to_string(absolute(path)?) {
        Ok(text) => Ok(text),
        Err(_) => wrong(format!("the file of the option {option} does not exist, or cannot be read as text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_keys_and_credentials_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let jwt = "eyJ0.eyJq.c2ln";
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let proof = |login: Login| login.proof(b"nonce").unwrap();
        let of_key = proof(Login::key_file(file("key", &format!("{seed}\n"))).unwrap());
        assert_eq!((of_key.nkey, of_key.jwt), (Some(key.public_key()), None));
        assert!(key.verify(b"nonce", &of_key.signature.unwrap()).is_ok());
        let of_creds = proof(Login::credentials_file(file("creds", &creds)).unwrap());
        assert_eq!((of_creds.nkey, of_creds.jwt.as_deref()), (None, Some(jwt)));
        assert!(key.verify(b"nonce", &of_creds.signature.unwrap()).is_ok());
        for (name, text) in [("a", "hunter2"), ("b", "SUhunter2"), ("c", jwt)] {
            let path = file(name, text);
            for login in [Login::key_file(&path), Login::credentials_file(&path)] {
                let error = login.err().unwrap().to_string();
                assert!(error.contains("names a file without") && !error.contains("hunter2"), "{error}");
            }
        }
        assert!(Login::key_file(folder.path().join("none")).err().unwrap().to_string().contains("does not exist"));
    }
}
