//! The `Authorization` header: nothing but a token that is good now opens a door, whatever is put around or into it.
//!
//! The first byte chooses the route. The rest is the header's value; a line feed begins another one. Bytes that no
//! header has stand for what no fuzzer could find out:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` `02` `03` | the header, the payload, the signature of a good token |
//! | `04` | a good token, whole |
//! | `05` | a token that has been logged out |
//! | `06` | a token that has expired |
//! | `07` | a good token of another server with the same key |

#![no_main]

use std::cell::OnceCell;

use jwt_server::domain::BearerToken;
use jwt_server_fuzz::{NAME, Server};
use libfuzzer_sys::{Corpus, fuzz_target};
use warp::http::{HeaderValue, Request, StatusCode, header::AUTHORIZATION};

struct World {
    server: Server,
    good: String,
    logged_out: String,
    expired: String,
    foreign: String,
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
        Self {
            good: server.sign_in(),
            foreign: other.sign_in(),
            server,
            logged_out,
            expired,
        }
    }

    fn value(&self, template: &[u8]) -> Vec<u8> {
        let parts: Vec<_> = self.good.split('.').collect();
        let mut value = Vec::new();
        for byte in template {
            match byte {
                1..=3 => value.extend(parts[usize::from(byte - 1)].as_bytes()),
                4 => value.extend(self.good.as_bytes()),
                5 => value.extend(self.logged_out.as_bytes()),
                6 => value.extend(self.expired.as_bytes()),
                7 => value.extend(self.foreign.as_bytes()),
                other => value.push(*other),
            }
        }
        value
    }

    /// Whether these values are one, of the scheme Bearer, with exactly the good token.
    fn is_good(&self, values: &[HeaderValue]) -> bool {
        let [value] = values else { return false };
        let Ok(text) = value.to_str() else { return false };
        let (Some(scheme), Some(rest)) = (text.get(..6), text.get(6..)) else {
            return false;
        };
        let token = rest.trim_matches([' ', '\t']);
        scheme.eq_ignore_ascii_case("bearer") && rest.starts_with([' ', '\t']) && token == self.good
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
    let values = rest
        .split(|byte| *byte == b'\n')
        .map(|template| HeaderValue::from_bytes(&world.value(template)));
    let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
        return Corpus::Reject;
    };

    let mut request = Request::builder().method(method).uri(path);
    for value in &values {
        request = request.header(AUTHORIZATION, value);
    }
    let answer = world.server.send(request.body(Vec::new()).expect("a request"));
    if answer.status.is_success() {
        assert!(world.is_good(&values), "accepted: {values:?}");
        assert_eq!(answer.status, StatusCode::OK);
        match (method, path) {
            ("GET", "/me") => assert_eq!(answer.json()["username"], NAME),
            (_, "/refresh") => assert_eq!(answer.json()["access_token"], *world.good),
            _ => {}
        }
    } else {
        // The good token with a tab is refused or granted, as the grammar has it; with spaces it is always granted.
        assert!(!world.is_good(&values) || has_tab(&values), "refused: {values:?}");
        assert!(matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
        ));
    }
    // The type that the token becomes keeps every byte of it.
    if let Ok(text) = std::str::from_utf8(rest) {
        if let Some(token) = BearerToken::parse(text) {
            assert_eq!(token.expose(), text);
        }
    }
    Corpus::Keep
}

fn has_tab(values: &[HeaderValue]) -> bool {
    values.iter().any(|value| value.as_bytes().contains(&b'\t'))
}
