//! Files of users: whatever a file holds, each line is a user or has a reason, and what comes out is what the store takes.
//!
//! Bytes that such a file seldom has stand for what a fuzzer seldom guesses:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` | a good hash of bcrypt |
//! | `02` | one with another prefix and another cost |
//! | `03` `04` `05` | the start of a file as JSON lines, CSV and htpasswd |
//! | `06` | the members of a whole user, as JSON |
//!
//! The judge has grammars of its own for names and hashes, and holds three promises: lines come in their order; a
//! name, an id and a hash have their form, and no name or id stands twice; and a user who is written and read again is the same.
//! Of htpasswd it also knows lines that are users without a doubt.

#![no_main]

use std::{collections::HashSet, io::BufReader};

use jwt_server::{
    clock::Timestamp,
    domain::Roles,
    transfer::{Entry, Format, Reader, write_line},
};
use libfuzzer_sys::{Corpus, fuzz_target};

const HASH: &str = "$2b$12$abcdefghijklmnopqrstuuDIGESTDIGESTDIGESTDIGESTDIGES/.";
const OTHER_HASH: &str = "$2y$10$......................DIGESTDIGESTDIGESTDIGESTDIGES/.";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fuzz_target!(|input: &[u8]| -> Corpus {
    let file = spelled_out(input);
    // In pieces, as a connection brings a file.
    let Ok(mut reader) = Reader::new(BufReader::with_capacity(7, file.as_slice())) else {
        return Corpus::Keep;
    };
    let format = reader.format();
    let (mut last, mut names, mut ids, mut good) = (0, HashSet::new(), HashSet::new(), Vec::new());
    while let Ok(Some(line)) = reader.next_line() {
        // CSV may end a row with a carriage return alone, which begins no line.
        assert!(line.number >= last, "line {} after {last}", line.number);
        last = line.number;
        let Ok(entry) = line.user else { continue };
        good.push(line.number);
        assert!(is_name(entry.username.as_str()), "{:?}", entry.username);
        assert!(is_hash(entry.password_hash.expose()), "line {}", line.number);
        assert!(
            names.insert(entry.username.to_string()),
            "{} twice",
            entry.username
        );
        if let Some(id) = entry.id {
            assert!(ids.insert(id), "{id} twice");
        }
        assert_comes_back(&entry);
    }
    let lines = file.split(|byte| *byte == b'\n').count() as u64;
    assert!(last <= lines + 1, "line {last} of {lines}");
    if format == Format::Htpasswd {
        for number in plain_users_of_htpasswd(&file) {
            assert!(good.contains(&number), "line {number} is a user");
        }
    }
    Corpus::Keep
});

fn spelled_out(input: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for byte in input {
        let known = match byte {
            1 => HASH,
            2 => OTHER_HASH,
            3 => "{\"username\":\"",
            4 => "username,password_hash\n",
            5 => "ada:$2y$05$......................DIGESTDIGESTDIGESTDIGESTDIGES/.\n",
            6 => concat!(
                "\"roles\":[\"CLIENT\"],\"role_ends\":{\"CLIENT\":\"2030-01-01T00:00:00Z\"},\"disabled\":true,",
                "\"display_name\":\"Ada\",\"attributes\":{\"tenant\":\"x\"},\"created_at\":\"2024-01-01T00:00:00Z\",",
                "\"id\":\"019a2b3c-0000-7000-8000-000000000001\""
            ),
            other => {
                file.push(*other);
                continue;
            }
        };
        file.extend(known.bytes());
    }
    file
}

/// A user who is exported and imported again is the same.
fn assert_comes_back(entry: &Entry) {
    let user = entry.clone().imported(&Roles::default(), NOW).user;
    let mut line = Vec::new();
    write_line(&mut line, &user, true).expect("memory takes all");
    let mut reader = Reader::new(line.as_slice()).expect("its own format");
    let read = reader.next_line().expect("a line").expect("one line");
    let again = read
        .user
        .expect("a good user")
        .imported(&Roles::default(), NOW)
        .user;
    assert_eq!(again, user);
}

/// 2 to 64 of a-z, 0-9 and some signs, with none of which it begins.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (2..=64).contains(&text.len())
        && text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || b"._-@+'".contains(&byte))
}

/// `$2a$`, `$2b$` or `$2y$`, a cost of 4 to 16, and 53 characters of bcrypt's alphabet.
fn is_hash(text: &str) -> bool {
    let bytes = text.as_bytes();
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    bytes.len() == 60
        && matches!(&bytes[..4], b"$2a$" | b"$2b$" | b"$2y$")
        && cost.is_some_and(|cost| (4..=16).contains(&cost))
        && bytes[6] == b'$'
        && bytes[7..]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(byte))
}

/// The numbers of the lines that are users without a doubt: a plain name that stands once in the file, and a good hash.
fn plain_users_of_htpasswd(file: &[u8]) -> Vec<u64> {
    let name_of = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().to_ascii_lowercase()
    };
    let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
    let names: Vec<Vec<u8>> = lines.iter().map(|line| name_of(line)).collect();
    let mut users = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, hash)) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.split_once(':'))
        else {
            continue;
        };
        let is_plain = (2..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase());
        let stands_once = names
            .iter()
            .filter(|other| other.as_slice() == name.as_bytes())
            .count()
            == 1;
        if is_plain && stands_once && is_hash(hash) {
            users.push(at as u64 + 1);
        }
    }
    users
}
