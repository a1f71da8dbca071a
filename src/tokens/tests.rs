//! Attacks on the verifier alone: the whitelist would refuse all of these as well, and so hide a broken check. Each is tried
//! on every algorithm.

use std::{
    env, fs,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Jwa, EncodingKey, crypto};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{encoding::base64url, jws::verify_jws, *};
use crate::{
    clock::Timestamp,
    config::Config,
    domain::{
        Algorithm, BearerToken, KeyRing, PasswordHash, Role, SessionId, TokenId, TokenRecord, User, UserId,
        Username,
    },
    keys::{KeyPair, PublicKey},
    store::{Accepted, LiveSession, Outdated},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// A key called `test-key`, and a verifier that knows it and no other.
struct Bench {
    algorithm: Algorithm,
    key: TokenKey,
    tokens: Tokens,
}

static BENCHES: LazyLock<Vec<Bench>> = LazyLock::new(|| {
    let pem = |name: &str| fs::read_to_string(format!("tests/keys/{name}.pem")).unwrap();
    let pair = |name: &str, algorithm| TokenKey::pair(&KeyPair::from_pem(&pem(name), algorithm).unwrap());
    let key = |algorithm| match algorithm {
        Algorithm::Hs256 => TokenKey::hs256(&SECRET.to_vec().into()),
        Algorithm::EdDsa => pair("ed25519", algorithm),
        Algorithm::Es256 => pair("ec-sec1", algorithm),
        Algorithm::Rs256 => pair("rsa-pkcs8", algorithm),
    };
    let bench = |algorithm| Bench {
        algorithm,
        key: key(algorithm),
        tokens: tokens_for(&[], &ring("test-key", algorithm, key(algorithm))),
    };
    Algorithm::ALL.into_iter().map(bench).collect()
});

/// One for each algorithm.
fn benches() -> impl Iterator<Item = &'static Bench> {
    BENCHES.iter()
}

/// A ring of one key.
fn ring(id: &str, algorithm: Algorithm, key: TokenKey) -> KeyRing<TokenKey> {
    let mut ring = KeyRing::default();
    ring.add((id.to_owned(), algorithm, key), NOW, Duration::from_mins(5), NOW);
    ring
}

fn tokens_for(audience: &[&str], keys: &KeyRing<TokenKey>) -> Tokens {
    let mut config = Config::default().token;
    config.audience = audience.iter().map(ToString::to_string).collect();
    Tokens::new(keys, &config)
}

impl Bench {
    fn ring(&self) -> KeyRing<TokenKey> {
        ring("test-key", self.algorithm, self.key.clone())
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "typ": "JWT", "kid": "test-key"})
    }

    /// These bytes as header and payload, rightly signed with this server's own key.
    fn signed(&self, header: &[u8], payload: &[u8]) -> String {
        let message = unsigned(header, payload);
        let signature = self.key.sign(message.as_bytes()).unwrap();
        format!("{message}.{signature}")
    }

    fn with_header(&self, header: &Value) -> String {
        self.signed(header.to_string().as_bytes(), claims().to_string().as_bytes())
    }

    fn with_claims(&self, claims: &Value) -> String {
        self.signed(
            self.header().to_string().as_bytes(),
            claims.to_string().as_bytes(),
        )
    }

    fn verify(&self, token: &str) -> Result<VerifiedClaims, TokenRefusal> {
        verify_at(&self.tokens, token, NOW)
    }
}

/// Header and payload, without a signature.
fn unsigned(header: &[u8], payload: &[u8]) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

fn user() -> User {
    User {
        id: UserId::generate(NOW),
        username: Username::parse("ada").unwrap(),
        password_hash: PasswordHash::parse(&format!("$2b$04${}", ".".repeat(53))).unwrap(),
        password_version: 0,
        roles: [Role::CLIENT, Role::ADMIN].into_iter().collect(),
        disabled: false,
        display_name: None,
        created_at: NOW,
    }
}

/// A token as this server issues it, good for five minutes from `NOW`.
fn issued(by: &Tokens) -> String {
    let record = TokenRecord::issue(NOW, Duration::from_mins(5), NOW.plus(Duration::from_hours(1)));
    let token = by
        .sign(&user(), SessionId::generate(NOW), record, Duration::ZERO)
        .unwrap();
    token.expose_secret().to_owned()
}

