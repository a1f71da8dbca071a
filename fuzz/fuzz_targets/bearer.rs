//! The `Authorization` header: only a token that is accepted now grants access, for any bytes around it or in it.
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

    /// Whether there is one value, of the scheme Bearer, with exactly the accepted token.
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
        // The grammar decides whether the accepted token with a tab is granted. With spaces it is always granted.
        assert!(!world.is_good(&values) || has_tab(&values), "refused: {values:?}");
        assert!(matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
        ));
    }
    // The type that the token becomes keeps every byte of it.
    if let Ok(text) = std::str::from_utf8(rest)
        && let Some(token) = BearerToken::parse(text)
    {
        assert_eq!(token.expose(), text);
    }
    Corpus::Keep
}

fn has_tab(values: &[HeaderValue]) -> bool {
    values.iter().any(|value| value.as_bytes().contains(&b'\t'))
}
