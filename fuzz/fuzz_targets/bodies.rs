//! The bodies of sign-up and sign-in: for each body, the target says which answer is right.
//!
//! The lowest bit of the first byte chooses the route, the next one whether weak passwords are refused, and the others how many
//! bytes a chunk of the body has. The rest is the body.
//!
//! The judge is a model of the page `docs/api.md`: a reader of JSON of its own, the rules for names and passwords, and the users
//! that have signed up. What it shares with the server is the crate that normalises passwords.

#![no_main]

use std::{cell::RefCell, collections::HashMap};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use jwt_server_fuzz::{
    Answer, NAME, PASSWORD, Server,
    json::{self, Json},
};
use libfuzzer_sys::{Corpus, fuzz_target};
use unicode_normalization::UnicodeNormalization;
use warp::http::{Request, header::CONTENT_TYPE};

/// How many requests succeed before the target makes a new server: a longer run would fill the disk.
const MANY: u32 = 2000;
/// The longest body and the most fields. The fuzzer would seldom reach the default length.
const MAX_BODY: usize = 2048;
const MAX_FIELDS: usize = 16;

/// The page that clients read. A field that it shows for a route may be one of the route, although the model knows nothing of it.
const PAGE: &str = include_str!("../../docs/api.md");
const OPTIONAL: &str = "device_token";
const INVITATION: &str = "invitation";
/// Fields that the page shows for these routes and that they must not accept.
const REFUSED: [&str; 3] = ["roles", "id", "created_at"];

/// A server, and what the model knows of it.
struct World {
    server: Server,
    refuses_weak: bool,
    /// The password of each user, in its normal form.
    users: HashMap<String, String>,
    succeeded: u32,
}

impl World {
    fn new(refuses_weak: bool) -> Self {
        let server = Server::new(|config| {
            config.server.max_body = MAX_BODY;
            config.password.min_strength = if refuses_weak { 2 } else { 0 };
        });
        Self {
            server,
            refuses_weak,
            users: HashMap::from([(NAME.to_owned(), PASSWORD.to_owned())]),
            succeeded: 0,
        }
    }
}

thread_local! {
    static WORLDS: RefCell<[Option<World>; 2]> = const { RefCell::new([None, None]) };
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, body)) = input.split_first() else {
        return Corpus::Reject;
    };
    let is_sign_up = choice & 1 == 0;
    let refuses_weak = choice & 2 != 0;
    let chunk = match choice >> 2 {
        63 => usize::MAX,
        chunk => usize::from(chunk).max(1),
    };
    WORLDS.with_borrow_mut(|worlds| {
        let slot = &mut worlds[usize::from(refuses_weak)];
        let world = slot.get_or_insert_with(|| World::new(refuses_weak));
        let path = if is_sign_up { "/signup" } else { "/signin" };
        let answer = send(&world.server, path, chunk, body);
        judge(world, path, body, &answer);
        world.succeeded += u32::from(answer.status.is_success());
        if world.succeeded == MANY {
            *slot = None;
        }
    });
    Corpus::Keep
});

/// The answer to `body`. If the server says when to try again, the answer at that moment, which must be another one.
fn send(server: &Server, path: &str, chunk: usize, body: &[u8]) -> Answer {
    let ask = || {
        let chunks = body.chunks(chunk).map(Bytes::copy_from_slice);
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        server.send(request.body(chunks.collect()).expect("a request"))
    };
    let answer = ask();
    if answer.status.as_u16() != 429 {
        return answer;
    }
    let wait = answer.retry_after();
    assert!(
        (1..=24 * 60 * 60).contains(&wait),
        "to be sent again after {wait} s"
    );
    server.advance(wait);
    let answer = ask();
    assert_ne!(answer.status.as_u16(), 429, "the client waited {wait} s");
    answer
}

