//! Tokens that are believed, and each kind that is not.

use super::{signed, *};

const SECRET: &[u8] = b"a secret of which thirty-two bytes are enough";
const ANA: &str = "0115e600-0000-4000-8000-000000000001";
const HOUR: Duration = Duration::from_secs(3600);

fn signed_by(claims: serde_json::Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), &claims, key).unwrap()
}

fn hs256(claims: serde_json::Value) -> String {
    signed_by(claims, Algorithm::HS256, &EncodingKey::from_secret(SECRET))
}

fn later() -> u64 {
    jsonwebtoken::get_current_timestamp() + 3600
}

#[track_caller]
fn assert_refused(tokens: &Tokens, token: &str, because: &str) {
    let error = tokens.caller(token).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn a_minted_token_says_who_and_with_which_roles() {
    let tokens = Tokens::of_secret(SECRET).unwrap();
    let roles = [STAFF, "warehouse"].map(str::to_owned);
    let token = mint(SECRET, ANA, &roles, None, None, HOUR).unwrap();
    let caller = tokens.caller(&token).unwrap();
    assert_eq!(caller.user, Some(ANA.parse().unwrap()));
    assert!(caller.may(Right::Staff) && caller.has_role("warehouse"));
    assert!(!caller.may(Right::Import));
    // A subject that is no user has a name, which events then carry.
    let token = mint(SECRET, "importer", &[IMPORT.to_owned()], None, None, HOUR).unwrap();
    let caller = tokens.caller(&token).unwrap();
    assert_eq!(
        (caller.user, caller.name.as_deref()),
        (None, Some("importer"))
    );
    assert!(caller.may(Right::Import) && !caller.may(Right::Staff));
}

#[test]
fn what_is_not_signed_for_now_and_for_here_is_not_believed() {
    let tokens = Tokens::of_secret(SECRET).unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let ana = |more: serde_json::Value| {
        let mut claims = serde_json::json!({ "sub": ANA, "exp": later() });
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        claims
    };
    let other = EncodingKey::from_secret(b"another secret that is just as long as that one");
    let none = serde_json::json!({});
    for (token, because) in [
        (
            hs256(ana(serde_json::json!({ "exp": now - 60 }))),
            "expired",
        ),
        (
            hs256(ana(serde_json::json!({ "nbf": now + 60 }))),
            "not valid yet",
        ),
        (hs256(serde_json::json!({ "sub": ANA })), "`exp`"),
        (
            hs256(serde_json::json!({ "exp": later() })),
            "no signed token",
        ),
        (
            hs256(ana(serde_json::json!({ "aud": "elsewhere" }))),
            "audience",
        ),
        (
            signed_by(ana(none.clone()), Algorithm::HS256, &other),
            "signature",
        ),
        (
            signed_by(
                ana(none.clone()),
                Algorithm::HS512,
                &EncodingKey::from_secret(SECRET),
            ),
            "no key",
        ),
        ("nonsense".to_owned(), "no signed token"),
        (
            format!("{}.", hs256(ana(none)).rsplit_once('.').unwrap().0),
            "signature",
        ),
    ] {
        assert_refused(&tokens, &token, because);
    }
    // `{"alg":"none"}`
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
    assert_refused(&tokens, unsigned, "no signed token");
}

#[test]
fn an_issuer_and_an_audience_are_asked_for_where_they_are_named() {
    let tokens = Tokens::of_secret(SECRET).unwrap();
    let tokens = tokens.issued_by("home").made_for("market");
    let minted = |issuer, audience| mint(SECRET, ANA, &[], issuer, audience, HOUR).unwrap();
    tokens
        .caller(&minted(Some("home"), Some("market")))
        .unwrap();
    assert_refused(&tokens, &minted(Some("away"), Some("market")), "issuer");
    assert_refused(&tokens, &minted(Some("home"), Some("bank")), "audience");
    assert_refused(&tokens, &minted(None, Some("market")), "`iss`");
    assert_refused(&tokens, &minted(Some("home"), None), "`aud`");
}

#[test]
fn a_public_key_checks_what_its_private_one_has_signed() {
    for (public, token, other) in [
        (signed::ED25519, signed::BY_ED25519, signed::BY_RSA),
        (signed::RSA, signed::BY_RSA, signed::BY_ED25519),
    ] {
        let tokens = Tokens::of_public_key(public.as_bytes()).unwrap();
        let caller = tokens.caller(token).unwrap();
        assert_eq!(caller, Caller::user(ANA.parse().unwrap()));
        assert_refused(&tokens, other, "no key");
        let (claims, signature) = token.rsplit_once('.').unwrap();
        let changed = signature.replacen('A', "B", 1);
        assert_refused(&tokens, &format!("{claims}.{changed}"), "signature");
        // The public key is no secret that anybody could sign with.
        let forged = EncodingKey::from_secret(public.as_bytes());
        let claims = serde_json::json!({ "sub": ANA, "exp": later() });
        assert_refused(
            &tokens,
            &signed_by(claims, Algorithm::HS256, &forged),
            "no key",
        );
    }
    let none = Tokens::of_public_key(b"no key");
    assert!(matches!(none, Err(KeyError::NoPublicKey)));
}

#[test]
fn a_key_set_has_the_key_that_a_token_names() {
    let tokens = Tokens::of_key_set(signed::KEY_SET.as_bytes()).unwrap();
    assert_eq!(tokens.keys.len(), 1);
    tokens.caller(signed::BY_ED25519).unwrap();
    assert_refused(&tokens, signed::BY_ANOTHER, "no key");
    let none = Tokens::of_key_set(b"{}");
    assert!(matches!(none, Err(KeyError::NoKeySet(_))));
    let none = Tokens::of_key_set(br#"{"keys":[]}"#);
    assert!(matches!(none, Err(KeyError::EmptyKeySet)));
}

/// The Ed25519 key, which says more of itself.
fn key_set(more: &str) -> String {
    signed::KEY_SET.replace(r#""crv""#, &format!(r#"{more},"crv""#))
}

#[test]
fn a_key_set_is_searched_for_keys_that_are_for_signatures() {
    for more in [
        r#""use":"sig""#,
        r#""key_ops":["verify"]"#,
        r#""key_ops":["sign","verify"]"#,
    ] {
        let tokens = Tokens::of_key_set(key_set(more).as_bytes()).unwrap();
        tokens.caller(signed::BY_ED25519).unwrap();
    }
    for more in [
        r#""use":"enc""#,
        r#""use":"another""#,
        r#""key_ops":[]"#,
        r#""key_ops":["sign"]"#,
        r#""use":"sig","key_ops":["deriveKey"]"#,
    ] {
        let none = Tokens::of_key_set(key_set(more).as_bytes());
        assert!(matches!(none, Err(KeyError::EmptyKeySet)), "{more}");
    }
}

#[test]
fn a_key_set_has_no_shared_secrets() {
    let with = |secret: &str| signed::KEY_SET.replace("[", &format!("[{secret},"));
    for secret in [
        r#"{"kty":"oct","alg":"HS256","k":""}"#,
        r#"{"kty":"oct","alg":"HS256","k":"c2hvcnQ"}"#,
        r#"{"kty":"oct","k":"YSBzZWNyZXQgb2Ygd2hpY2ggdGhpcnR5LXR3byBieXRlcyBhcmUgZW5vdWdo"}"#,
    ] {
        let refused = Tokens::of_key_set(with(secret).as_bytes());
        assert!(matches!(refused, Err(KeyError::SecretInKeySet)), "{secret}");
    }
    // One that is not for signatures is nobody's to sign with.
    let sealing = r#"{"kty":"oct","use":"enc","k":"c2hvcnQ"}"#;
    let tokens = Tokens::of_key_set(with(sealing).as_bytes()).unwrap();
    assert_eq!(tokens.keys.len(), 1);
}

#[test]
fn a_subject_is_fit_to_stand_in_events() {
    let tokens = Tokens::of_secret(SECRET).unwrap();
    let of = |subject: &str| hs256(serde_json::json!({ "sub": subject, "exp": later() }));
    let long = "é".repeat(SUBJECT_BYTES_MAX / 2);
    for subject in ["a", &long] {
        let caller = tokens.caller(&of(subject)).unwrap();
        assert_eq!(caller.name.as_deref(), Some(subject));
    }
    let longer = format!("{long}a");
    for subject in ["", &longer, "a\nb", "\0", "a\u{7f}", "a\u{85}"] {
        assert_refused(&tokens, &of(subject), "`sub` is not 1 to 256 bytes");
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_none() {
    assert!(matches!(
        Tokens::of_secret(b"short"),
        Err(KeyError::SecretTooShort(5))
    ));
    assert!(mint(b"short", ANA, &[], None, None, HOUR).is_err());
}
