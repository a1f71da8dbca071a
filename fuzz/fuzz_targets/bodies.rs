//! The bodies of sign-up and sign-in: only exactly a username and a password succeeds.
//!
//! The first byte chooses the route (its lowest bit) and how many bytes a chunk of the body has; the rest is the body.

#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use jwt_server_fuzz::{NAME, PASSWORD, Server};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use warp::http::{Request, StatusCode, header::CONTENT_TYPE};

/// How many sign-ups succeed before the target makes a new server: a longer run would fill the disk.
const MANY: u32 = 2000;

thread_local! {
    static SERVER: RefCell<Option<(Server, u32)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, body)) = input.split_first() else {
        return Corpus::Reject;
    };
    SERVER.with_borrow_mut(|slot| {
        let (server, signed_up) = slot.get_or_insert_with(|| (Server::new(|_| {}), 0));
        let status = attack(server, *choice, body);
        *signed_up += u32::from(status == StatusCode::CREATED);
        if *signed_up == MANY {
            *slot = None;
        }
    });
    Corpus::Keep
});

fn attack(server: &Server, choice: u8, body: &[u8]) -> StatusCode {
    let path = if choice & 1 == 0 { "/signup" } else { "/signin" };
    let chunk = usize::from(choice >> 1).max(1);
    let chunks = body
        .chunks(if chunk == 127 { usize::MAX } else { chunk })
        .map(Bytes::copy_from_slice);
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    let answer = server.send(request.body(chunks.collect()).expect("a request"));

    match (path, answer.status.as_u16()) {
        ("/signup", 201) => {
            let (username, password) = fields(body);
            assert!(
                is_username(&username) && is_password(&password),
                "{username:?} {password:?}"
            );
            let made = answer.json();
            assert_eq!(made["username"], username.trim().to_ascii_lowercase());
            assert_eq!(made["roles"], serde_json::json!(["CLIENT"]));
            assert!(made.as_object().is_some_and(|made| made.len() == 4));
        }
        ("/signup", 409) => {
            let (username, _) = fields(body);
            assert!(is_username(&username), "{username:?}");
        }
        ("/signin", 200) => {
            let (username, password) = fields_of_sign_in(body);
            // Another name may be that of a user who has signed up since.
            let is_first = username.trim().eq_ignore_ascii_case(NAME);
            assert!(!is_first || password == PASSWORD, "{username:?} {password:?}");
            assert!(is_username(&username) && is_password(&password));
            assert_eq!(answer.json()["token_type"], "Bearer");
        }
        ("/signin", 401) => {
            let (username, password) = fields_of_sign_in(body);
            assert!(
                username != NAME || password != PASSWORD,
                "the right password was refused"
            );
        }
        (_, 413) => assert!(body.len() > 16 << 10),
        (_, 400) => assert!(
            serde_json::from_slice::<Map<String, Value>>(body).is_err() || is_ambiguous(&answer.json())
        ),
        (_, 422) => {
            let problem = answer.json();
            assert!(
                problem["errors"]
                    .as_array()
                    .is_some_and(|errors| !errors.is_empty()),
                "{problem}"
            );
        }
        (path, status) => panic!("{path} answered {status}"),
    }
    answer.status
}

/// Whether the body has a name twice or too many fields, which a lenient JSON reader accepts.
fn is_ambiguous(problem: &Value) -> bool {
    let detail = problem["detail"].as_str().unwrap_or_default();
    detail.contains("twice") || detail.contains("too many")
}

/// The username and the password, which must be the only fields but for a device token.
fn fields_of_sign_in(body: &[u8]) -> (String, String) {
    let mut object: Map<String, Value> = serde_json::from_slice(body).expect("what was read is a JSON object");
    let device_token = object.remove("device_token").unwrap_or_default();
    assert!(device_token.is_string() || device_token.is_null(), "{device_token}");
    two_fields(&object)
}

/// The username and the password, which must be the only fields.
fn fields(body: &[u8]) -> (String, String) {
    two_fields(&serde_json::from_slice(body).expect("what was read is a JSON object"))
}

fn two_fields(object: &Map<String, Value>) -> (String, String) {
    let text = |name: &str| {
        object
            .get(name)
            .and_then(Value::as_str)
            .expect("a string")
            .to_owned()
    };
    assert_eq!(object.len(), 2, "{object:?}");
    (text("username"), text("password"))
}

fn is_username(text: &str) -> bool {
    let name = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-'".contains(c);
    (2..=64).contains(&name.len())
        && name.chars().all(allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_password(text: &str) -> bool {
    let text: String = text.nfc().collect();
    text.chars().count() >= 8 && text.len() <= 71 && !text.contains('\0')
}
