//! What administrators ask of a store: lists of users, and that one administrator stays.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Backend,
    support::{
        NOW, added, changed, created, deleted, hash, is_accepted, is_good, later, name, opened, role, user,
    },
};
use crate::{
    domain::{
        Attributes, PageLimit, Role, User, UserChange, UserCursor, UserId, UserQuery, UsernamePrefix, random,
    },
    store::{
        backend::Store,
        users::{PasswordReset, UserCreation, UserDeletion, UserUpdate},
    },
};

async fn page(store: &Arc<dyn Store>, query: &UserQuery) -> (Vec<String>, Option<UserCursor>) {
    let page = store.list_users(query.clone(), NOW).await.unwrap();
    assert!(page.users.len() <= query.limit.get());
    let names = page.users.iter().map(|user| user.username.to_string());
    (names.collect(), page.next)
}

/// The usernames on all pages, by a query for the first page.
async fn listed(store: &Arc<dyn Store>, mut query: UserQuery) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (names, next) = page(store, &query).await;
        all.extend(names);
        let Some(next) = next else {
            return all;
        };
        query.after = Some(next);
    }
}

fn prefix(text: &str) -> Option<UsernamePrefix> {
    UsernamePrefix::parse(text).ok()
}

fn limit(entries: u16) -> PageLimit {
    PageLimit::new(entries).unwrap()
}

/// A number below `limit`.
fn below(limit: usize) -> usize {
    usize::try_from(u32::from_ne_bytes(random())).unwrap() % limit
}

pub async fn a_user_is_found_by_id_until_deleted(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    assert_eq!(store.user(UserId::generate(NOW)).await.unwrap(), None);
    let ada = created(&store, "ada").await;
    assert_eq!(store.user(ada.id).await.unwrap().as_deref(), Some(&ada));
    let ada = changed(&store, ada.id, UserChange::Disabled(true)).await;
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.user(ada.id).await.unwrap(), Some(Arc::clone(&ada)));
    deleted(&store, &ada, 0).await;
    assert_eq!(store.user(ada.id).await.unwrap(), None);
}

pub async fn users_are_listed_by_name_in_pages(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let everyone = UserQuery::default();
    assert_eq!(page(&store, &everyone).await, (Vec::new(), None));
    let mut names: Vec<_> = (0..120).map(|n| format!("user{}", n * 7 % 120)).collect();
    for name in &names {
        created(&store, name).await;
    }
    names.sort();
    for entries in [1, 7, 119, 120, 121, 500] {
        let query = UserQuery {
            limit: limit(entries),
            ..UserQuery::default()
        };
        assert_eq!(listed(&store, query).await, names);
    }
    let (first, next) = page(&store, &everyone).await;
    assert_eq!(first, names[..50], "by default");
    // The last page ends the list.
    let after = UserCursor::behind(name(&names[69]));
    let last = UserQuery {
        after: Some(after),
        ..UserQuery::default()
    };
    assert_eq!(page(&store, &last).await, (names[70..].to_vec(), None));
    drop(store);
    let store = backend.open(NOW).await;
    // Users who come and go move no place.
    let there = store.list_users(everyone.clone(), NOW).await.unwrap().users;
    for user in [&there[0], &there[48], &there[49]] {
        deleted(&store, user, 0).await;
    }
    for name in ["aa", "user", "zz"] {
        created(&store, name).await;
    }
    let mut rest = names[50..].to_vec();
    rest.push("zz".to_owned());
    let second = UserQuery {
        after: next,
        limit: limit(500),
        ..UserQuery::default()
    };
    assert_eq!(page(&store, &second).await, (rest, None));
}