/// An accepted token is remembered as well, so that each of these tests attacks the cache too.
fn verify_at(tokens: &Tokens, token: &str, now: Timestamp) -> Result<VerifiedClaims, TokenRefusal> {
    let token = BearerToken::parse(token).ok_or(TokenRefusal::Malformed)?;
    let found = tokens.verify(&token, now, Duration::ZERO)?;
    tokens.remember(&found, None);
    let again = tokens.verify(&token, now, Duration::ZERO)?;
    assert_eq!((again.said(), again.is_remembered), (found.said(), true));
    Ok(found.said())
}

/// A session that is told what it is.
#[derive(Default)]
struct Told {
    refuses: AtomicBool,
    is_outdated: AtomicBool,
}

impl LiveSession for Told {
    fn accepted(self: Arc<Self>, id: TokenId, now: Timestamp) -> Result<Option<Accepted>, Outdated> {
        if self.is_outdated.load(Ordering::SeqCst) {
            return Err(Outdated);
        }
        let accepted = || Accepted {
            user: Arc::new(user()).into(),
            token: TokenRecord {
                id,
                issued_at: now,
                expires_at: now,
            },
            session_ends_at: now,
        };
        Ok((!self.refuses.load(Ordering::SeqCst)).then(accepted))
    }

    fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }
}

#[test]
fn a_token_is_recognised_by_its_text_and_its_session_answers() {
    for bench in benches() {
        let tokens = tokens_for(&[], &bench.ring());
        let text = bench.with_claims(&claims());
        let token = BearerToken::parse(&text).unwrap();
        let recognised = |text: &str, now| tokens.recognise(text.as_bytes(), now);
        assert!(recognised(&text, NOW).is_none(), "it is not known yet");
        let found = tokens.verify(&token, NOW, Duration::ZERO).unwrap();
        assert!(recognised(&text, NOW).is_none(), "it was not accepted yet");
        tokens.remember(&found, None);
        assert!(recognised(&text, NOW).is_none(), "there is no session to ask");

        let session = Arc::new(Told::default());
        let found = tokens.verify(&token, NOW, Duration::ZERO).unwrap();
        tokens.remember(&found, Some(Arc::clone(&session) as _));
        let (said, accepted) = recognised(&text, NOW).unwrap();
        assert_eq!(said, found.said());
        assert_eq!(accepted.unwrap().token.id, said.token.id);
        assert!(tokens.verify(&token, NOW, Duration::ZERO).unwrap().is_remembered);
        for other in [text.to_lowercase(), format!("{text}A"), text[1..].to_owned()] {
            assert!(recognised(&other, NOW).is_none(), "{other}");
        }
        assert!(recognised(&text, said.token.expires_at).is_none());

        session.refuses.store(true, Ordering::SeqCst);
        assert_eq!(recognised(&text, NOW).unwrap(), (said, None));
        session.refuses.store(false, Ordering::SeqCst);

        session.is_outdated.store(true, Ordering::SeqCst);
        assert!(recognised(&text, NOW).is_none(), "the store has to be asked");
        let (found, present) = (
            tokens.verify(&token, NOW, Duration::ZERO).unwrap(),
            Arc::new(Told::default()),
        );
        tokens.remember(&found, Some(present));
        assert_eq!(recognised(&text, NOW).unwrap().0, said);
        tokens.use_keys(&bench.ring());
        assert!(recognised(&text, NOW).is_none(), "the keys may have changed");
    }
}

