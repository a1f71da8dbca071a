//! A damaged database: the server refuses it in one line that names it and leaves it as it is. It never opens one with less in
//! it than it has acknowledged. "Read" data was in the file at an earlier start, which wrote a snapshot of it; "newer" data was
//! written since the last start.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
};

use crate::{
    client::PASSWORD,
    server::{Home, Server},
};

const USERS: [&str; 4] = ["ada", "barbara", "grace", "edith"];

/// A database, and what the server acknowledged before it was killed.
struct Kept {
    home: Home,
    /// The length of the data file.
    used: u64,
    live: Vec<String>,
    revoked: Vec<String>,
}

/// Four users, signed in twice each and logged out once.
fn kept() -> Kept {
    let home = Home::new();
    let server = home.start();
    let (mut live, mut revoked) = (Vec::new(), Vec::new());
    for name in USERS {
        server.sign_up(name, PASSWORD).assert_status(201);
        live.push(server.sign_in(name, PASSWORD).token());
        let token = server.sign_in(name, PASSWORD).token();
        server.log_out(&token).assert_status(204);
        revoked.push(token);
    }
    server.kill();
    let used = fs::metadata(home.path("data/db")).unwrap().len();
    Kept {
        home,
        used,
        live,
        revoked,
    }
}

impl Kept {
    /// The same after one more start, which writes a snapshot of what it has read.
    fn and_read_once(self) -> Self {
        let server = self.home.start();
        self.assert_whole(&server, "untouched");
        server.kill();
        self
    }

    fn damaged(&self, damage: impl FnOnce(&Home)) -> Home {
        let copy = self.home.copy();
        damage(&copy);
        copy
    }

    /// Places spread over the data file, the first and the last byte among them.
    fn places(&self, count: u64) -> impl Iterator<Item = u64> {
        let last = self.used - 1;
        (0..=count).map(move |step| last * step / count)
    }

    /// Asserts that `server` has everything that was acknowledged, and nothing that was revoked.
    #[track_caller]
    fn assert_whole(&self, server: &Server, what: &str) {
        let banner = server.banner();
        assert!(
            banner.contains("(4 users, 4 live sessions)"),
            "{what}: opened with something missing: {banner}"
        );
        for token in &self.live {
            assert_eq!(server.me(token).status, 200, "{what}: a token is lost");
        }
        for token in &self.revoked {
            assert_eq!(server.me(token).status, 401, "{what}: a log-out is undone");
        }
    }

    /// Asserts that the server refuses the damaged `home`, or has lost nothing. Returns whether it refused.
    #[track_caller]
    fn assert_refused_or_whole(&self, home: &Home, what: &str) -> bool {
        match home.server().try_start() {
            Ok(server) => {
                self.assert_whole(&server, what);
                false
            }
            Err(ended) => {
                let line = ended.assert_refused(1);
                assert!(line.contains("the database data"), "{what}: {line}");
                true
            }
        }
    }

    /// Asserts that the server refuses the damaged `home` and changes nothing in it.
    #[track_caller]
    fn assert_refused_and_left(&self, home: &Home, what: &str) {
        let before = home.files();
        assert!(
            self.assert_refused_or_whole(home, what),
            "{what}: opened in spite of the damage"
        );
        let after = home.files();
        let changed: Vec<_> = after.keys().chain(before.keys()).collect();
        let changed = changed
            .into_iter()
            .find(|name| after.get(*name) != before.get(*name));
        assert_eq!(changed, None, "{what}: the server wrote to what it refused");
    }
}

fn flip(home: &Home, place: u64) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(home.path("data/db"))
        .unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(place)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    file.write_all(&[!byte[0]]).unwrap();
}

fn cut(home: &Home, length: u64) {
    let file = File::options().write(true).open(home.path("data/db"));
    file.unwrap().set_len(length).unwrap();
}

/// Bytes that are neither text nor zeros, the same at each run.
fn garbage(length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|n| u8::try_from((n * 167 + 91) % 251).unwrap());
    bytes.collect()
}