/// Fails unless `answer` is right.
fn judge(world: &mut World, path: &str, body: &[u8], answer: &Answer) {
    let (status, code) = answer.outcome();
    let outcome = (status, code.as_str());
    if body.len() > MAX_BODY {
        return assert_eq!(outcome, (413, "body_too_large"));
    }
    let malformed = (400, "malformed_json");
    let Some(document) = json::read(body) else {
        return assert_eq!(outcome, malformed);
    };
    let Json::Object(members) = &document.value else {
        return assert_eq!(outcome, malformed);
    };
    let stands_twice =
        |(at, (name, _)): (usize, &(String, Json))| members[..at].iter().any(|(own, _)| own == name);
    if members.len() > MAX_FIELDS || members.iter().enumerate().any(stands_twice) {
        return assert_eq!(outcome, malformed);
    }
    if document.is_extreme && outcome == malformed {
        return;
    }

    let username = document.value.member("username");
    let password = document.value.member("password");
    let texts = username.and_then(Json::text).zip(password.and_then(Json::text));
    let mut wrong = vec![];
    for (name, value) in [("username", username), ("password", password)] {
        match value {
            None => wrong.push((name, vec!["required"])),
            Some(Json::Text(text)) if path == "/signup" => {
                let faults = if name == "username" {
                    faults_of_name(text)
                } else {
                    faults_of_password(text)
                };
                wrong.extend((!faults.is_empty()).then_some((name, faults)));
            }
            Some(Json::Text(_)) => {}
            Some(_) => wrong.push((name, vec!["wrong_type"])),
        }
    }
    // A field that sign-in takes, and that changes none of these answers.
    if path == "/signin"
        && !matches!(
            document.value.member(OPTIONAL),
            None | Some(Json::Text(_) | Json::Null)
        )
    {
        wrong.push((OPTIONAL, vec!["wrong_type"]));
    }
    let others = members.iter().map(|(name, _)| name.as_str());
    let (shown, unknown): (Vec<_>, Vec<_>) = others
        .filter(|name| !["username", "password"].contains(name))
        .filter(|name| path != "/signin" || *name != OPTIONAL)
        .partition(|name| is_shown(path, name));
    wrong.extend(unknown.into_iter().map(|name| (name, vec!["unknown"])));
    if !wrong.is_empty() || (status == 422 && !shown.is_empty()) {
        assert_eq!(outcome, (422, "invalid_field"), "{wrong:?}");
        return judge_errors(answer, wrong, &shown);
    }

    // The target makes no invitation, so none is good.
    if path == "/signup" && matches!(document.value.member(INVITATION), Some(Json::Text(_))) {
        return assert_eq!(outcome, (403, "invalid_invitation"));
    }
    let (username, password) = texts.expect("two texts");
    let username = folded(username);
    let password = normal(password);
    let known = world.users.get(&username);
    if path == "/signin" {
        if known != Some(&password) {
            return assert_eq!(outcome, (401, "invalid_credentials"));
        }
        assert_eq!(status, 200, "the right password was refused: {code}");
        assert_eq!(answer.json()["token_type"], "Bearer");
        return assert_eq!(user_of(&answer.text("access_token")), username);
    }
    if world.refuses_weak && status == 422 {
        let weak = vec![("password", vec!["too_weak"])];
        return judge_errors(answer, weak, &[]);
    }
    if known.is_some() {
        return assert_eq!(outcome, (409, "username_taken"));
    }
    assert_eq!(status, 201, "a good username and a good password: {code}");
    let made = answer.json();
    assert_eq!(made["username"], username);
    assert_eq!(made["roles"], serde_json::json!(["CLIENT"]));
    world.users.insert(username, password);
}

/// Fails unless the answer's errors are the `wrong` fields, each once and with one of its codes. Fields that are `shown` on the
/// page may have errors too.
fn judge_errors(answer: &Answer, mut wrong: Vec<(&str, Vec<&str>)>, shown: &[&str]) {
    let problem = answer.json();
    for error in problem["errors"].as_array().expect("a list of errors") {
        let (field, code) = (&error["field"], &error["code"]);
        let is_it = |(name, codes): &(&str, Vec<&str>)| field == name && codes.iter().any(|own| code == own);
        match wrong.iter().position(is_it) {
            Some(at) => drop(wrong.swap_remove(at)),
            None => assert!(shown.iter().any(|name| field == name), "{error} is no error"),
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} are missing in {problem}");
}

/// Whether the page shows `name` in its section on `path`.
fn is_shown(path: &str, name: &str) -> bool {
    let mut sections = PAGE.split("\n##");
    let section = sections.find(|section| section.starts_with(&format!("# `POST {path}`")));
    let section = section.expect("a section on the route");
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_there = section.contains(&format!("\"{name}\"")) || section.contains(&format!("`{name}`"));
    is_word && is_there && !REFUSED.contains(&name)
}

/// White space of ASCII around a name is no part of it, and no capital is.
fn folded(name: &str) -> String {
    name.trim_matches([' ', '\t', '\n', '\u{c}', '\r'])
        .to_ascii_lowercase()
}

/// The codes that are true of a text as a name.
fn faults_of_name(text: &str) -> Vec<&'static str> {
    let name = folded(text);
    let is_letter = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let mut faults = vec![];
    if !name.chars().all(|c| is_letter(c) || "._@+-'".contains(c)) || !name.starts_with(is_letter) {
        faults.push("bad_character");
    }
    if name.chars().count() < 2 {
        faults.push("too_short");
    }
    if name.chars().count() > 64 {
        faults.push("too_long");
    }
    faults
}

/// The codes that are true of a text as a password.
fn faults_of_password(text: &str) -> Vec<&'static str> {
    let password = normal(text);
    let mut faults = vec![];
    if password.contains('\0') {
        faults.push("bad_character");
    }
    if password.chars().count() < 8 {
        faults.push("too_short");
    }
    if password.len() > 71 {
        faults.push("too_long");
    }
    faults
}

/// The password in NFC. A text that fits into bcrypt's 71 bytes only as it was typed stays as it is.
fn normal(text: &str) -> String {
    let normal: String = text.nfc().collect();
    if normal.len() > 71 && text.len() <= 71 {
        return text.to_owned();
    }
    normal
}

/// The `username` in a token.
fn user_of(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims = json::read(&claims).expect("claims are JSON").value;
    let name = claims.member("username").and_then(Json::text);
    name.expect("a name").to_owned()
}
