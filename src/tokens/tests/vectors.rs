//! Tokens that other projects signed or forged.

use std::{env, fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{keys::PublicKey, tokens::jws::verify_jws};

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
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
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
    let x = URL_SAFE_NO_PAD
        .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .unwrap();
    let key = TokenKey::public(&PublicKey::Ed25519 {
        x: x.try_into().unwrap(),
    });
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(key.verifies(signature, message));
    assert!(!key.verifies(signature, &message[1..]));
}
