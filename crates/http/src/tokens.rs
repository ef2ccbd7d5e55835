//! Bearer tokens: JSON Web Tokens (RFC 7519) whose signature vouches for who asks.

use std::time::{Duration, SystemTime};

use foldline_kernel::{Caller, Right};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, KeyOperations,
        PublicKeyUse,
    },
};
use serde::{Deserialize, Serialize};

/// The role whose callers act for any user, read what is not public, and reach the admin routes.
pub const STAFF: &str = "staff";
/// The role whose callers may say when their events happened.
pub const IMPORT: &str = "import";

/// The fewest bytes of a shared secret: as many as the hash has (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// By how much the clocks of who signs and who checks may differ.
const LEEWAY_SECONDS: u64 = 30;
/// The most roles of a token that count.
const ROLES_MAX: usize = 32;
/// The most bytes of a subject: it is kept in every event whose actor it is.
const SUBJECT_BYTES_MAX: usize = 256;

/// What a token says: who (`sub`), with which roles, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<serde_json::Value>,
}

/// The keys whose signatures are believed, and for whom tokens have to be made.
pub struct Tokens {
    keys: Vec<Key>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// A key is good for its own algorithm and no other: a public key taken for a shared secret would
/// let everybody sign.
struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret that is too short can be found by trying.
    #[error("the secret has {0} bytes; it takes {SECRET_BYTES_MIN} at least")]
    SecretTooShort(usize),
    /// The text is no public key in PEM.
    #[error("there is no public key of RSA, Ed25519 or P-256 in PEM")]
    NoPublicKey,
    /// The text is no set of keys.
    #[error("there is no JSON Web Key Set (RFC 7517)")]
    NoKeySet(#[source] serde_json::Error),
    /// Whoever may read a key set may sign with a secret in it.
    #[error("the key set has a shared secret (`oct`); it takes public keys only")]
    SecretInKeySet,
    /// The set has no key for signatures.
    #[error("the key set has no key for signatures of an algorithm that is known here")]
    EmptyKeySet,
}

/// Why a token is not believed, as a clause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TokenError(String);

impl Tokens {
    /// Believes tokens signed with a shared secret (HS256).
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`].
    pub fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        check_secret(secret)?;
        let key = DecodingKey::from_secret(secret);
        Ok(Self::of(vec![Key::new(None, key, Algorithm::HS256)]))
    }

    /// Believes tokens signed with the private key to a public one in PEM: RSA (RS256), Ed25519
    /// (EdDSA) or P-256 (ES256).
    ///
    /// # Errors
    /// [`KeyError::NoPublicKey`].
    pub fn of_public_key(pem: &[u8]) -> Result<Self, KeyError> {
        let known = [
            (DecodingKey::from_rsa_pem(pem), Algorithm::RS256),
            (DecodingKey::from_ed_pem(pem), Algorithm::EdDSA),
            (DecodingKey::from_ec_pem(pem), Algorithm::ES256),
        ];
        let mut known = known.into_iter();
        let found = known.find_map(|(key, algorithm)| Some((key.ok()?, algorithm)));
        let (key, algorithm) = found.ok_or(KeyError::NoPublicKey)?;
        Ok(Self::of(vec![Key::new(None, key, algorithm)]))
    }

    /// Believes tokens signed with the private key to any public one of a JSON Web Key Set
    /// (RFC 7517).
    ///
    /// # Errors
    /// [`KeyError::NoKeySet`], [`KeyError::SecretInKeySet`] or [`KeyError::EmptyKeySet`].
    pub fn of_key_set(json: &[u8]) -> Result<Self, KeyError> {
        let set: JwkSet = serde_json::from_slice(json).map_err(KeyError::NoKeySet)?;
        let for_signatures = set.keys.iter().filter(|key| verifies(&key.common));
        let for_signatures: Vec<_> = for_signatures.collect();
        let secret = |key: &&Jwk| matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
        if for_signatures.iter().any(secret) {
            return Err(KeyError::SecretInKeySet);
        }
        let keys: Vec<_> = for_signatures.into_iter().filter_map(Key::of_jwk).collect();
        if keys.is_empty() {
            return Err(KeyError::EmptyKeySet);
        }
        Ok(Self::of(keys))
    }

    /// Believes only tokens of this issuer.
    #[must_use]
    pub fn issued_by(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        for key in &mut self.keys {
            key.validation.set_issuer(&[issuer]);
            key.validation.required_spec_claims.insert("iss".to_owned());
        }
        self
    }

    /// Believes only tokens that were made for this audience; without one, only those that name
    /// none.
    #[must_use]
    pub fn made_for(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        for key in &mut self.keys {
            key.validation.set_audience(&[audience]);
            key.validation.required_spec_claims.insert("aud".to_owned());
        }
        self
    }

    fn of(keys: Vec<Key>) -> Self {
        Self {
            keys,
            issuer: None,
            audience: None,
        }
    }

    /// Tells whose token it is.
    pub(crate) fn caller(&self, token: &str) -> Result<Caller, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| trouble(&error))?;
        let named = |key: &&Key| match (&header.kid, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let mut last = TokenError("no key that it could be signed with is known here".to_owned());
        for key in self.keys.iter().filter(named) {
            if !key.validation.algorithms.contains(&header.alg) {
                continue;
            }
            match jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation) {
                Ok(token) => return caller(token.claims),
                Err(error) => last = trouble(&error),
            }
        }
        Err(last)
    }
}

/// Signs a token with a shared secret, for trying out.
///
/// # Errors
/// [`KeyError::SecretTooShort`].
pub fn mint(
    secret: &[u8],
    subject: &str,
    roles: &[String],
    issuer: Option<&str>,
    audience: Option<&str>,
    valid: Duration,
) -> Result<String, KeyError> {
    check_secret(secret)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let until = now.unwrap_or_default() + valid;
    let claims = Claims {
        sub: subject.to_owned(),
        roles: roles.to_vec(),
        exp: until.as_secs(),
        iss: issuer.map(str::to_owned),
        aud: audience.map(Into::into),
    };
    let key = EncodingKey::from_secret(secret);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    Ok(token.expect("claims are plain JSON, and any bytes are a key of HMAC"))
}

fn check_secret(secret: &[u8]) -> Result<(), KeyError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::SecretTooShort(secret.len()));
    }
    Ok(())
}

impl Key {
    fn new(id: Option<String>, key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        Self {
            id,
            key,
            validation,
        }
    }

    /// The key, if it is public and of an algorithm that is known here.
    fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let named = jwk.common.key_algorithm;
        let algorithm = match (named, &jwk.algorithm) {
            (Some(named), _) => Algorithm::try_from(named).ok()?,
            (None, AlgorithmParameters::RSA(_)) => Algorithm::RS256,
            (None, AlgorithmParameters::OctetKeyPair(_)) => Algorithm::EdDSA,
            (None, AlgorithmParameters::EllipticCurve(curve)) => match curve.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                _ => return None,
            },
            (None, _) => return None,
        };
        let key = DecodingKey::from_jwk(jwk).ok()?;
        (key.family() == algorithm.family())
            .then(|| Self::new(jwk.common.key_id.clone(), key, algorithm))
    }
}

/// Tells whether a key may check signatures, as far as it says what it is for (RFC 7517, 4.2 and
/// 4.3).
fn verifies(key: &CommonParameters) -> bool {
    let used = key.public_key_use.as_ref();
    let operations = key.key_operations.as_ref();
    used.is_none_or(|used| *used == PublicKeyUse::Signature)
        && operations.is_none_or(|all| all.contains(&KeyOperations::Verify))
}

/// A subject that is no user is known by its name.
fn caller(claims: Claims) -> Result<Caller, TokenError> {
    let subject = &claims.sub;
    let sized = (1..=SUBJECT_BYTES_MAX).contains(&subject.len());
    if !sized || subject.chars().any(char::is_control) {
        return Err(TokenError(format!(
            "its `sub` is not 1 to {SUBJECT_BYTES_MAX} bytes without control characters"
        )));
    }
    let mut caller = Caller::default();
    match claims.sub.parse() {
        Ok(user) => caller.user = Some(user),
        Err(_) => caller.name = Some(claims.sub),
    }
    for role in claims.roles.into_iter().take(ROLES_MAX) {
        caller = match role.as_str() {
            STAFF => caller.with(Right::Staff),
            IMPORT => caller.with(Right::Import),
            _ => caller,
        };
        caller = caller.with_role(role);
    }
    Ok(caller)
}

fn trouble(error: &jsonwebtoken::errors::Error) -> TokenError {
    let clause = match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidSignature => "its signature is not that of a known key",
        ErrorKind::InvalidIssuer => "its issuer is another",
        ErrorKind::InvalidAudience => "it was made for another audience",
        ErrorKind::MissingRequiredClaim(claim) => {
            return TokenError(format!("it has no `{claim}`"));
        }
        _ => "it is no signed token with `sub` and `exp` (RFC 7519)",
    };
    TokenError(clause.to_owned())
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("keys", &self.keys.len())
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish()
    }
}

#[cfg(test)]
mod signed;
#[cfg(test)]
mod tests;