pub async fn each_filter_lists_exactly_its_users(backend: &impl Backend) {
    const ROLES: [&str; 4] = ["CLIENT", "ADMIN", "EDITOR", "EDIT"];
    let store = backend.open(NOW).await;
    // The last administrator stays, and is in no list below.
    let keeper = User {
        roles: [Role::ADMIN, role("KEEPER")].into_iter().collect(),
        ..user("keeper")
    };
    let creation = store.create_user(keeper, None).await.unwrap();
    assert_eq!(creation, UserCreation::Created);
    let mut users: Vec<User> = Vec::new();
    let check = async |store: &Arc<dyn Store>, users: &[User]| {
        let roles = ROLES.iter().map(|name| Some(role(name))).chain([None]);
        for (role, disabled) in
            roles.flat_map(|role| [None, Some(false), Some(true)].map(|d| (role.clone(), d)))
        {
            for start in ["", "k", "a", "b1", "b-", "zz"] {
                let query = UserQuery {
                    prefix: prefix(start),
                    role: role.clone(),
                    disabled,
                    after: None,
                    limit: limit(10),
                };
                let expected = users.iter().filter(|user| {
                    user.username.as_str().starts_with(start)
                        && role.as_ref().is_none_or(|role| user.roles.contains(role, NOW))
                        && disabled.is_none_or(|disabled| user.disabled == disabled)
                });
                let expected: BTreeSet<_> = expected.map(|user| user.username.to_string()).collect();
                let mut found = listed(store, query.clone()).await;
                found.retain(|name| name != "keeper");
                assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{query:?}");
            }
        }
    };
    for round in 0..4 {
        for _ in 0..150 {
            let known = below(users.len() + 1);
            let roles = ROLES.iter().filter(|_| below(2) == 0).map(|name| role(name));
            match below(5) {
                0 | 1 => {
                    let name = ["a", "b", "b1", "b-", "zz"][below(5)];
                    let user = User {
                        roles: roles.collect(),
                        disabled: below(3) == 0,
                        ..user(&format!("{name}{}", below(1000)))
                    };
                    match store.create_user(user.clone(), None).await.unwrap() {
                        UserCreation::Created => users.push(user),
                        UserCreation::UsernameTaken => {}
                    }
                }
                2 if known < users.len() => deleted(&store, &users.swap_remove(known), 0).await,
                3 if known < users.len() => {
                    let change = UserChange::Roles(roles.collect());
                    users[known] = change_of(&store, users[known].id, change).await;
                }
                4 if known < users.len() => {
                    let change = UserChange::Disabled(below(2) == 0);
                    users[known] = change_of(&store, users[known].id, change).await;
                }
                _ => {}
            }
        }
        check(&store, &users).await;
        if round == 2 {
            for user in users.drain(..) {
                deleted(&store, &user, 0).await;
            }
            check(&store, &users).await;
        }
    }
    drop(store);
    check(&backend.open(NOW).await, &users).await;
}

