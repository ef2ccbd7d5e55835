//! Whose tokens a node believes, and whether it is open without any.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use foldline_http::Tokens;
use serde::{Deserialize, Serialize, Serializer};

/// Who is let in. Without any key the node is open: every caller is staff.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The shared secret with which tokens are signed (HS256).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// A file with the public key of who signs tokens, in PEM (RSA, Ed25519 or P-256).
    pub public_key_file: Option<PathBuf>,
    /// A file with a JSON Web Key Set of who signs tokens.
    pub jwks_file: Option<PathBuf>,
    /// Who must have issued a token (`iss`).
    pub issuer: Option<String>,
    /// For whom a token must have been made (`aud`).
    pub audience: Option<String>,
    /// Takes every caller for staff on any address: for a network that lets nobody else in.
    pub open: bool,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl AuthSettings {
    /// Whether every caller is taken for staff.
    pub(crate) fn is_open(&self) -> bool {
        self.secret.is_none() && self.public_key_file.is_none() && self.jwks_file.is_none()
    }

    pub(super) fn check(&self, listen: SocketAddr) -> anyhow::Result<()> {
        ensure!(
            self.is_open() || !self.open,
            "`auth.open` takes every caller for staff, and a key says that tokens decide: remove \
             one of them"
        );
        ensure!(
            !self.is_open() || self.open || listen.ip().is_loopback(),
            "an open node serves every caller as staff, so it listens on loopback only, not on \
             `{listen}`: name a key under `[auth]` (`secret`, `public_key_file` or `jwks_file`), \
             use `--listen 127.0.0.1:{}`, or say `auth.open = true` where nobody else can reach it",
            listen.port(),
        );
        Ok(())
    }

    /// Reads the keys; none where the node is open.
    ///
    /// # Errors
    /// When a file cannot be read, has no key, or more than one is named.
    pub(crate) fn tokens(&self) -> anyhow::Result<Option<Tokens>> {
        let keys = [
            self.secret.is_some(),
            self.public_key_file.is_some(),
            self.jwks_file.is_some(),
        ];
        ensure!(
            keys.iter().filter(|named| **named).count() <= 1,
            "`auth` names several keys; one of `secret`, `public_key_file` and `jwks_file` decides"
        );
        let tokens = if let Some(secret) = &self.secret {
            Tokens::of_secret(secret.reveal().as_bytes()).context("`auth.secret`")?
        } else if let Some(file) = &self.public_key_file {
            Tokens::of_public_key(&read(file)?).with_context(|| file.display().to_string())?
        } else if let Some(file) = &self.jwks_file {
            Tokens::of_key_set(&read(file)?).with_context(|| file.display().to_string())?
        } else {
            return Ok(None);
        };
        let tokens = match &self.issuer {
            Some(issuer) => tokens.issued_by(issuer),
            None => tokens,
        };
        Ok(Some(match &self.audience {
            Some(audience) => tokens.made_for(audience),
            None => tokens,
        }))
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("the key file `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secret: Option<&str>, open: bool) -> AuthSettings {
        AuthSettings {
            secret: secret.map(|secret| Secret(secret.into())),
            open,
            ..AuthSettings::default()
        }
    }

    #[test]
    fn only_a_node_that_says_so_is_open_to_other_machines() {
        let [here, there] = ["127.0.0.1:1", "10.0.0.1:1"].map(|at| at.parse().unwrap());
        for (settings, listen, well) in [
            (settings(None, false), here, true),
            (settings(None, false), there, false),
            (settings(None, true), there, true),
            (settings(Some("a"), false), there, true),
            (settings(Some("a"), true), there, false),
            (settings(Some("a"), true), here, false),
        ] {
            assert_eq!(
                settings.check(listen).is_ok(),
                well,
                "{settings:?} {listen}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let settings = settings(Some("the secret itself"), false);
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(
            shown.contains(HIDDEN) && !shown.contains("itself"),
            "{shown}"
        );
    }

    #[test]
    fn one_key_decides() {
        let mut settings = settings(Some("a secret of at least thirty-two bytes"), false);
        assert!(settings.tokens().unwrap().is_some());
        settings.jwks_file = Some("keys.json".into());
        assert!(settings.tokens().is_err());
        settings.secret = None;
        let error = settings.tokens().unwrap_err();
        assert!(format!("{error:#}").contains("keys.json"), "{error:#}");
        assert!(AuthSettings::default().tokens().unwrap().is_none());
    }
}
