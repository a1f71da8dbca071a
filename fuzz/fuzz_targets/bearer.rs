//! The `Authorization` header: for any bytes in it, the target says which answer is right.
//!
//! The first byte chooses the route. The rest is the value of the header; a line feed begins another header. Bytes that no
//! header can have stand for what a fuzzer can't guess:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` `02` `03` | the header, the payload, the signature of an accepted token |
//! | `04` | an accepted token |
//! | `05` | a token of a session that was logged out |
//! | `06` | a token that has expired |
//! | `07` | an accepted token of another server with the same key |
//! | `08` | an API token |
//! | `0b` | an API token that was revoked |
//! | `0c` `0e` | the first and the second half of an accepted token |
//!
//! The judge is the grammar of RFC 9110, section 11.4, and RFC 6750, section 2.1, one byte after the other, and the list of the
//! tokens that the server issued.

#![no_main]

use std::cell::OnceCell;

use jwt_server::domain::BearerToken;
use jwt_server_fuzz::{NAME, Server};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;
use warp::http::{HeaderValue, Request, StatusCode, header::AUTHORIZATION};

/// The longest text that is a token.
const MAX_TOKEN: usize = 8192;

struct World {
    server: Server,
    good: String,
    logged_out: String,
    expired: String,
    foreign: String,
    api_token: String,
    revoked: String,
}

impl World {
    fn new() -> Self {
        let server = Server::new(|_| {});
        let expired = server.sign_in();
        server.advance(300);
        let logged_out = server.sign_in();
        server.log_out(&logged_out);
        let other = Server::new(|_| {});
        other.advance(300);
        let good = server.sign_in();
        let api_token = |name: &str| {
            let wanted = json!({"name": name, "roles": ["CLIENT"], "expires_in": 86_400});
            let made = server.post("/me/tokens", Some(&good), &wanted);
            assert_eq!(made.status, StatusCode::CREATED);
            (made.text("token"), made.text("id"))
        };
        let (api_token, (revoked, id)) = (api_token("one").0, api_token("two"));
        let end =
            Request::delete(format!("/me/sessions/{id}")).header(AUTHORIZATION, format!("Bearer {good}"));
        let ended = server.send(end.body(Vec::new()).expect("a request"));
        assert_eq!(ended.status, StatusCode::NO_CONTENT);
        Self {
            good,
            foreign: other.sign_in(),
            server,
            logged_out,
            expired,
            api_token,
            revoked,
        }
    }

    fn value(&self, template: &[u8]) -> Vec<u8> {
        let parts: Vec<_> = self.good.split('.').collect();
        let (first, second) = self.good.split_at(self.good.len() / 2);
        let mut value = Vec::new();
        for byte in template {
            let known = match byte {
                0x01..=0x03 => parts[usize::from(byte - 1)],
                0x04 => &self.good,
                0x05 => &self.logged_out,
                0x06 => &self.expired,
                0x07 => &self.foreign,
                0x08 => &self.api_token,
                0x0b => &self.revoked,
                0x0c => first,
                0x0e => second,
                other => {
                    value.push(*other);
                    continue;
                }
            };
            value.extend(known.as_bytes());
        }
        value
    }

    /// The status and the code of the right answer to these values on `path`.
    fn right_answer(&self, values: &[Vec<u8>], path: &str) -> (u16, &'static str) {
        let [value] = values else { return MALFORMED };
        match read(value) {
            Credential::None => (401, "missing_token"),
            Credential::Malformed => MALFORMED,
            Credential::Token(token) if token == self.good => (200, ""),
            Credential::Token(token) if token != self.api_token => (401, "invalid_token"),
            Credential::Token(_) if path == "/refresh" => (403, "session_required"),
            Credential::Token(_) => (200, ""),
        }
    }
}

const MALFORMED: (u16, &str) = (400, "invalid_request");

enum Credential {
    None,
    Malformed,
    Token(String),
}

/// What the value of an `Authorization` header says. White space is a space or a tab.
fn read(value: &[u8]) -> Credential {
    enum State {
        Scheme,
        Before,
        Token,
        Padding,
        After,
    }
    let (mut state, mut scheme, mut token) = (State::Scheme, String::new(), String::new());
    let mut is_token = true;
    for byte in value {
        let c = match byte {
            b' '..=b'~' | b'\t' => char::from(*byte),
            _ => return Credential::Malformed,
        };
        let is_space = c == ' ' || c == '\t';
        let is_in_token = c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        state = match state {
            State::Scheme if is_space => State::Before,
            State::Scheme => {
                scheme.push(c.to_ascii_lowercase());
                State::Scheme
            }
            State::Before if is_space => State::Before,
            State::Before | State::Token if is_in_token => {
                token.push(c);
                State::Token
            }
            State::Token | State::Padding if c == '=' => {
                token.push(c);
                State::Padding
            }
            State::Token | State::Padding | State::After if is_space => State::After,
            _ => {
                is_token = false;
                State::After
            }
        };
    }
    match scheme.as_str() {
        "" => Credential::Malformed,
        "bearer" if !is_token || token.len() > MAX_TOKEN => Credential::Malformed,
        "bearer" if !token.is_empty() => Credential::Token(token),
        _ => Credential::None,
    }
}

const ROUTES: [(&str, &str); 6] = [
    ("GET", "/me"),
    ("GET", "/welcome"),
    ("GET", "/refresh"),
    ("POST", "/refresh"),
    ("HEAD", "/me"),
    ("HEAD", "/welcome"),
];

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, rest)) = input.split_first() else {
        return Corpus::Reject;
    };
    WORLD.with(|world| attack(world.get_or_init(World::new), *choice, rest))
});

fn attack(world: &World, choice: u8, rest: &[u8]) -> Corpus {
    let (method, path) = ROUTES[usize::from(choice) % ROUTES.len()];
    let values: Vec<_> = rest
        .split(|byte| *byte == b'\n')
        .map(|template| world.value(template))
        .collect();
    let mut request = Request::builder().method(method).uri(path);
    for value in &values {
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return Corpus::Reject;
        };
        request = request.header(AUTHORIZATION, value);
    }
    let answer = world.server.send(request.body(Vec::new()).expect("a request"));

    let expected = world.right_answer(&values, path);
    if method == "HEAD" && answer.body.is_empty() {
        assert_eq!(answer.status.as_u16(), expected.0, "{values:?}");
        return Corpus::Keep;
    }
    if answer.status.is_success() {
        assert_eq!((answer.status.as_u16(), ""), expected, "accepted: {values:?}");
        match (method, path) {
            ("GET", "/me") => assert_eq!(answer.json()["username"], NAME),
            (_, "/refresh") => assert_eq!(answer.json()["access_token"], *world.good),
            _ => {}
        }
    } else {
        let (status, code) = answer.outcome();
        assert_eq!((status, code.as_str()), expected, "refused: {values:?}");
    }
    // The type that the token becomes keeps every byte of it.
    if let Ok(text) = std::str::from_utf8(rest)
        && let Some(token) = BearerToken::parse(text)
    {
        assert_eq!(token.expose(), text);
    }
    Corpus::Keep
}
