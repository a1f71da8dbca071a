//! Which key verifies a token: the one that it names, with that key's own algorithm.

use std::{fs, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Jwa, EncodingKey, crypto};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::keys::PublicKey;

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
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap())
                .unwrap();
        header["kid"].as_str().unwrap().to_owned()
    };
    let last = sign(change.minus(Duration::from_secs(1)));
    assert_eq!((kid(&last), kid(&sign(change))), ("old".into(), "new".into()));
    let end = change.plus(five).minus(Duration::from_secs(2));
    assert!(verify_at(&tokens, &last, end).is_ok());
    // The key goes when none of its tokens can be good; who has stolen it makes no good ones then.
    // Also if its header is, to the letter, what this server writes.
    let other = json!({"alg": old.algorithm.as_str(), "typ": "JWT", "kid": "old"}).to_string();
    let ours = URL_SAFE_NO_PAD.decode(last.split('.').next().unwrap()).unwrap();
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
    let mut twin = URL_SAFE_NO_PAD.decode(signature).unwrap();
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