fn claims() -> Value {
    json!({
        "iss": "jwt-server",
        "sub": "018f0000-0000-7000-8000-000000000001",
        "username": "ada",
        "roles": ["CLIENT"],
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 300,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA",
        "sid": "018f0000-0000-7000-8000-000000000002",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name).unwrap();
    object
}

#[test]
fn what_this_server_signs_it_accepts_and_reads_back() {
    for bench in benches() {
        let (tokens, user, session) = (&bench.tokens, user(), SessionId::generate(NOW));
        let record = TokenRecord::issue(NOW, Duration::from_mins(5), NOW.plus(Duration::from_hours(1)));
        let text = tokens.sign(&user, session, record, Duration::ZERO).unwrap();
        let verified = verify_at(tokens, text.expose_secret(), NOW).unwrap();
        assert_eq!(verified.user, user.id);
        assert_eq!(verified.session, session);
        assert_eq!(verified.token, record);
        // The forgeries below start from this one; it must be good for them to prove anything.
        assert!(bench.verify(&bench.with_claims(&claims())).is_ok());
    }
}

#[test]
fn a_token_holds_the_documented_header_and_claims() {
    for bench in benches() {
        let token = issued(&tokens_for(&["api", "web"], &bench.ring()));
        let mut parts = token.split('.').map(|part| base64url(part).unwrap());
        let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        assert_eq!(header, bench.header());
        let claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "aud", "exp", "iat", "iss", "jti", "roles", "sid", "sub", "username"
            ]
        );
        assert_eq!(claims["roles"], json!(["CLIENT", "ADMIN"]));
        assert_eq!(claims["aud"], json!(["api", "web"]));
    }
}

#[test]
fn two_tokens_of_one_second_differ_by_16_random_bytes() {
    let ids = [(); 2].map(|()| TokenRecord::issue(NOW, Duration::from_mins(5), NOW).id);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(base64url(&ids[0].to_string()).unwrap().len(), 16);
}

#[test]
fn a_token_is_good_from_its_first_second_to_its_last() {
    for bench in benches() {
        let token = bench.with_claims(&claims());
        let at = |secs: u64| verify_at(&bench.tokens, &token, Timestamp::from_secs(secs)).map(|_| ());
        let (iat, exp) = (NOW.as_secs(), NOW.as_secs() + 300);
        assert_eq!(at(iat - 1), Err(TokenRefusal::NotYetValid));
        assert_eq!(at(iat), Ok(()));
        assert_eq!(at(exp - 1), Ok(()));
        assert_eq!(at(exp), Err(TokenRefusal::Expired));
        assert_eq!(at(u64::MAX), Err(TokenRefusal::Expired));
    }
}

#[test]
fn no_algorithm_but_the_keys_own_is_accepted() {
    let names = [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256",
        "ES256", "ES384", "ES256K", "EdDSA", "Ed25519", "hs256", "HS256 ",
    ];
    for bench in benches() {
        for alg in names.into_iter().filter(|alg| *alg != bench.algorithm.as_str()) {
            let mut header = bench.header();
            header["alg"] = alg.into();
            let bare = unsigned(header.to_string().as_bytes(), claims().to_string().as_bytes());
            for token in [bench.with_header(&header), format!("{bare}.")] {
                assert_eq!(bench.verify(&token), Err(TokenRefusal::ForeignHeader), "{alg:?}");
            }
        }
    }
}

/// The right key under another algorithm, with and without saying so.
#[test]
fn the_right_key_under_another_algorithm_is_refused() {
    let rsa = KeyPair::from_pem(
        &fs::read_to_string("tests/keys/rsa-pkcs8.pem").unwrap(),
        Algorithm::Rs256,
    );
    let rsa = EncodingKey::from_rsa_der(rsa.unwrap().pkcs1().unwrap().expose_secret());
    let secret = EncodingKey::from_secret(SECRET);
    for (ours, key, others) in [
        (Algorithm::Hs256, secret, &[Jwa::HS384, Jwa::HS512][..]),
        (
            Algorithm::Rs256,
            rsa,
            &[Jwa::RS384, Jwa::RS512, Jwa::PS256, Jwa::PS384],
        ),
    ] {
        let bench = benches().find(|bench| bench.algorithm == ours).unwrap();
        for other in others {
            let honest = json!({"alg": format!("{other:?}"), "typ": "JWT", "kid": "test-key"});
            for (header, why) in [
                (honest, TokenRefusal::ForeignHeader),
                (bench.header(), TokenRefusal::BadSignature),
            ] {
                let message = unsigned(header.to_string().as_bytes(), claims().to_string().as_bytes());
                let signature = crypto::sign(message.as_bytes(), &key, *other).unwrap();
                let token = format!("{message}.{signature}");
                assert_eq!(bench.verify(&token), Err(why), "{other:?}");
            }
        }
    }
}