#[test]
fn an_empty_or_missing_data_file_is_refused_and_left_alone() {
    for kept in [kept(), kept().and_read_once()] {
        let empty = kept.damaged(|home| cut(home, 0));
        kept.assert_refused_and_left(&empty, "empty");
        let gone = kept.damaged(|home| fs::remove_file(home.path("data/db")).unwrap());
        kept.assert_refused_and_left(&gone, "gone");
        assert!(!gone.path("data/db").exists());
    }
}

#[test]
fn garbage_in_place_of_read_data_is_refused_and_left_alone() {
    let kept = kept().and_read_once();
    let whole = fs::metadata(kept.home.path("data/db")).unwrap().len();
    let length = usize::try_from(whole).unwrap();
    for (what, content) in [("zeros", vec![0; length]), ("garbage", garbage(length))] {
        let damaged = kept.damaged(|home| home.write("data/db", content));
        kept.assert_refused_and_left(&damaged, what);
    }
}

#[test]
fn a_cut_through_data_that_a_start_has_read_is_refused() {
    let kept = kept().and_read_once();
    for length in [1, 20, kept.used / 2, kept.used - 1] {
        let damaged = kept.damaged(|home| cut(home, length));
        let refused = kept.assert_refused_or_whole(&damaged, &format!("cut to {length} bytes"));
        assert!(refused, "cut to {length} bytes");
    }
}

#[test]
fn a_flipped_byte_in_read_data_loses_nothing_silently() {
    let kept = kept().and_read_once();
    let mut refused = 0;
    for place in kept.places(12) {
        let damaged = kept.damaged(|home| flip(home, place));
        refused += u32::from(kept.assert_refused_or_whole(&damaged, &format!("byte {place} flipped")));
    }
    assert!(refused >= 10, "only {refused} of 13 were noticed");
}

#[test]
fn garbage_in_the_file_conf_loses_nothing_silently() {
    let kept = kept().and_read_once();
    for (what, content) in [
        ("bytes", garbage(64)),
        ("text", b"garbage\n".to_vec()),
        ("nothing", Vec::new()),
    ] {
        let damaged = kept.damaged(|home| home.write("data/conf", content));
        kept.assert_refused_or_whole(&damaged, &format!("{what} in conf"));
    }
}

#[test]
fn garbage_in_a_snapshot_is_refused_and_left_alone() {
    let kept = kept().and_read_once();
    let files = kept.home.files();
    let mut snapshots = files.keys().filter(|name| name.starts_with("data/snap."));
    let snapshot = snapshots.next_back().expect("a second start leaves a snapshot");
    for (what, content) in [("garbage", garbage(200)), ("nothing", Vec::new())] {
        let damaged = kept.damaged(|home| home.write(snapshot, content));
        kept.assert_refused_and_left(&damaged, &format!("{what} in {snapshot}"));
    }
}

#[test]
fn a_flipped_byte_in_newer_data_loses_nothing_silently() {
    let kept = kept();
    for place in kept.places(12) {
        let damaged = kept.damaged(|home| flip(home, place));
        kept.assert_refused_or_whole(&damaged, &format!("byte {place} of {} flipped", kept.used));
    }
}

#[test]
fn a_cut_through_newer_data_loses_nothing_silently() {
    let kept = kept();
    for length in [kept.used / 2, kept.used - 1] {
        let damaged = kept.damaged(|home| cut(home, length));
        kept.assert_refused_or_whole(&damaged, &format!("cut to {length} of {} bytes", kept.used));
    }
}

#[test]
fn a_database_refused_for_a_flipped_byte_is_left_alone() {
    let kept = kept().and_read_once();
    for place in kept.places(6) {
        let damaged = kept.damaged(|home| flip(home, place));
        let before = damaged.files();
        if kept.assert_refused_or_whole(&damaged, &format!("byte {place} flipped")) {
            let same = damaged.files() == before;
            assert!(
                same,
                "byte {place} flipped: refused, and the data after it is overwritten"
            );
        }
    }
}
