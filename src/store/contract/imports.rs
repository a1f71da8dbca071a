//! Imports: many users come to exist, or none of them.

use std::sync::Arc;

use super::{
    Backend,
    support::{NOW, added, changed, created, deleted, hash, is_accepted, is_good, name, opened, role, user},
};
use crate::{
    domain::{DisplayName, ImportedUser, Role, User, UserChange, UserField, UserId, UserQuery, UserRoles},
    store::{
        backend::Store,
        imports::{Import, ImportCommit, MAX_STAGED, Staging},
        users::{UserCreation, UserUpdate},
    },
};

/// A user of an import that says all of them.
fn coming(username: &str) -> ImportedUser {
    ImportedUser {
        user: user(username),
        unsaid: Vec::new(),
    }
}

fn administrator(username: &str) -> ImportedUser {
    let mut imported = coming(username);
    imported.user.roles = UserRoles::from_iter([Role::ADMIN]);
    imported
}

async fn begun(store: &Arc<dyn Store>, replaces: bool) -> Box<dyn Import + '_> {
    store.begin_import(replaces).await.unwrap().unwrap()
}

async fn imported(store: &Arc<dyn Store>, users: &[ImportedUser], replaces: bool) -> Vec<Staging> {
    let mut import = begun(store, replaces).await;
    let stagings = import.stage(users.to_vec()).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
    import.finish().await.unwrap();
    stagings
}

async fn found(store: &Arc<dyn Store>, username: &str) -> Option<Arc<User>> {
    store.user_by_name(&name(username)).await.unwrap()
}

async fn listed(store: &Arc<dyn Store>, query: UserQuery) -> Vec<String> {
    let page = store.list_users(query, NOW).await.unwrap();
    assert_eq!(page.next, None);
    page.users.iter().map(|user| user.username.to_string()).collect()
}

pub async fn an_imported_user_is_like_any_other(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    created(&store, "mia").await;
    let users: Vec<_> = (0..MAX_STAGED).map(|n| coming(&format!("user{n:03}"))).collect();
    let stagings = imported(&store, &users, false).await;
    assert!(stagings.iter().all(|staging| *staging == Staging::Added));
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.count().await.unwrap().users, users.len() as u64 + 1);
    for ImportedUser { user, .. } in &users {
        assert_eq!(found(&store, user.username.as_str()).await.as_deref(), Some(user));
        assert_eq!(store.user(user.id).await.unwrap().as_deref(), Some(user));
    }
    let query = UserQuery {
        role: Some(role("EDITOR")),
        prefix: crate::domain::UsernamePrefix::parse("user00").ok(),
        ..UserQuery::default()
    };
    let names: Vec<_> = (0..10).map(|n| format!("user00{n}")).collect();
    assert_eq!(listed(&store, query).await, names);
    let again = store.create_user(user("user007"), None).await.unwrap();
    assert_eq!(again, UserCreation::UsernameTaken);
    let (session, token) = opened(&store, &users[7].user, NOW).await;
    assert!(is_accepted(&store, &session, token.id, NOW).await);
    deleted(&store, &users[7].user, 0).await;
    created(&store, "user007").await;
}

pub async fn staged_users_do_not_exist_and_their_names_are_reserved(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    created(&store, "mia").await;
    let mut import = begun(&store, false).await;
    let users = vec![coming("ada"), coming("bob")];
    let id = users[0].user.id;
    assert_eq!(import.examine(&users).await.unwrap(), [Staging::Added; 2]);
    let creation = store.create_user(user("bob"), None).await.unwrap();
    assert_eq!(creation, UserCreation::Created, "it was not staged");
    let stagings = import.stage(users).await.unwrap();
    assert_eq!(stagings, [Staging::Added, Staging::UsernameTaken]);
    assert!(store.begin_import(true).await.unwrap().is_none(), "two at once");
    assert_eq!(found(&store, "ada").await, None);
    assert_eq!(store.user(id).await.unwrap(), None);
    assert_eq!(listed(&store, UserQuery::default()).await, ["bob", "mia"]);
    assert_eq!(store.count().await.unwrap().users, 2);
    let creation = store.create_user(user("ada"), None).await.unwrap();
    assert_eq!(creation, UserCreation::UsernameTaken, "it is reserved");
    let again = import.stage(vec![coming("ada")]).await.unwrap();
    assert_eq!(again, [Staging::Twice]);
    // What is not committed leaves nothing.
    drop(import);
    created(&store, "ada").await;
    let mut import = begun(&store, false).await;
    let _ = import.stage(vec![coming("eve")]).await.unwrap();
    drop(import);
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(listed(&store, UserQuery::default()).await, ["ada", "bob", "mia"]);
    created(&store, "eve").await;
}