/// RFC 8725, section 2.1: who knows a public key signs with it as if it were a secret.
#[test]
fn a_public_key_is_no_secret() {
    for bench in benches() {
        let public = match bench.key.public_half() {
            Some(PublicKey::Rsa { n, .. }) => n.clone(),
            Some(PublicKey::P256 { x, y }) => [&[4], &x[..], y].concat(),
            Some(PublicKey::Ed25519 { x }) => x.to_vec(),
            None => continue,
        };
        let jwk = bench.key.public_half().unwrap().jwk();
        let pem = fs::read("tests/keys/rsa-public.pem").unwrap();
        for secret in [public, serde_json::to_vec(&jwk).unwrap(), pem] {
            for alg in ["HS256", bench.algorithm.as_str()] {
                let header = json!({"alg": alg, "typ": "JWT", "kid": "test-key"});
                let message = unsigned(header.to_string().as_bytes(), claims().to_string().as_bytes());
                let key = EncodingKey::from_secret(&secret);
                let signature = crypto::sign(message.as_bytes(), &key, Jwa::HS256).unwrap();
                assert!(bench.verify(&format!("{message}.{signature}")).is_err(), "{alg}");
            }
        }
    }
}

#[test]
fn a_token_is_verified_by_the_key_that_it_names_and_by_no_other() {
    let mut all = KeyRing::default();
    for bench in benches() {
        let key = (bench.algorithm.to_string(), bench.algorithm, bench.key.clone());
        all.add(key, NOW, Duration::from_mins(5), NOW);
    }
    let tokens = tokens_for(&[], &all);
    for signer in benches() {
        for named in Algorithm::ALL {
            for alg in Algorithm::ALL {
                let header = json!({"alg": alg.as_str(), "typ": "JWT", "kid": named.as_str()});
                let token = signer.with_header(&header);
                let right = signer.algorithm == named && named == alg;
                assert_eq!(verify_at(&tokens, &token, NOW).is_ok(), right, "{header}");
            }
        }
    }
}

#[test]
fn a_token_shows_the_machines_time_and_is_judged_by_the_servers() {
    let (ahead, five) = (Duration::from_hours(20), Duration::from_mins(5));
    for bench in benches() {
        let tokens = tokens_for(&[], &bench.ring());
        let record = TokenRecord::issue(NOW, five, NOW.plus(five));
        let token = tokens
            .sign(&user(), SessionId::generate(NOW), record, ahead)
            .unwrap();
        let payload = base64url(token.expose_secret().split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["iat"], NOW.minus(ahead).as_secs());
        assert_eq!(claims["exp"], NOW.minus(ahead).plus(five).as_secs());
        let token = BearerToken::parse(token.expose_secret()).unwrap();
        let said = |now, ahead| tokens.verify(&token, now, ahead).map(|found| found.said().token);
        assert_eq!(said(NOW, ahead), Ok(record));
        assert_eq!(said(NOW.plus(five), ahead), Err(TokenRefusal::Expired));
        // The machine's clock has been put right: for the token it is too late.
        assert_eq!(said(NOW, Duration::ZERO), Err(TokenRefusal::Expired));
    }
}

#[test]
fn a_token_is_signed_by_the_key_of_its_time_and_ends_with_it() {
    let five = Duration::from_mins(5);
    let [_, old, new, ..] = BENCHES.as_slice() else {
        panic!()
    };
    let mut keys = ring("old", old.algorithm, old.key.clone());
    let change = NOW.plus(Duration::from_mins(15));
    keys.add(("new".into(), new.algorithm, new.key.clone()), change, five, NOW);
    let tokens = tokens_for(&[], &keys);
    let sign = |now: Timestamp| {
        let record = TokenRecord::issue(now, five, now.plus(five));
        let token = tokens
            .sign(&user(), SessionId::generate(now), record, Duration::ZERO)
            .unwrap();
        token.expose_secret().to_owned()
    };
    let kid = |token: &str| {
        let header: Value =
            serde_json::from_slice(&base64url(token.split('.').next().unwrap()).unwrap()).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    };
    let last = sign(change.minus(Duration::from_secs(1)));
    assert_eq!((kid(&last), kid(&sign(change))), ("old".into(), "new".into()));
    let end = change.plus(five).minus(Duration::from_secs(2));
    assert!(verify_at(&tokens, &last, end).is_ok());
    // The key goes when none of its tokens can be good; who has stolen it makes no good ones then.
    // Also if its header is, to the letter, what this server writes.
    let other = json!({"alg": old.algorithm.as_str(), "typ": "JWT", "kid": "old"}).to_string();
    let ours = base64url(last.split('.').next().unwrap()).unwrap();
    assert_ne!(ours, other.as_bytes());
    for header in [ours, other.into_bytes()] {
        let mut claims = claims();
        claims["iat"] = change.as_secs().into();
        claims["exp"] = change.plus(3 * five).as_secs().into();
        let forged = old.signed(&header, claims.to_string().as_bytes());
        assert!(verify_at(&tokens, &forged, end).is_ok());
        let refused = verify_at(&tokens, &forged, change.plus(five));
        assert_eq!(refused, Err(TokenRefusal::ForeignHeader));
    }
}