pub async fn a_role_that_has_ended_is_listed_no_more(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let end = later(60);
    changed(&store, ada.id, UserChange::GiveRole(role("FAMILY"), Some(end))).await;
    changed(&store, eve.id, UserChange::GiveRole(role("FAMILY"), None)).await;
    let family = async |store: &Arc<dyn Store>, now| {
        let query = UserQuery {
            role: Some(role("FAMILY")),
            ..UserQuery::default()
        };
        let page = store.list_users(query, now).await.unwrap();
        page.users.iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(family(&store, later(59)).await, [ada.id, eve.id]);
    assert_eq!(family(&store, end).await, [eve.id]);
    drop(store);
    let store = backend.open(end).await;
    assert_eq!(family(&store, end).await, [eve.id]);
    // It ends without a write, and is there until it is taken.
    let found = store.user(ada.id).await.unwrap().unwrap();
    assert_eq!(found.roles.ending(), [(role("FAMILY"), end)]);
    changed(&store, ada.id, UserChange::TakeRole(role("FAMILY"))).await;
    assert_eq!(store.user(ada.id).await.unwrap().as_deref(), Some(&ada));
}

pub async fn what_is_noted_of_a_user_is_kept(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let (session, token) = opened(&store, &ada, NOW).await;
    let noted = serde_json::json!({"tenant": "north", "groups": ["a", "b"], "level": 7});
    let noted = Attributes::parse(noted.as_object().unwrap()).unwrap();
    let ada = changed(&store, ada.id, UserChange::Attributes(noted.clone())).await;
    assert_eq!(ada.attributes, noted);
    let accepted = store.accepted(session.id, token.id, NOW).await.unwrap().unwrap();
    assert_eq!(accepted.user.attributes, noted);
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(store.user(ada.id).await.unwrap(), Some(ada));
}

pub async fn a_reset_ends_every_session_and_keeps_api_tokens_if_told(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (others, others_token) = opened(&store, &eve, NOW).await;
    for (n, keeps_api_tokens) in [(1, true), (2, false)] {
        let user = store.user(ada.id).await.unwrap().unwrap();
        let (session, token) = opened(&store, &user, NOW).await;
        let api_token = added(&store, &ada, &session, n).await;
        let reset = PasswordReset {
            to: hash('z'),
            must_change: keeps_api_tokens,
            keeps_api_tokens,
        };
        let user = store.reset_password(ada.id, reset).await.unwrap().unwrap();
        assert_eq!(user.password_version, u32::from(n));
        assert_eq!(user.must_change_password, keeps_api_tokens);
        assert!(!is_accepted(&store, &session, token.id, NOW).await);
        assert_eq!(is_good(&store, &api_token, NOW).await, keeps_api_tokens);
        assert_eq!(store.user(ada.id).await.unwrap(), Some(user));
    }
    assert!(is_accepted(&store, &others, others_token.id, NOW).await);
    deleted(&store, &ada, 2).await;
    let reset = PasswordReset {
        to: hash('y'),
        must_change: false,
        keeps_api_tokens: false,
    };
    assert_eq!(store.reset_password(ada.id, reset).await.unwrap(), None);
}

pub async fn every_api_token_of_a_user_is_revoked_at_once(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let (session, token) = opened(&store, &ada, NOW).await;
    let (other, _) = opened(&store, &eve, NOW).await;
    let theirs = [
        added(&store, &ada, &session, 1).await,
        added(&store, &ada, &session, 2).await,
    ];
    let another = added(&store, &eve, &other, 3).await;
    // However many callers ask at once, each token is counted once.
    let (one, two) = tokio::join!(store.remove_api_tokens(ada.id), store.remove_api_tokens(ada.id));
    assert_eq!(one.unwrap() + two.unwrap(), 2);
    drop(store);
    let store = backend.open(NOW).await;
    for token in &theirs {
        assert!(!is_good(&store, token, NOW).await);
    }
    assert!(is_good(&store, &another, NOW).await);
    assert!(is_accepted(&store, &session, token.id, NOW).await);
}

async fn change_of(store: &Arc<dyn Store>, id: UserId, change: UserChange) -> User {
    User::clone(&*changed(store, id, change).await)
}

async fn administrator(store: &Arc<dyn Store>, username: &str) -> User {
    let admin = User {
        roles: [Role::CLIENT, Role::ADMIN].into_iter().collect(),
        ..user(username)
    };
    let creation = store.create_user(admin.clone(), None).await.unwrap();
    assert_eq!(creation, UserCreation::Created);
    admin
}

fn demotion() -> UserChange {
    UserChange::Roles([Role::CLIENT].into_iter().collect())
}

pub async fn the_last_administrator_stays(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    // Without an administrator there is none to keep.
    let bob = created(&store, "bob").await;
    changed(&store, bob.id, UserChange::Disabled(true)).await;
    let ada = administrator(&store, "ada").await;
    let refused = async |store: &Arc<dyn Store>, user: &User| {
        for change in [
            demotion(),
            UserChange::Roles([].into_iter().collect()),
            UserChange::Disabled(true),
        ] {
            let update = store.change_user(user.id, change).await.unwrap();
            assert_eq!(update, UserUpdate::LastAdministrator);
        }
        for verified in [Some(0), None] {
            let deletion = store.delete_user(user.id, verified).await.unwrap();
            assert_eq!(deletion, UserDeletion::LastAdministrator);
        }
        assert_eq!(store.user(user.id).await.unwrap().as_deref(), Some(user));
    };
    refused(&store, &ada).await;
    // What leaves an administrator is allowed.
    let roles = UserChange::Roles([Role::ADMIN, role("EDITOR")].into_iter().collect());
    let ada = change_of(&store, ada.id, roles).await;
    drop(store);
    let store = backend.open(NOW).await;
    refused(&store, &ada).await;
    // A disabled administrator is no other one, and an enabled one is.
    let promotion = UserChange::Roles([Role::ADMIN].into_iter().collect());
    let bob = change_of(&store, bob.id, promotion).await;
    refused(&store, &ada).await;
    let bob = change_of(&store, bob.id, UserChange::Disabled(false)).await;
    let ada = change_of(&store, ada.id, UserChange::Disabled(true)).await;
    refused(&store, &bob).await;
    deleted(&store, &ada, 0).await;
    refused(&store, &bob).await;
}

pub async fn of_racing_demotions_one_administrator_stays(backend: &impl Backend) {
    const ROUNDS: usize = 25;
    let store = backend.open(NOW).await;
    let mut left: Vec<Arc<User>> = Vec::new();
    for round in 0..ROUNDS {
        // The one who is left of the last round, and others.
        let mut admins: Vec<_> = left.iter().map(|user| user.id).collect();
        for n in 0..=round % 4 {
            admins.push(administrator(&store, &format!("admin{round}-{n}")).await.id);
        }
        let removals: Vec<_> = [&admins[..], &admins]
            .concat()
            .into_iter()
            .map(|id| {
                let store = Arc::clone(&store);
                let (way, pause) = (below(4), below(8));
                tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    remove(&store, id, way).await
                })
            })
            .collect();
        let mut refused = 0;
        for removal in removals {
            refused += usize::from(removal.await.unwrap());
        }
        let query = UserQuery {
            role: Some(Role::ADMIN),
            disabled: Some(false),
            ..UserQuery::default()
        };
        left = store.list_users(query, NOW).await.unwrap().users;
        assert_eq!(left.len(), 1, "{round}");
        assert!(refused >= 2, "{round}: each of them was to be removed twice");
    }
}

/// Removes an administrator in one of four ways. Returns whether that was refused because no other is left.
async fn remove(store: &Arc<dyn Store>, id: UserId, way: usize) -> bool {
    let change = match way {
        0 => demotion(),
        1 => UserChange::Disabled(true),
        _ => {
            let verified = (way == 2).then_some(0);
            let deletion = store.delete_user(id, verified).await.unwrap();
            return deletion == UserDeletion::LastAdministrator;
        }
    };
    store.change_user(id, change).await.unwrap() == UserUpdate::LastAdministrator
}
