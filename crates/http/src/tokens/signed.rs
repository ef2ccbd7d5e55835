//! Tokens of Ana's that are good until 2100, and the public keys of those who signed them; the
//! private ones are gone.

pub(crate) const ED25519: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAmKvpRRoGqBObv6e3CMzNIw9N57a6F7aVdVZRwGnyEBg=
-----END PUBLIC KEY-----
";

pub(crate) const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlGBUOMT4d79IQgIrFuOU
OyPNsLCcqCA0Inv/f6gfk9b8dV7T1lCzkJI/WdDTGfLLbp4jC3ZW8au7Dx2/VzJ5
OYPjCrS3PTyHEqmG/QgZUd367Jca93YVLTjWWU0WkWd79i2BW862C88y9D8Dtn0L
6Ra6rBPH7Z8uK7lq3YklP4gdu1qVnJ2bp/LmLpwgPKiHMuPJd84/yqE/PZ8ilGgX
wIvuUtyulwaUYyM35pwMMVoMw5jr5Drgdr2HtHfG7akoReSnPeB64le1xAl1+zun
zxs/o1YEtU8kXB8wZxGisctkpKzZEStHo+a7tupCtT+xzq+2ARjBZqxgEoymtR3+
gwIDAQAB
-----END PUBLIC KEY-----
";

/// The Ed25519 key, beside one for another use.
pub(crate) const KEY_SET: &str = r#"{"keys":[
    {"kty":"RSA","alg":"RSA-OAEP","kid":"sealing","n":"AQAB","e":"AQAB"},
    {"kty":"OKP","crv":"Ed25519","kid":"ours","x":"mKvpRRoGqBObv6e3CMzNIw9N57a6F7aVdVZRwGnyEBg"}
]}"#;

/// Signed with the Ed25519 key, which it names `ours`.
pub(crate) const BY_ED25519: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6Im91cnMifQ.eyJzdWIiOiIwMTE1ZTYwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjQxMDI0NDQ4MDB9.CrCOYfCUzmiB8QoC_B_e8eXg2gbpAH4IhoLESYo4zewrp255UgGFnj_rgm4HA2nfRB9Nos-TvZe_nHjYQEiVCA";

/// The same, naming another.
pub(crate) const BY_ANOTHER: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImFub3RoZXIifQ.eyJzdWIiOiIwMTE1ZTYwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjQxMDI0NDQ4MDB9.N9apUZ0ukeVwO4DAdcFPqy_NqE10HS0iVM9T1wux0FEfBAUIqtlm1Rl2K-6Zvsqnjg64c_T8SCsGVbDFJmGLDg";

/// Signed with the RSA key.
pub(crate) const BY_RSA: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIwMTE1ZTYwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJleHAiOjQxMDI0NDQ4MDB9.k3CY80MHUOBMi2HJfQVVA4TEbH92qDBSFmAMFIq9upZ9pmvf7cZ2VIdiNdkaCr2ZKLSWjY1hXGhy87fHE6QGD8-AyoCEJfgrwjGp_3D5gdqb_sIc5TS6r7WOr1I4rrhqd2nFIGvdx_nt7o7VlCYxh2yueEb8sxSWWsDJDs_pqwT1zPI_qXf5t18gLf_SE-Eyjh9bptRe3LZsBKK0N2tz6CSufnG4OL9xoob15JeUCr0BwMUPZBqg4yqE-8tKvHWhy4pz1DnpEyFJeSeyHcjazEnuedlemLZwpyPmPBJpPHApKYFInjuSgZHksz86eTj80_g5P0gr73664ADkJj5YQQ";