/// If (r, s) signs a text, so does (r, n - s), which every client can compute. It is no other token: the twin says
/// the same, has the same `jti`, and is revoked with it.
#[test]
fn an_es256_signature_has_a_twin_and_both_are_the_same_token() {
    /// The order of P-256 (FIPS 186-4, D.1.2.3), in base 256.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let bench = benches()
        .find(|bench| bench.algorithm == Algorithm::Es256)
        .unwrap();
    let token = issued(&bench.tokens);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut twin = base64url(signature).unwrap();
    let mut borrow = 0;
    for (digit, order) in twin[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference + 256 * borrow).unwrap();
    }
    let twin = format!("{message}.{}", URL_SAFE_NO_PAD.encode(twin));
    assert_ne!(twin, token);
    assert_eq!(bench.verify(&twin), bench.verify(&token));
    assert!(bench.verify(&twin).is_ok());
}

#[test]
fn another_secret_another_kid_or_another_type_is_refused() {
    for bench in benches() {
        let other = match bench.algorithm {
            Algorithm::Hs256 => TokenKey::hs256(&vec![b'x'; 32].into()),
            pairs => TokenKey::pair(&KeyPair::generate(pairs).unwrap()),
        };
        let token = issued(&tokens_for(&[], &ring("test-key", bench.algorithm, other)));
        assert_eq!(bench.verify(&token), Err(TokenRefusal::BadSignature));

        for (name, value) in [
            ("kid", json!("other-key")),
            ("kid", json!("../../etc/passwd")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!(7)),
            ("kid", Value::Null),
            ("typ", json!("refresh+jwt")),
            ("typ", json!("at+jwt")),
            ("typ", json!("jwt")),
            ("typ", Value::Null),
            ("alg", json!(["HS256"])),
            ("alg", Value::Null),
        ] {
            let mut header = bench.header();
            header[name] = value.clone();
            let refused = bench.verify(&bench.with_header(&header));
            assert_eq!(refused, Err(TokenRefusal::ForeignHeader), "{name}: {value}");
        }
        for name in ["alg", "kid", "typ"] {
            let refused = bench.verify(&bench.with_header(&without(bench.header(), name)));
            assert_eq!(refused, Err(TokenRefusal::ForeignHeader), "no {name}");
        }
    }
}

#[test]
fn keys_in_the_header_extensions_and_nesting_are_refused() {
    for bench in benches() {
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!("https://attacker.example/jwks.json")),
            ("x5u", json!("https://attacker.example/cert.pem")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", json!("exp")),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
            ("x", json!({"y": [[[[]]]]})),
        ] {
            let mut header = bench.header();
            header[name] = value;
            assert_eq!(
                bench.verify(&bench.with_header(&header)),
                Err(TokenRefusal::ForeignHeader),
                "{name}"
            );
        }
        let nested = bench.signed(
            bench.header().to_string().as_bytes(),
            bench.with_claims(&claims()).as_bytes(),
        );
        assert_eq!(bench.verify(&nested), Err(TokenRefusal::BadClaims));
        let jwe = [bench.header().to_string().as_str(), "k", "iv", "text", "tag"]
            .map(|part| URL_SAFE_NO_PAD.encode(part));
        assert_eq!(bench.verify(&jwe.join(".")), Err(TokenRefusal::Malformed));
    }
}

