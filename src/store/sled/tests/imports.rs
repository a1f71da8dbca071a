//! An import that is cut short leaves all of its users or none, and nothing that stops the next start.

use std::{cell::Cell, collections::HashMap, fs, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{NOW, open, try_open};
use crate::{
    domain::{ImportedUser, Session, User, random},
    event::TrailQuery,
    store::{
        imports::{ImportCommit, Imports as _, MAX_STAGED, Staging},
        sessions::{Kept, Sessions as _},
        sled::{
            SledStore,
            commit::group::Effect,
            file::staging,
            memory::index::Ended,
            trees::{Trees, imports::ENDED_AT_ONCE},
        },
        trail::AuditTrail as _,
        users::{UserCreation, Users as _},
    },
};

fn users(count: usize) -> Vec<ImportedUser> {
    let user = |n| ImportedUser {
        user: User::sample(&format!("user{n}"), NOW),
        unsaid: Vec::new(),
    };
    (0..count).map(user).collect()
}

/// Stages and decides the import of these users, and finishes none of it.
async fn decided(store: &SledStore, users: &[ImportedUser]) {
    let mut import = store.begin_import(true).await.unwrap().unwrap();
    for some in users.chunks(MAX_STAGED) {
        let stagings = import.stage(some.to_vec()).await.unwrap();
        assert!(stagings.iter().all(|staging| *staging == Staging::Added));
    }
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
}

#[tokio::test]
async fn a_start_finishes_an_import_from_where_it_was_cut_short() {
    let users = users(350);
    for done in [0_u64, 1, 2, 4] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, NOW);
        decided(&store, &users).await;
        let mut mark = store.committer.read(Trees::import_mark).unwrap().unwrap();
        let opened = staging::StagedUsers::open(directory.path(), mark.id, 0, mark.end);
        let mut staged = opened.unwrap();
        for _ in 0..done {
            let batch = staged.next().unwrap().unwrap();
            mark.offset = batch.next;
            let some: Arc<[_]> = batch.users.into();
            let write = store.committer.commit(move |trees, _| {
                let updated = trees.import(&some, mark, |_, _| Ended::default())?;
                assert!(updated.is_empty());
                // The same write again changes nothing.
                assert!(trees.import(&some, mark, |_, _| Ended::default())?.is_empty());
                Ok(((), Effect::None))
            });
            write.await.unwrap();
        }
        let there = store.committer.read(Trees::users).unwrap();
        assert_eq!(there, 350.min(done * 100));
        drop(store);

        let store = open(&directory, NOW);
        assert_eq!(store.committer.read(Trees::users).unwrap(), 350);
        assert_eq!(store.committer.read(Trees::import_mark).unwrap(), None);
        assert!(!staging::is_left(directory.path()).unwrap());
        for ImportedUser { user, .. } in &users {
            let found = store.user_by_name(&user.username).await.unwrap();
            assert_eq!(found.as_deref(), Some(user));
        }
        let whole = |trees: &Trees| Ok(trees.users_are_whole()? && trees.roster_is_whole()?);
        assert!(store.committer.read(whole).unwrap());
        // What is left of an import is told; whether it began is known from its own event.
        store.keep_events().await.unwrap();
        let told = store.events(TrailQuery::default()).await.unwrap().entries;
        let told: Vec<_> = told
            .iter()
            .map(|entry| (&*entry.kind, entry.details["added"].as_u64()))
            .collect();
        let left = 350_u64.saturating_sub(done * 100);
        let expected = (left > 0).then_some(("users_imported", Some(left)));
        assert_eq!(told, Vec::from_iter(expected));
    }
}

#[tokio::test]
async fn what_was_staged_and_not_decided_is_removed_at_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, NOW);
    let mut import = store.begin_import(true).await.unwrap().unwrap();
    let _ = import.stage(users(3)).await.unwrap();
    // As a kill leaves it.
    std::mem::forget(import);
    drop(store);
    assert!(staging::is_left(directory.path()).unwrap());
    let store = open(&directory, NOW);
    assert!(!staging::is_left(directory.path()).unwrap());
    assert_eq!(store.committer.read(Trees::users).unwrap(), 0);
}

#[tokio::test]
async fn a_decided_import_without_its_file_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, NOW);
    decided(&store, &users(3)).await;
    drop(store);
    let file = directory.path().join(staging::FILE);
    let whole = fs::read(&file).unwrap();
    let other_id: [u8; 8] = random();
    let other_id = format!("{:016x}", u64::from_be_bytes(other_id));
    let of_another = [other_id.as_bytes(), &whole[16..]].concat();
    for wrong in [
        None,
        Some(&whole[..whole.len() - 1]),
        Some(&of_another),
        Some(&[]),
    ] {
        match wrong {
            None => fs::remove_file(&file).unwrap(),
            Some(content) => fs::write(&file, content).unwrap(),
        }
        let error = try_open(&directory, NOW).err().unwrap().to_string();
        assert!(error.contains("the file import"), "{error}");
    }
    fs::write(&file, &whole).unwrap();
    let store = open(&directory, NOW);
    assert_eq!(store.committer.read(Trees::users).unwrap(), 3);
}

#[tokio::test]
async fn sessions_that_a_start_ends_are_synced_in_short_groups() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, NOW);
    let ada = User::sample("ada", NOW);
    assert_eq!(
        store.create_user(ada.clone(), None).await.unwrap(),
        UserCreation::Created
    );
    let start = |_| Session::start(ada.id, Duration::from_hours(1), Duration::from_hours(2), NOW).0;
    let sessions: Vec<_> = (0..=2 * ENDED_AT_ONCE).map(start).collect();
    let opened = sessions
        .iter()
        .map(|session| store.open_session(session.clone(), 0, 1000, None));
    for opened in join_all(opened).await {
        assert!(opened.unwrap().is_some());
    }
    let kept = HashMap::from([(ada.id, Kept::default())]);
    let syncs = Cell::new(0);
    let sync = || {
        syncs.set(syncs.get() + 1);
        Ok(())
    };
    let ends = |trees: &Trees| trees.end_what_is_not(&kept, sync);
    store.committer.read(ends).unwrap();
    assert_eq!(syncs.get(), 3);
    for session in sessions {
        assert!(
            !store
                .committer
                .read(|trees| trees.has_session(session.id))
                .unwrap()
        );
    }
}
