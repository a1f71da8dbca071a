//! The roster stays what the users' records say, in parts that are neither long nor many; and damage to it is noticed.

use std::collections::BTreeSet;

use sled::{Tree, transaction::TransactionError};

use super::{change::RosterChange, list::List, part::LONGEST};
use crate::{
    clock::{Stopwatch, Timestamp},
    domain::{PageLimit, Role, User, UserChange, UserQuery, UserRoles, UsernamePrefix, random},
    store::{
        records::user::UserRecord,
        sled::{memory::index::Ended, trees::Trees},
        users::UserCreation,
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn trees() -> Trees {
    Trees::of(sled::Config::new().temporary(true).open().unwrap()).unwrap()
}

fn below(limit: usize) -> usize {
    usize::try_from(u32::from_ne_bytes(random())).unwrap() % limit
}

fn roles() -> UserRoles {
    let names = ["CLIENT", "ADMIN", "EDITOR"].map(|name| Role::parse(name).unwrap());
    names.into_iter().filter(|_| below(2) == 0).collect()
}

fn create(trees: &Trees, name: &str) -> Option<User> {
    let user = User {
        roles: roles(),
        ..User::sample(name, NOW)
    };
    let creation = trees.create_user(&user, None).unwrap();
    (creation == UserCreation::Created).then_some(user)
}

fn change(trees: &Trees, user: &mut User, change: UserChange) {
    *user = user.clone().with(change);
    trees.put_user(user, &Ended::default()).unwrap();
}

/// Every username, with all filters off.
fn names(trees: &Trees) -> Vec<String> {
    let mut query = UserQuery {
        limit: PageLimit::MAX,
        ..UserQuery::default()
    };
    let mut names = Vec::new();
    loop {
        let page = trees.list_users(&query, NOW).unwrap();
        names.extend(page.users.iter().map(|user| user.username.to_string()));
        if page.next.is_none() {
            return names;
        }
        query.after = page.next;
    }
}

#[test]
fn the_roster_follows_every_change_in_short_parts() {
    let trees = trees();
    let mut users: Vec<User> = Vec::new();
    assert!(trees.roster_is_whole().unwrap());
    for step in 0..3000 {
        let known = below(users.len() + 1);
        match below(6) {
            // The longest names too.
            0..=2 => users.extend(create(
                &trees,
                &format!("{:x<1$}", below(500), [3, 12, 64][below(3)]),
            )),
            3 if known < users.len() => change(&trees, &mut users[known], UserChange::Roles(roles())),
            4 if known < users.len() => {
                change(&trees, &mut users[known], UserChange::Disabled(below(2) == 0));
            }
            5 if known < users.len() => {
                let gone = users.swap_remove(known);
                trees.remove_user(&gone, &Ended::default()).unwrap();
            }
            _ => {}
        }
        if step % 300 == 0 {
            assert!(trees.roster_is_whole().unwrap());
            let expected: BTreeSet<_> = users.iter().map(|user| user.username.to_string()).collect();
            assert_eq!(names(&trees), expected.into_iter().collect::<Vec<_>>());
        }
    }
    assert!(users.len() > 200, "{}", users.len());
    let lengths: Vec<_> = trees
        .roster
        .iter()
        .values()
        .map(|part| part.unwrap().len())
        .collect();
    assert!(lengths.iter().all(|length| (1..=LONGEST).contains(length)));
    for gone in users.drain(..) {
        trees.remove_user(&gone, &Ended::default()).unwrap();
    }
    assert!(trees.roster.is_empty(), "no empty part is left");
    assert!(trees.roster_is_whole().unwrap());
}

#[test]
fn names_in_any_order_fill_the_parts() {
    for in_order in [true, false] {
        let trees = trees();
        for n in 0..2000 {
            let number = if in_order { n } else { n * 7 % 2000 };
            let user = User::sample(&format!("user-{number:06}"), NOW);
            let _ = trees.create_user(&user, None).unwrap();
        }
        // 28 bytes each.
        let least = 2000 * 28 / LONGEST;
        let grown = trees.roster.len();
        assert!((least..=3 * least).contains(&grown), "{grown} parts of {least}");
        trees.rebuild_roster().unwrap();
        assert!(trees.roster.len() <= grown, "{}", trees.roster.len());
        assert!(trees.roster_is_whole().unwrap());
        assert_eq!(names(&trees).len(), 2000);
        // There is room for more.
        let _ = trees
            .create_user(&User::sample("user-000000x", NOW), None)
            .unwrap();
        assert!(trees.roster_is_whole().unwrap());
    }
}

/// An import changes the roster once for many users.
#[test]
fn one_change_for_many_users_is_that_of_each_in_turn() {
    for _ in 0..30 {
        let trees = trees();
        let mut users: Vec<_> = (0..60)
            .filter_map(|n| create(&trees, &format!("u{}", n * 7 % 60)))
            .collect();
        let mut change = RosterChange::default();
        for _ in 0..150 {
            let before = (below(3) > 0).then(|| users.swap_remove(below(users.len())));
            let after = match &before {
                None => Some(User {
                    roles: roles(),
                    ..User::sample(&format!("u{}", below(100_000)), NOW)
                }),
                Some(user) => (below(3) > 0).then(|| User {
                    roles: roles(),
                    disabled: below(2) == 0,
                    ..user.clone()
                }),
            };
            let is_taken = |user: &User| users.iter().any(|other| other.username == user.username);
            let after = after.filter(|user| !is_taken(user));
            trees
                .change_roster(before.as_ref(), after.as_ref(), &mut change)
                .unwrap();
            users.extend(after);
        }
        let done = trees.roster.transaction(|roster| Ok(change.make(roster)?));
        done.map_err(|error: TransactionError| error).unwrap();
        trees.users.clear().unwrap();
        for user in &users {
            let record = UserRecord::of(user).write().unwrap();
            trees.users.insert(user.id.as_bytes(), record).unwrap();
        }
        assert!(trees.roster_is_whole().unwrap());
    }
}

/// What is wrong, and what makes it so.
type Damage<'a> = (&'a str, &'a dyn Fn(&Tree));

#[test]
fn each_damage_to_the_roster_is_noticed_and_mended() {
    let trees = trees();
    let mut users: Vec<_> = (0..200)
        .filter_map(|n| create(&trees, &format!("user-{n}")))
        .collect();
    change(&trees, &mut users[0], UserChange::Disabled(true));
    let whole: Vec<_> = trees.roster.iter().map(Result::unwrap).collect();
    let (key, part) = whole.iter().find(|(key, _)| key.len() > 6).unwrap();
    let damage: [Damage<'_>; 8] = [
        ("a part is lost", &|roster| {
            roster.remove(key).unwrap();
        }),
        ("a part is empty", &|roster| {
            roster.insert(key, &[]).unwrap();
        }),
        ("a part is cut short", &|roster| {
            roster.insert(key, &part[..part.len() - 1]).unwrap();
        }),
        ("a member is lost", &|roster| {
            let first = 17 + usize::from(part[0]);
            roster.insert(key, &part[first..]).unwrap();
        }),
        ("a member has another id", &|roster| {
            let mut other = part.to_vec();
            *other.last_mut().unwrap() ^= 1;
            roster.insert(key, other).unwrap();
        }),
        ("members are not in order", &|roster| {
            let (first, rest) = part.split_at(17 + usize::from(part[0]));
            roster.insert(key, [rest, first].concat()).unwrap();
        }),
        ("a part is at another place", &|roster| {
            roster.remove(key).unwrap();
            let mut other = key.to_vec();
            other.push(b'~');
            roster.insert(other, part).unwrap();
        }),
        ("there is a list of no user", &|roster| {
            roster
                .insert(List::of_users(None, true).key(b"zz"), part)
                .unwrap();
        }),
    ];
    for (what, damage) in damage {
        assert!(trees.roster_is_whole().unwrap());
        damage(&trees.roster);
        assert!(!trees.roster_is_whole().unwrap(), "{what}");
        trees.rebuild_roster().unwrap();
        assert!(trees.roster_is_whole().unwrap(), "{what}");
    }
    assert_eq!(names(&trees).len(), users.len());
}

/// `JWT_SERVER_USERS` sets how many users there are; CONTRIBUTING.md has the long form, which prints the times.
#[test]
fn a_page_with_any_filter_reads_only_its_own_users() {
    let many: usize = std::env::var("JWT_SERVER_USERS").map_or(2000, |number| number.parse().unwrap());
    let trees = trees();
    let names = ["ADMIN", "EDITOR", "CLIENT"].map(|name| Role::parse(name).unwrap());
    let [admin, editor, client] = names;
    for n in 0..many {
        // One in a hundred, nearly half, and half of them. Names come in no order.
        let role = [&client, &editor, &admin][usize::from(n % 2 == 0) + usize::from(n % 100 == 0)];
        let user = User {
            roles: [role.clone()].into_iter().collect(),
            disabled: n % 1000 == 1,
            ..User::sample(&format!("user-{:07}", n * 7919 % many), NOW)
        };
        let record = UserRecord::of(&user).write().unwrap();
        trees.users.insert(user.id.as_bytes(), record).unwrap();
    }
    trees.rebuild_roster().unwrap();
    let roles = [None, Some(admin), Some(editor), Some(client)];
    let filters = roles.into_iter().flat_map(|role| {
        let with = [None, Some(false), Some(true)].map(|disabled| (role.clone(), disabled));
        with.into_iter()
            .flat_map(|filter| [(filter.clone(), ""), (filter, "user-00012")])
    });
    for ((role, disabled), prefix) in filters {
        for limit in [PageLimit::default(), PageLimit::MAX] {
            let query = UserQuery {
                prefix: UsernamePrefix::parse(prefix).ok(),
                role: role.clone(),
                disabled,
                after: None,
                limit,
            };
            let watch = Stopwatch::start();
            let page = trees.list_users(&query, NOW).unwrap();
            let (took, found) = (watch.milliseconds(), page.users.len());
            assert!(page.users.iter().all(|user| query.matches(user, NOW)));
            assert!(found == limit.get() || page.next.is_none());
            println!("{many} users, {role:?} {disabled:?} {prefix:?}: {found} in {took:.2} ms");
        }
    }
}