#[test]
fn a_repeated_member_is_refused() {
    for bench in benches() {
        let payload = claims().to_string();
        for header in [
            r#"{"alg":"none","alg":"HS256","typ":"JWT","kid":"test-key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"test-key","kid":"test-key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"test-key","\u0061lg":"HS256"}"#,
        ] {
            let refused = bench.verify(&bench.signed(header.as_bytes(), payload.as_bytes()));
            assert_eq!(refused, Err(TokenRefusal::ForeignHeader), "{header}");
        }
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            let twice = format!("{{\"{name}\":{},{}", claims()[name], &payload[1..]);
            let refused =
                bench.verify(&bench.signed(bench.header().to_string().as_bytes(), twice.as_bytes()));
            assert_eq!(refused, Err(TokenRefusal::BadClaims), "{name}");
        }
    }
}

#[test]
fn every_claim_is_required() {
    for bench in benches() {
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            let refused = bench.verify(&bench.with_claims(&without(claims(), name)));
            assert_eq!(refused, Err(TokenRefusal::BadClaims), "no {name}");
        }
    }
}

#[test]
fn every_claim_has_its_type_and_no_other() {
    for bench in benches() {
        let wrong = [
            json!(null),
            json!(true),
            json!(1.5),
            json!(-1),
            json!("1800000300"),
            json!(["x"]),
            json!([1]),
            json!({"x": 1}),
            json!("x".repeat(1000)),
        ];
        for name in ["iss", "sub", "username", "roles", "iat", "exp", "jti", "sid"] {
            for value in &wrong {
                let right = match name {
                    "roles" => value == &json!(["x"]),
                    "username" => value.is_string(),
                    _ => false,
                };
                let verified = bench.verify(&bench.with_claims(&with(name, value.clone())));
                assert_eq!(verified.is_ok(), right, "{name}: {value}");
            }
        }
        // Numbers that JSON can write and no clock can show.
        for number in [
            "1e3",
            "1.8e9",
            "1800000300.0",
            "1e400",
            "-0",
            "-1",
            "18446744073709551616",
            "1_000",
            "0x1",
            "01",
        ] {
            for name in ["iat", "exp"] {
                let payload = claims().to_string();
                let known = claims()[name].to_string();
                let forged = payload.replace(&format!("\"{name}\":{known}"), &format!("\"{name}\":{number}"));
                assert_ne!(forged, payload);
                let refused =
                    bench.verify(&bench.signed(bench.header().to_string().as_bytes(), forged.as_bytes()));
                assert_eq!(refused, Err(TokenRefusal::BadClaims), "{name}: {number}");
            }
        }
    }
}

#[test]
fn claims_that_are_not_this_servers_are_refused() {
    for bench in benches() {
        for (name, value, why) in [
            ("iss", json!("another-server"), TokenRefusal::WrongIssuer),
            ("iss", json!("JWT-SERVER"), TokenRefusal::WrongIssuer),
            ("aud", json!("somebody"), TokenRefusal::WrongAudience),
            ("aud", json!([]), TokenRefusal::WrongAudience),
            ("aud", json!(7), TokenRefusal::BadClaims),
            ("nbf", json!(0), TokenRefusal::BadClaims),
            ("admin", json!(true), TokenRefusal::BadClaims),
            (
                "sub",
                json!("018F0000-0000-7000-8000-000000000001"),
                TokenRefusal::BadClaims,
            ),
            (
                "sid",
                json!("018f000000007000800000000000000002"),
                TokenRefusal::BadClaims,
            ),
            ("jti", json!("AAAAAAAAAAAAAAAAAAAAAB"), TokenRefusal::BadClaims),
            ("exp", json!(NOW.as_secs()), TokenRefusal::BadClaims),
            ("exp", json!(0), TokenRefusal::BadClaims),
            ("iat", json!(NOW.as_secs() + 1), TokenRefusal::NotYetValid),
        ] {
            let refused = bench.verify(&bench.with_claims(&with(name, value.clone())));
            assert_eq!(refused, Err(why), "{name}: {value}");
        }
    }
}

