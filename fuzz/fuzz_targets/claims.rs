//! Tokens with a valid signature: header and claims from the fuzzer, signed with the server's own key.
//!
//! The input is the header, a `00`, and the claims. Bytes that no JSON can have stand for what only the server knows:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` | the `kid` |
//! | `02` `03` `04` | `sub`, `sid` and `jti` of an accepted token |
//! | `05` `06` | its `iat` and `exp` |

#![no_main]

use std::cell::OnceCell;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use jwt_server_fuzz::{NAME, SECRET, Server};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use warp::http::{Request, StatusCode, header::AUTHORIZATION};

struct World {
    server: Server,
    key: EncodingKey,
    header: Value,
    claims: Value,
}

impl World {
    fn new() -> Self {
        let server = Server::new(|_| {});
        let token = server.sign_in();
        let part = |n: usize| {
            let part = token.split('.').nth(n).expect("three parts");
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
        };
        Self {
            header: part(0),
            claims: part(1),
            key: EncodingKey::from_secret(SECRET),
            server,
        }
    }

    fn fill(&self, template: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for byte in template {
            match byte {
                1 => text.extend(plain(&self.header["kid"]).bytes()),
                2 => text.extend(plain(&self.claims["sub"]).bytes()),
                3 => text.extend(plain(&self.claims["sid"]).bytes()),
                4 => text.extend(plain(&self.claims["jti"]).bytes()),
                5 => text.extend(plain(&self.claims["iat"]).bytes()),
                6 => text.extend(plain(&self.claims["exp"]).bytes()),
                other => text.push(*other),
            }
        }
        text
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(middle) = input.iter().position(|byte| *byte == 0) else {
        return Corpus::Reject;
    };
    let (header, claims) = (&input[..middle], &input[middle + 1..]);
    WORLD.with(|world| attack(world.get_or_init(World::new), header, claims))
});

fn attack(world: &World, header: &[u8], claims: &[u8]) -> Corpus {
    let (header, claims) = (world.fill(header), world.fill(claims));
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(&header),
        URL_SAFE_NO_PAD.encode(&claims)
    );
    let signature = crypto::sign(signed.as_bytes(), &world.key, Algorithm::HS256).expect("a signature");
    let value = format!("Bearer {signed}.{signature}");
    let request = Request::get("/me").header(AUTHORIZATION, value);
    let answer = world.server.send(request.body(Vec::new()).expect("a request"));
    if answer.status != StatusCode::OK {
        // A text longer than a token can be is malformed; a shorter one has the form of a token.
        let too_long = signed.len() + 1 + signature.len() > 8192;
        assert_eq!(
            answer.status,
            if too_long {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::UNAUTHORIZED
            }
        );
        return Corpus::Keep;
    }
    assert_eq!(answer.json()["username"], NAME);
    let (header, claims) = (object(&header), object(&claims));
    for (name, value) in header.as_object().expect("the header is an object") {
        assert_eq!(*value, world.header[name], "{name} of the header");
    }
    assert_eq!(header.as_object().map(|header| header.len()), Some(3));
    for name in ["iss", "sub", "sid", "jti", "iat", "exp"] {
        assert_eq!(claims[name], world.claims[name], "{name}");
    }
    // The server reads these from its store, so they may have any value of their type.
    assert!(claims["username"].is_string());
    assert!(
        claims["roles"]
            .as_array()
            .is_some_and(|roles| roles.iter().all(Value::is_string))
    );
    let others = claims.as_object().expect("the claims are an object");
    let null_audience = others.get("aud").is_some_and(Value::is_null);
    assert_eq!(others.len(), 8 + usize::from(null_audience));
    Corpus::Keep
}

fn object(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("what was accepted is JSON")
}