pub async fn a_decided_import_is_finished_by_the_next_opening(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let api_token = added(&store, &ada, &session, 1).await;
    let mia = created(&store, "mia").await;
    let (kept, kept_token) = opened(&store, &mia, NOW).await;
    let mut users: Vec<_> = (0..250).map(|n| coming(&format!("user{n}"))).collect();
    let mut update = coming("ada");
    update.user.password_hash = hash('n');
    users.push(update);
    users.push(coming("mia"));
    let zoe = created(&store, "zoe").await;
    let (ended, ended_token) = opened(&store, &zoe, NOW).await;
    let lasting = added(&store, &zoe, &ended, 2).await;
    let mut disabled = coming("zoe");
    disabled.user.disabled = true;
    users.push(disabled);
    let mut import = begun(&store, true).await;
    let _ = import.stage(users.clone()).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
    drop(import);
    assert!(
        store.begin_import(true).await.unwrap().is_none(),
        "it is not finished"
    );
    let creation = store.create_user(user("user7"), None).await.unwrap();
    assert_eq!(creation, UserCreation::UsernameTaken);
    drop(store);
    for _ in 0..2 {
        let store = backend.open(NOW).await;
        assert_eq!(store.count().await.unwrap().users, 253);
        for ImportedUser { user, .. } in &users[..250] {
            assert_eq!(found(&store, user.username.as_str()).await.as_deref(), Some(user));
        }
        let new = found(&store, "ada").await.unwrap();
        assert_eq!((new.id, new.password_version), (ada.id, 1));
        assert_eq!(new.password_hash, hash('n'));
        assert!(!is_accepted(&store, &session, token.id, NOW).await);
        assert!(!is_good(&store, &api_token, NOW).await);
        assert!(is_accepted(&store, &kept, kept_token.id, NOW).await);
        changed(&store, zoe.id, UserChange::Disabled(false)).await;
        assert!(!is_accepted(&store, &ended, ended_token.id, NOW).await);
        assert!(is_good(&store, &lasting, NOW).await);
        drop(begun(&store, false).await);
    }
}

pub async fn an_import_replaces_users_only_if_it_is_told_to(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let api_token = added(&store, &ada, &session, 1).await;
    let mut new = coming("ada");
    new.user.display_name = DisplayName::parse("Countess").ok();
    new.user.disabled = true;
    let stagings = imported(&store, &[new.clone(), coming("bob")], false).await;
    assert_eq!(stagings, [Staging::UsernameTaken, Staging::Added]);
    assert_eq!(found(&store, "ada").await.as_deref(), Some(&ada));

    // The same password ends nothing.
    new.unsaid = vec![UserField::Disabled];
    assert_eq!(imported(&store, &[new.clone()], true).await, [Staging::Updated]);
    let present = found(&store, "ada").await.unwrap();
    assert_eq!(
        (present.id, present.password_version, present.disabled),
        (ada.id, 0, false)
    );
    assert_eq!(present.display_name, new.user.display_name);
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(accepted.user.display_name, new.user.display_name, "at once");

    new.user.password_hash = hash('n');
    new.user.roles = UserRoles::from_iter([role("READER")]);
    assert_eq!(imported(&store, &[new], true).await, [Staging::Updated]);
    let present = found(&store, "ada").await.unwrap();
    assert_eq!((present.id, present.password_version), (ada.id, 1));
    assert!(!is_accepted(&store, &session, token.id, NOW).await);
    assert!(!is_good(&store, &api_token, NOW).await);
    let query = |name: &str| UserQuery {
        role: Some(role(name)),
        ..UserQuery::default()
    };
    assert_eq!(listed(&store, query("READER")).await, ["ada"]);
    assert_eq!(listed(&store, query("EDITOR")).await, ["bob"]);
    assert_eq!(store.count().await.unwrap().users, 2);
}

pub async fn an_imported_user_keeps_an_id_that_is_free(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let mut same = coming("bob");
    same.user.id = ada.id;
    assert_eq!(imported(&store, &[same], true).await, [Staging::IdTaken]);
    let elsewhere = UserId::parse("7d444840-9dc0-11d1-b245-5ffdce74fad2").unwrap();
    let mut free = coming("cid");
    free.user.id = elsewhere;
    assert_eq!(imported(&store, &[free], true).await, [Staging::Added]);
    assert_eq!(found(&store, "cid").await.unwrap().id, elsewhere);
    // The id of a user who exists does not change.
    let mut other = coming("cid");
    other.user.id = UserId::generate(NOW);
    assert_eq!(imported(&store, &[other], true).await, [Staging::Updated]);
    assert_eq!(found(&store, "cid").await.unwrap().id, elsewhere);
    assert_eq!(found(&store, "bob").await, None);
}