#[test]
fn an_audience_is_required_exactly_when_one_is_configured() {
    for bench in benches() {
        let ours = tokens_for(&["api", "web"], &bench.ring());
        let verified = |claims: &Value| verify_at(&ours, &bench.with_claims(claims), NOW).map(|_| ());
        assert_eq!(verified(&with("aud", json!("api"))), Ok(()));
        assert_eq!(verified(&with("aud", json!(["other", "web"]))), Ok(()));
        for wrong in [
            claims(),
            with("aud", json!("other")),
            with("aud", json!(["API"])),
            with("aud", json!([])),
        ] {
            assert_eq!(verified(&wrong), Err(TokenRefusal::WrongAudience), "{wrong}");
        }
    }
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for bench in benches() {
        let (head, payload) = (bench.header().to_string(), claims().to_string());
        let values = claims()
            .as_object()
            .unwrap()
            .values()
            .cloned()
            .collect::<Value>()
            .to_string();
        let bad = [
            Vec::new(),
            b"null".to_vec(),
            values.into_bytes(),
            format!("{payload} x").into_bytes(),
            format!("{payload}{payload}").into_bytes(),
            format!("\u{feff}{payload}").into_bytes(),
            payload.replace("ada", "\\ud800").into_bytes(),
            payload[..payload.len() - 1].into(),
            payload.replace("ada", "\u{1}").into_bytes(),
            [b"{\"iss\":\"\xff\"," as &[u8], &payload.as_bytes()[1..]].concat(),
            "[".repeat(5000).into_bytes(),
            "{\"a\":".repeat(1000).into_bytes(),
        ];
        for bytes in bad {
            let shown = String::from_utf8_lossy(&bytes)
                .chars()
                .take(60)
                .collect::<String>();
            let as_payload = bench.verify(&bench.signed(head.as_bytes(), &bytes));
            assert_eq!(as_payload, Err(TokenRefusal::BadClaims), "payload {shown}");
            let as_header = bench.verify(&bench.signed(&bytes, payload.as_bytes()));
            assert_eq!(as_header, Err(TokenRefusal::ForeignHeader), "header {shown}");
        }
    }
}

#[test]
fn a_token_has_three_parts_and_one_spelling() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        let [head, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        for other in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            head.into(),
            format!("{head}.{payload}"),
            format!("{head}.{payload}."),
            format!("{head}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{signature}"),
            format!("{head}.{payload}.{signature}{signature}"),
            format!("{head}.{payload}.{}", &signature[..signature.len() - 1]),
            format!("{head}.{payload}.{}", &signature[..22]),
            format!("{token}="),
            format!("{head}=.{payload}.{signature}"),
            format!("{head}.{payload}==.{signature}"),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{head} .{payload}.{signature}"),
            token.replace('-', "+").replace('_', "/") + "+",
            format!("{head}.{payload}.{}", signature.replace(['-', '_'], "/") + "/"),
            token.to_uppercase(),
            token.repeat(2),
            "a".repeat(1 << 20),
        ] {
            assert!(bench.verify(&other).is_err(), "{other:?}");
        }
    }
}

#[test]
fn a_token_with_any_bit_changed_is_refused() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        assert!(bench.verify(&token).is_ok());
        for place in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                // What is no UTF-8 never gets as far as the verifier.
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    bench.verify(&changed).is_err(),
                    "byte {place}, bit {bit}: {changed}"
                );
            }
        }
    }
}

#[test]
fn every_other_last_character_of_a_signature_is_refused() {
    for bench in benches() {
        let token = issued(&bench.tokens);
        let (start, last) = token.split_at(token.len() - 1);
        let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        for other in alphabet.filter(|c| last != c.to_string()) {
            assert!(bench.verify(&format!("{start}{other}")).is_err(), "{other}");
        }
    }
}

/// The folder with test data that others wrote; `None`, and a word about it, where it is not there.
fn vectors() -> Option<PathBuf> {
    let folder = env::var_os("JWT_SERVER_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: JWT_SERVER_VECTORS does not name the folder with the test vectors");
    }
    folder
}

