//! Tokens with a valid signature: header and claims from the fuzzer, signed with the server's own key. A token is accepted if
//! and only if it says what a token of the server says.
//!
//! The input is the header, a `00`, and the claims. Bytes that no JSON can have stand for what only the server knows:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` | the `kid` |
//! | `02` `03` `04` | `sub`, `sid` and `jti` of an accepted token |
//! | `05` `06` | its `iat` and `exp` |
//! | `07` `08` | `sid` and `jti` of another session of the same user |
//! | `0b` `0c` `0e` | `sub`, `sid` and `jti` of a token of another user |
//! | `0f` `10` | `sid` and `jti` of a session that was logged out |
//!
//! The judge reads header and claims with a reader of JSON of its own, and compares them with the tokens that were issued.

#![no_main]

use std::cell::OnceCell;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use jwt_server_fuzz::{
    NAME, SECRET, Server,
    json::{self, Json},
};
use libfuzzer_sys::{Corpus, fuzz_target};
use warp::http::{Request, header::AUTHORIZATION};

const ANOTHER: &str = "grace";
/// The longest text that is a token.
const MAX_TOKEN: usize = 8192;

struct World {
    server: Server,
    key: EncodingKey,
    kid: String,
    first: Issued,
    second: Issued,
    others: Issued,
    ended: Issued,
}

/// The claims of a token that the server issued.
struct Issued {
    username: &'static str,
    sub: String,
    sid: String,
    jti: String,
    iat: String,
    exp: String,
}

impl World {
    fn new() -> Self {
        let server = Server::new(|_| {});
        server.sign_up(ANOTHER);
        let (first, ended) = (server.sign_in(), server.sign_in());
        server.log_out(&ended);
        let kid = claim(&part(&first, 0), "kid");
        Self {
            kid,
            first: Issued::of(&first, NAME),
            second: Issued::of(&server.sign_in(), NAME),
            others: Issued::of(&server.sign_in_as(ANOTHER), ANOTHER),
            ended: Issued::of(&ended, NAME),
            key: EncodingKey::from_secret(SECRET),
            server,
        }
    }

    fn fill(&self, template: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for byte in template {
            let known = match byte {
                0x01 => &self.kid,
                0x02 => &self.first.sub,
                0x03 => &self.first.sid,
                0x04 => &self.first.jti,
                0x05 => &self.first.iat,
                0x06 => &self.first.exp,
                0x07 => &self.second.sid,
                0x08 => &self.second.jti,
                0x0b => &self.others.sub,
                0x0c => &self.others.sid,
                0x0e => &self.others.jti,
                0x0f => &self.ended.sid,
                0x10 => &self.ended.jti,
                other => {
                    text.push(*other);
                    continue;
                }
            };
            text.extend(known.bytes());
        }
        text
    }

    /// The issued token that has this header and these claims, which is accepted.
    fn accepted(&self, header: &[u8], claims: &[u8]) -> Option<&Issued> {
        let expected = [("alg", "HS256"), ("typ", "JWT"), ("kid", &self.kid)];
        let header = members(header)?;
        let is_written = |(name, text): (&str, &str)| {
            let is_it = |(own, value): &(String, Json)| own == name && value.text() == Some(text);
            header.iter().filter(|member| is_it(member)).count() == 1
        };
        if header.len() != expected.len() || !expected.into_iter().all(is_written) {
            return None;
        }
        let tokens = [&self.first, &self.second, &self.others];
        let claims = members(claims)?;
        tokens.into_iter().find(|issued| issued.says(&claims))
    }
}

impl Issued {
    fn of(token: &str, username: &'static str) -> Self {
        let claims = part(token, 1);
        let read = |name: &str| claim(&claims, name);
        Self {
            username,
            sub: read("sub"),
            sid: read("sid"),
            jti: read("jti"),
            iat: read("iat"),
            exp: read("exp"),
        }
    }

    /// Whether these are the claims of this token. The server reads name and roles from its store, so a token may say any.
    fn says(&self, claims: &[(String, Json)]) -> bool {
        let is_expected = |(name, value): &(String, Json)| match (name.as_str(), value) {
            ("iss", Json::Text(text)) => text == "jwt-server",
            ("sub", Json::Text(text)) => *text == self.sub,
            ("sid", Json::Text(text)) => *text == self.sid,
            ("jti", Json::Text(text)) => *text == self.jti,
            ("iat", Json::Number(digits)) => *digits == self.iat,
            ("exp", Json::Number(digits)) => *digits == self.exp,
            ("username", Json::Text(_)) | ("aud", Json::Null) => true,
            ("roles", Json::List(roles)) => roles.iter().all(|role| role.text().is_some()),
            (name, value) => is_attribute(name, value),
        };
        let stands_once = |name: &str| claims.iter().filter(|(own, _)| own == name).count() == 1;
        let required = ["iss", "sub", "sid", "jti", "iat", "exp", "username", "roles"];
        claims.iter().all(|(name, _)| stands_once(name))
            && required.into_iter().all(stands_once)
            && claims.iter().all(is_expected)
    }
}

/// Whether a claim can be an attribute of the user.
fn is_attribute(name: &str, value: &Json) -> bool {
    let own = [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "sid",
        "username",
        "roles",
        "scope",
        "client_id",
        "active",
        "token_type",
        "typ",
        "azp",
        "nonce",
        "auth_time",
        "acr",
        "amr",
        "act",
        "may_act",
        "cnf",
        "at_hash",
        "c_hash",
        "s_hash",
    ];
    let is_text = |value: &Json| value.text().is_some_and(|text| !text.contains(char::is_control));
    let is_value = match value {
        Json::List(values) => values.iter().all(is_text),
        Json::Number(_) | Json::Bool(_) => true,
        value => is_text(value),
    };
    let has_form = name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    has_form && is_value && !own.contains(&name)
}

fn members(text: &[u8]) -> Option<Vec<(String, Json)>> {
    match json::read(text)?.value {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

fn part(token: &str, at: usize) -> Json {
    let part = token.split('.').nth(at).expect("three parts");
    let part = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    json::read(&part).expect("JSON").value
}

fn claim(part: &Json, name: &str) -> String {
    match part.member(name) {
        Some(Json::Text(text) | Json::Number(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(middle) = input.iter().position(|byte| *byte == 0) else {
        return Corpus::Reject;
    };
    let (header, claims) = (&input[..middle], &input[middle + 1..]);
    WORLD.with(|world| attack(world.get_or_init(World::new), header, claims));
    Corpus::Keep
});

fn attack(world: &World, header: &[u8], claims: &[u8]) {
    let (header, claims) = (world.fill(header), world.fill(claims));
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(&header),
        URL_SAFE_NO_PAD.encode(&claims)
    );
    let signature = crypto::sign(signed.as_bytes(), &world.key, Algorithm::HS256).expect("a signature");
    let token = format!("{signed}.{signature}");
    let request = Request::get("/me").header(AUTHORIZATION, format!("Bearer {token}"));
    let answer = world.server.send(request.body(Vec::new()).expect("a request"));

    let (status, code) = answer.outcome();
    let outcome = (status, code.as_str());
    if token.len() > MAX_TOKEN {
        return assert_eq!(outcome, (400, "invalid_request"));
    }
    let Some(issued) = world.accepted(&header, &claims) else {
        return assert_eq!(outcome, (401, "invalid_token"));
    };
    assert_eq!(outcome, (200, ""), "a token of the server was refused");
    let me = answer.json();
    assert_eq!(
        (&me["username"], &me["session_id"]),
        (&issued.username.into(), &issued.sid.as_str().into())
    );
}
