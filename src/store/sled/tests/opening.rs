//! What an opening accepts, refuses and waits for, and what costs no write.

use std::{
    fs::{self, File},
    thread,
    time::Duration,
};

use super::{NOW, config, is_accepted, open, try_open, with_a_session};
use crate::{
    domain::SessionId,
    event::Listeners,
    store::{
        self,
        error::OpenError,
        sessions::Sessions as _,
        sled::file::{log_file, tally::Tally},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn ending_an_absent_session_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (session, _) = with_a_session(&directory).await;
    let store = open(&directory, NOW);
    let commits = || Tally::read(directory.path()).unwrap().commits;
    let before = commits();
    assert!(store.close_session(session).await.unwrap().is_some());
    assert_eq!(commits(), before + 1);
    for absent in [session, SessionId::generate(NOW)] {
        assert_eq!(store.close_session(absent).await.unwrap(), None);
    }
    assert_eq!(commits(), before + 1);
}

#[tokio::test]
async fn half_written_settings_are_damage_only_after_use() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory, NOW));
    let whole = fs::read(directory.path().join("conf")).unwrap();
    for length in 0..=whole.len() {
        let cut_short = tempfile::tempdir().unwrap();
        fs::write(cut_short.path().join("conf"), &whole[..length]).unwrap();
        drop(open(&cut_short, NOW));
        assert_eq!(fs::read(cut_short.path().join("conf")).unwrap(), whole);
    }
    fs::write(directory.path().join("conf"), &whole[..whole.len() - 4]).unwrap();
    let refused = try_open(&directory, NOW);
    assert!(matches!(refused, Err(OpenError::Damaged { untouched: true, .. })));
}

/// Locks the data file as another program would.
fn lock(directory: &tempfile::TempDir) -> File {
    let file = File::options()
        .write(true)
        .open(directory.path().join(log_file::DATA_FILE))
        .unwrap();
    file.lock().unwrap();
    file
}

/// sled's threads may still write when its last handle is dropped, and hold its lock meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_briefly_locked_file_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let file = lock(&directory);
    let letting_go = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        file.unlock().unwrap();
    });
    assert!(is_accepted(&open(&directory, NOW), alive).await);
    letting_go.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_locked_by_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    let file = lock(&directory);
    let refusal = try_open(&directory, NOW).err().unwrap();
    assert!(
        refusal.to_string().contains("another program has it open"),
        "{refusal}"
    );
    drop(file);
    assert!(is_accepted(&open(&directory, NOW), alive).await);
}

/// Every file of the database, without the process id in `lock`.
fn files(directory: &tempfile::TempDir) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && name != "lock" {
            files.push((name, fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Changes the database by sled alone.
fn change(directory: &tempfile::TempDir, change: impl FnOnce(&sled::Db)) {
    let db = sled::open(directory.path()).unwrap();
    change(&db);
    db.flush().unwrap();
}

fn put_schema(directory: &tempfile::TempDir, version: u32) {
    change(directory, |db| {
        let meta = db.open_tree("meta").unwrap();
        meta.insert("schema", version.to_be_bytes().as_slice()).unwrap();
    });
}

async fn refusal(directory: &tempfile::TempDir) -> OpenError {
    let opened = store::open(&config(directory.path()), NOW, Listeners::default()).await;
    opened.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let alive = with_a_session(&directory).await;
    put_schema(&directory, 4);
    let before = files(&directory);
    for _ in 0..2 {
        let refused = refusal(&directory).await;
        assert!(
            matches!(
                refused,
                OpenError::Newer {
                    found: 4,
                    known: 3,
                    ..
                }
            ),
            "{refused}"
        );
        assert!(
            refused.to_string().contains("use the version that wrote it"),
            "{refused}"
        );
        assert!(files(&directory) == before, "left as it was");
    }
    put_schema(&directory, 3);
    assert!(is_accepted(&open(&directory, NOW), alive).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_record_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (session, token) = with_a_session(&directory).await;
    let mut known = None;
    change(&directory, |db| {
        let sessions = db.open_tree("sessions").unwrap();
        let record = sessions.get(session.as_bytes()).unwrap().unwrap();
        let newer = String::from_utf8(record.to_vec())
            .unwrap()
            .replace("\"v\":1", "\"v\":2");
        sessions.insert(session.as_bytes(), newer.as_bytes()).unwrap();
        known = Some(record);
    });
    let before = files(&directory);
    let refused = refusal(&directory).await;
    assert!(
        matches!(
            refused,
            OpenError::NewerRecord {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains(&session.to_string()), "{refused}");
    assert!(files(&directory) == before, "left as it was");
    change(&directory, |db| {
        let sessions = db.open_tree("sessions").unwrap();
        sessions.insert(session.as_bytes(), known.unwrap()).unwrap();
    });
    assert!(is_accepted(&open(&directory, NOW), (session, token)).await);
}