/// The key of a vector, if its algorithm is one of ours.
fn vector_key(jwk: &Value) -> Option<(Algorithm, TokenKey)> {
    let algorithm = Algorithm::parse(jwk["alg"].as_str().unwrap_or("RS256"))?;
    let bytes = |name: &str| base64url(jwk[name].as_str().unwrap()).unwrap();
    let key = match algorithm {
        Algorithm::Hs256 => return Some((algorithm, TokenKey::hs256(&bytes("k").into()))),
        Algorithm::Rs256 => PublicKey::Rsa {
            n: bytes("n"),
            e: bytes("e"),
        },
        Algorithm::Es256 => PublicKey::P256 {
            x: bytes("x").try_into().unwrap(),
            y: bytes("y").try_into().unwrap(),
        },
        Algorithm::EdDsa => PublicKey::Ed25519 {
            x: bytes("x").try_into().unwrap(),
        },
    };
    Some((algorithm, TokenKey::public(&key)))
}

#[test]
fn wycheproofs_vectors_are_judged_as_it_says() {
    /// Wrong upstream: 367 and 370 are "invalid" but the same bytes as the valid 357; the MAC of 372 and 373, "valid", is
    /// not that of the bytes sent.
    const WRONG_UPSTREAM: [u64; 4] = [367, 370, 372, 373];
    let Some(folder) = vectors() else { return };
    let text = fs::read_to_string(folder.join("wycheproof/json_web_signature_test.json")).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let mut counts = [(0, 0); Algorithm::ALL.len()];
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk = &group["private"];
        // A key's use is for who imports JSON Web Keys to mind; this server imports none.
        if jwk["use"] == "enc" || group["public"]["key_ops"] == json!(["encrypt"]) {
            continue;
        }
        let Some((algorithm, key)) = vector_key(jwk) else {
            continue;
        };
        let keys = ring(jwk["kid"].as_str().unwrap(), algorithm, key);
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            if WRONG_UPSTREAM.contains(&id) {
                continue;
            }
            // The JSON serialisation is an object in the file; it is no compact token either way.
            let jws = test["jws"]
                .as_str()
                .map_or_else(|| test["jws"].to_string(), str::to_owned);
            let accepted = verify_jws(&jws, &keys, NOW).is_ok();
            assert_eq!(
                accepted,
                test["result"] == "valid",
                "tcId {id}: {}",
                test["comment"]
            );
            let (valid, invalid) = &mut counts[Algorithm::ALL.iter().position(|a| *a == algorithm).unwrap()];
            *(if accepted { valid } else { invalid }) += 1;
        }
    }
    let [hs256, _, es256, rs256] = counts;
    assert!(hs256.0 >= 8 && hs256.1 >= 25, "HS256: {hs256:?}");
    assert!(es256.0 >= 2 && es256.1 >= 35, "ES256: {es256:?}");
    assert!(rs256.0 >= 6 && rs256.1 >= 55, "RS256: {rs256:?}");
}

#[test]
fn rfc_7520_sections_4_1_and_4_4_are_accepted() {
    let Some(folder) = vectors() else { return };
    for (file, alg) in [
        ("4_1.rsa_v15_signature.json", "RS256"),
        ("4_4.hmac-sha2_integrity_protection.json", "HS256"),
    ] {
        let text = fs::read_to_string(folder.join("jose-cookbook").join(file)).unwrap();
        let example: Value = serde_json::from_str(&text).unwrap();
        let mut jwk = example["input"]["key"].clone();
        jwk["alg"] = alg.into();
        let (algorithm, key) = vector_key(&jwk).unwrap();
        let keys = ring(jwk["kid"].as_str().unwrap(), algorithm, key);
        let (_, payload, _) = verify_jws(example["output"]["compact"].as_str().unwrap(), &keys, NOW).unwrap();
        assert_eq!(payload, example["input"]["payload"].as_str().unwrap().as_bytes());
    }
}

/// RFC 8037, appendix A.4 and A.5. Its header has no `kid`, which this server asks for; so the signature alone.
#[test]
fn rfc_8037_appendix_a_4_is_accepted() {
    let x = base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let key = TokenKey::public(&PublicKey::Ed25519 {
        x: x.try_into().unwrap(),
    });
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(key.verifies(signature, message));
    assert!(!key.verifies(signature, &message[1..]));
}