pub async fn a_user_deleted_meanwhile_stays_deleted(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let mut import = begun(&store, true).await;
    let new = coming("ada");
    assert_eq!(import.stage(vec![new.clone()]).await.unwrap(), [Staging::Updated]);
    deleted(&store, &ada, 0).await;
    let creation = store.create_user(user("ada"), None).await.unwrap();
    assert_eq!(creation, UserCreation::UsernameTaken);
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
    import.finish().await.unwrap();
    drop(import);
    assert_eq!(found(&store, "ada").await, None);
    assert_eq!(store.count().await.unwrap().users, 0);
    // Nor is one who comes as the administrator that has to be left.
    let _ = imported(&store, &[administrator("eve")], false).await;
    let _ = imported(&store, &[new], false).await;
    let ada = found(&store, "ada").await.unwrap();
    let mut import = begun(&store, true).await;
    let users = vec![administrator("ada"), coming("eve")];
    let _ = import.stage(users).await.unwrap();
    deleted(&store, &ada, 0).await;
    assert_eq!(import.commit().await.unwrap(), ImportCommit::LastAdministrator);
    drop(import);
    assert_eq!(found(&store, "ada").await, None);
    assert!(found(&store, "eve").await.unwrap().is_administrator());
}

pub async fn an_import_leaves_an_administrator(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let _ = imported(&store, &[administrator("ada"), administrator("bob")], false).await;
    let bob = found(&store, "bob").await.unwrap();
    let disabled = ImportedUser {
        unsaid: vec![UserField::Roles],
        ..coming("bob")
    };
    let mut disabled_bob = disabled;
    disabled_bob.user.disabled = true;

    // Both: refused as a whole.
    let mut import = begun(&store, true).await;
    let users = vec![coming("ada"), disabled_bob.clone(), coming("new")];
    let _ = import.stage(users).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ImportCommit::LastAdministrator);
    drop(import);
    assert_eq!(found(&store, "new").await, None);

    // One of them: the other one can't stop being one as soon as that is decided.
    let mut import = begun(&store, true).await;
    let _ = import.stage(vec![coming("ada")]).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
    let update = store
        .change_user(bob.id, UserChange::Disabled(true))
        .await
        .unwrap();
    assert_eq!(update, UserUpdate::LastAdministrator);
    import.finish().await.unwrap();
    drop(import);
    assert!(!found(&store, "ada").await.unwrap().is_administrator());

    // All of them, by one who comes with the import.
    let mut import = begun(&store, true).await;
    let users = vec![disabled_bob, administrator("eve")];
    let _ = import.stage(users).await.unwrap();
    assert_eq!(import.commit().await.unwrap(), ImportCommit::Decided);
    let eve = found(&store, "eve").await.unwrap();
    let update = store
        .change_user(eve.id, UserChange::Disabled(true))
        .await
        .unwrap();
    assert_eq!(update, UserUpdate::LastAdministrator);
    import.finish().await.unwrap();
    drop(import);
    let query = UserQuery {
        role: Some(Role::ADMIN),
        disabled: Some(false),
        ..UserQuery::default()
    };
    assert_eq!(listed(&store, query).await, ["eve"]);
    assert_eq!(
        changed(&store, eve.id, UserChange::DisplayName(None)).await.id,
        eve.id
    );
}

pub async fn an_import_and_other_writes_go_on_together(backend: &impl Backend) {
    const OTHERS: usize = 40;
    let store = backend.open(NOW).await;
    let users: Vec<_> = (0..MAX_STAGED).map(|n| coming(&format!("user{n}"))).collect();
    let sign_ups: Vec<_> = (0..OTHERS)
        .map(|n| {
            let store = Arc::clone(&store);
            // Every second name is one of the import.
            let username = if n % 2 == 0 {
                format!("user{n}")
            } else {
                format!("other{n}")
            };
            tokio::spawn(async move { store.create_user(user(&username), None).await.unwrap() })
        })
        .collect();
    let stagings = imported(&store, &users, false).await;
    let mut signed_up = Vec::new();
    for sign_up in sign_ups {
        signed_up.push(sign_up.await.unwrap() == UserCreation::Created);
    }
    for (n, is_new) in signed_up.iter().enumerate() {
        // One of the two has the name.
        let is_imported = n % 2 == 0 && stagings[n] == Staging::Added;
        assert_ne!(*is_new, is_imported, "{n}");
    }
    let imported = stagings
        .iter()
        .filter(|staging| **staging == Staging::Added)
        .count();
    let new = signed_up.iter().filter(|is_new| **is_new).count();
    assert_eq!(store.count().await.unwrap().users, (imported + new) as u64);
}
