//! Checks of the tokens that the provider signs.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header, get_current_timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::provider::Provider;

/// Difference of clocks that is no fault, in seconds.
const LEEWAY: u64 = 30;

/// Longest time from the making of a logout token to its arrival, in seconds. For as long, each token is known by its name.
pub(super) const LOGOUT_AGE: u64 = 120;

const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Claims of an id token. Who the user is, and nothing more.
#[derive(Deserialize)]
pub(super) struct IdToken {
    pub(super) sub: String,
    pub(super) sid: Option<String>,
    nonce: Option<String>,
}

/// Claims of a logout token.
#[derive(Deserialize)]
pub(super) struct LogoutToken {
    pub(super) sub: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) jti: String,
    iat: u64,
    #[serde(default)]
    events: Map<String, Value>,
}

impl Provider {
    /// Checks an id token (OpenID Connect Core 1.0, 3.1.3.7).
    pub(super) async fn id_token(&self, token: &str, nonce: &str) -> Result<IdToken, Failure> {
        let claims = self.signed(token).await?.claims;
        let token: IdToken = read(claims)?;
        match token.nonce.as_deref() == Some(nonce) {
            true => Ok(token),
            false => Err(Failure::Refused("the token is for another sign-in")),
        }
    }

    /// Checks a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6), but for its repetition.
    pub(super) async fn logout_token(&self, token: &str) -> Result<LogoutToken, Failure> {
        let TokenData { header, claims } = self.signed(token).await?;
        // OWASP ASVS 5.0, 10.5.5. Providers that are older than this type of token say `JWT`.
        if !header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case("logout+jwt")) {
            return Err(Failure::Refused("the token is of another type"));
        }
        // An id token has one, and must not end a session.
        if claims.contains_key("nonce") {
            return Err(Failure::Refused("a token with a nonce is for a sign-in"));
        }
        let token: LogoutToken = read(claims)?;
        if !token.events.get(LOGOUT_EVENT).is_some_and(Value::is_object) {
            return Err(Failure::Refused("the token is about another event"));
        }
        let now = get_current_timestamp();
        if token.iat > now + LEEWAY || token.iat.saturating_add(LOGOUT_AGE + LEEWAY) < now {
            return Err(Failure::Refused("the token was not made just now"));
        }
        Ok(token)
    }

    /// Checks what all tokens have in common: signature, issuer, audience and expiry.
    async fn signed(&self, token: &str) -> Result<TokenData<Map<String, Value>>, Failure> {
        // An unsigned token, whose algorithm is `none`, has no header that the library reads.
        let header = decode_header(token).map_err(|_| Failure::Refused("the token is not signed"))?;
        let name = header.kid.ok_or(Failure::Refused("the token does not name its key"))?;
        let key = self.key(&name).await?;
        let algorithm = algorithm_of(&key).ok_or(Failure::Refused("the key is of an unknown kind"))?;
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[&self.settings.issuer]);
        rules.set_audience(&[&self.settings.client_id]);
        rules.set_required_spec_claims(&["iss", "aud", "exp"]);
        rules.leeway = LEEWAY;
        let key = DecodingKey::from_jwk(&key).map_err(|_| Failure::Refused("the key is not valid"))?;
        let token: TokenData<Map<String, Value>> = decode(token, &key, &rules).map_err(|error| reason(&error))?;
        // The library takes one of several audiences. The others could use the token here, so none is trusted.
        match token.claims.get("aud").and_then(Value::as_array).is_none_or(|all| all.len() == 1) {
            true => Ok(token),
            false => Err(Failure::Refused("the token is for other applications, too")),
        }
    }
}

/// Returns the algorithm of a key. It is the key that decides and not the token's header, which anyone could have written.
fn algorithm_of(key: &Jwk) -> Option<Algorithm> {
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Some(Algorithm::ES256),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn read<T: serde::de::DeserializeOwned>(claims: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(claims.into()).map_err(|_| Failure::Refused("the token lacks a claim"))
}

fn reason(error: &Error) -> Failure {
    Failure::Refused(match error.kind() {
        ErrorKind::InvalidSignature => "the token is not of the provider",
        ErrorKind::InvalidAlgorithm => "the token's algorithm is not that of the key",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidAudience => "the token is for another application",
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a claim",
        _ => "the token is not valid",
    })
}
