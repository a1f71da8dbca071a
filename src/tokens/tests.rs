//! Attacks on the verifier alone: the whitelist would refuse all of these as well, and so hide a broken check. Each is tried
//! on every algorithm.

mod claims;
mod keys;
mod vectors;

use std::{
    fs,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Timestamp,
    config::Config,
    domain::{
        Algorithm, BearerToken, KeyRing, PasswordHash, Role, SessionId, TokenId, TokenRecord, User, Username,
    },
    keys::KeyPair,
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
    let hash = PasswordHash::parse(&format!("$2b$04${}", ".".repeat(53))).unwrap();
    let roles = [Role::CLIENT, Role::ADMIN].into_iter().collect();
    User::new(Username::parse("ada").unwrap(), hash, roles, NOW)
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
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
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
    assert_eq!(URL_SAFE_NO_PAD.decode(ids[0].to_string()).unwrap().len(), 16);
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
fn a_token_shows_the_machines_time_and_is_judged_by_the_servers() {
    let (ahead, five) = (Duration::from_hours(20), Duration::from_mins(5));
    for bench in benches() {
        let tokens = tokens_for(&[], &bench.ring());
        let record = TokenRecord::issue(NOW, five, NOW.plus(five));
        let token = tokens
            .sign(&user(), SessionId::generate(NOW), record, ahead)
            .unwrap();
        let payload = token.expose_secret().split('.').nth(1).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
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
