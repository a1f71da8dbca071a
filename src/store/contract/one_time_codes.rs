//! One-time codes: what each allows, that it allows it once, and what ends it.

use std::{sync::Arc, time::Duration};

use super::{
    Backend,
    support::{
        DAY, NOW, WEEK, added, changed, client, created, deleted, hash, is_accepted, is_good, later, name,
        network, opened, opened_from, role, user,
    },
};
use crate::{
    clock::Timestamp,
    domain::{
        Invitation, InvitationCursor, InvitationHash, InvitationId, InvitationQuery, Maker, PageLimit,
        PasswordHash, ResetCode, ResetCodeHash, Role, Session, TokenRecord, User, UserChange, UserId,
    },
    store::{
        backend::Store,
        one_time_codes::{InvitationRedemption, ResetCodeCreation},
        users::{PasswordReplacement, PasswordReset},
    },
};

/// An invitation by the operator. Each byte of its hash is `n`.
fn invitation(n: u8, now: Timestamp) -> Invitation {
    Invitation {
        id: InvitationId::generate(now),
        hash: InvitationHash::from_bytes([n; 32]),
        roles: [role("EDITOR")].into_iter().collect(),
        username: None,
        made_by: None,
        created_at: now,
        expires_at: now.plus(WEEK),
    }
}

async fn invited(store: &Arc<dyn Store>, invitation: Invitation) -> Invitation {
    assert!(store.add_invitation(invitation.clone(), 1000).await.unwrap());
    invitation
}

/// Uses `invitation` for a user with this name and other roles.
async fn redeem(
    store: &Arc<dyn Store>,
    invitation: &Invitation,
    username: &str,
    now: Timestamp,
) -> InvitationRedemption {
    let user = User {
        created_at: now,
        ..user(username)
    };
    let redeemed = store.redeem_invitation(invitation.hash, user, Some(network(1)));
    redeemed.await.unwrap()
}

async fn is_known(store: &Arc<dyn Store>, invitation: &Invitation, now: Timestamp) -> bool {
    let found = store.invitation(invitation.hash, now).await.unwrap();
    found.is_some_and(|found| found == *invitation)
}

/// The reset code of the user, made by the operator. Each byte of its hash is `n`.
fn reset(user: UserId, n: u8) -> ResetCode {
    ResetCode {
        hash: ResetCodeHash::from_bytes([n; 32]),
        user,
        made_by: None,
        expires_at: NOW.plus(DAY),
    }
}

async fn given(store: &Arc<dyn Store>, code: ResetCode) -> ResetCode {
    let creation = store.add_reset_code(code.clone(), None, NOW).await.unwrap();
    assert_eq!(creation, ResetCodeCreation::Created);
    code
}

async fn resets(store: &Arc<dyn Store>, code: &ResetCode, now: Timestamp) -> bool {
    let found = store.reset_code(code.hash, now).await.unwrap();
    found.is_some_and(|found| found.id == code.user)
}

/// Uses the reset code, by a client in network 2. Returns the session that begins, with its token, and the user if the code is
/// accepted.
async fn redeem_reset(
    store: &Arc<dyn Store>,
    code: &ResetCode,
    to: char,
    now: Timestamp,
) -> (Session, TokenRecord, Option<Arc<User>>) {
    let verified = store.user(code.user).await.unwrap();
    let (mut session, token) = Session::start(code.user, WEEK, WEEK, now);
    session.client = client(2);
    let change = PasswordReplacement {
        verified: verified.map_or(0, |user| user.password_version),
        to: hash(to),
        keeps_api_tokens: false,
        session: session.clone(),
        device: None,
    };
    let user = store.redeem_reset_code(code.hash, change).await.unwrap();
    (session, token, user)
}

/// Uses the reset code, which is not accepted.
async fn assert_refused(store: &Arc<dyn Store>, code: &ResetCode, now: Timestamp) {
    assert!(!resets(store, code, now).await);
    let before = store.user(code.user).await.unwrap();
    let (session, token, refused) = redeem_reset(store, code, 'x', now).await;
    assert_eq!(refused, None);
    assert!(!is_accepted(store, &session, token.id, now).await);
    assert_eq!(store.user(code.user).await.unwrap(), before);
}

pub async fn an_invitation_adds_one_user_with_its_roles(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (one, other) = (invitation(1, NOW), invitation(2, NOW));
    let (one, other) = (invited(&store, one).await, invited(&store, other).await);
    drop(store);
    let store = backend.open(NOW).await;
    assert!(is_known(&store, &one, NOW).await);
    let InvitationRedemption::Created(ada) = redeem(&store, &one, "ada", NOW).await else {
        panic!("it is accepted");
    };
    assert_eq!(ada.roles.lasting(), &one.roles, "and no other role");
    assert_eq!(
        store.user_by_name(&ada.username).await.unwrap().as_deref(),
        Some(&ada)
    );
    assert_eq!(store.last_sign_in(ada.id, network(1)).await.unwrap(), Some(NOW));
    assert!(!is_known(&store, &one, NOW).await);
    drop(store);
    let store = backend.open(NOW).await;
    assert_eq!(
        redeem(&store, &one, "barbara", NOW).await,
        InvitationRedemption::Refused
    );
    assert_eq!(store.user_by_name(&name("barbara")).await.unwrap(), None);
    assert_eq!(store.user(ada.id).await.unwrap().as_deref(), Some(&ada));
    assert!(is_known(&store, &other, NOW).await);
    assert_eq!(store.count().await.unwrap().users, 1);
}

pub async fn of_concurrent_uses_of_an_invitation_one_adds_a_user(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let one = invited(&store, invitation(1, NOW)).await;
    let uses: Vec<_> = (0..16)
        .map(|n| {
            let (store, one) = (Arc::clone(&store), one.clone());
            tokio::spawn(async move { redeem(&store, &one, &format!("user{n}"), NOW).await })
        })
        .collect();
    let mut added = 0;
    for one in uses {
        match one.await.unwrap() {
            InvitationRedemption::Created(_) => added += 1,
            outcome => assert_eq!(outcome, InvitationRedemption::Refused),
        }
    }
    assert_eq!((added, store.count().await.unwrap().users), (1, 1));
}

pub async fn an_invitation_ends_when_revoked_and_at_its_second(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (revoked, kept) = (invitation(1, NOW), invitation(2, NOW));
    let (revoked, kept) = (invited(&store, revoked).await, invited(&store, kept).await);
    assert!(store.revoke_invitation(revoked.id).await.unwrap());
    assert!(!store.revoke_invitation(revoked.id).await.unwrap());
    drop(store);
    let store = backend.open(NOW).await;
    assert!(!is_known(&store, &revoked, NOW).await);
    let refused = InvitationRedemption::Refused;
    assert_eq!(redeem(&store, &revoked, "ada", NOW).await, refused);
    let last = kept.expires_at.minus(Duration::from_secs(1));
    assert!(is_known(&store, &kept, last).await);
    assert!(!is_known(&store, &kept, kept.expires_at).await);
    assert_eq!(redeem(&store, &kept, "ada", kept.expires_at).await, refused);
    assert_eq!(store.count().await.unwrap().users, 0);
}

pub async fn what_an_invitation_does_not_allow_leaves_it_unspent(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let eve = created(&store, "eve").await;
    let bound = Invitation {
        username: Some(name("ada")),
        ..invitation(1, NOW)
    };
    let (bound, free) = (
        invited(&store, bound).await,
        invited(&store, invitation(2, NOW)).await,
    );
    for (invitation, username, outcome) in [
        (&bound, "barbara", InvitationRedemption::AnotherUsername),
        (&bound, "eve", InvitationRedemption::AnotherUsername),
        (&free, "eve", InvitationRedemption::UsernameTaken),
    ] {
        assert_eq!(redeem(&store, invitation, username, NOW).await, outcome);
        assert!(is_known(&store, invitation, NOW).await);
    }
    assert_eq!(store.user(eve.id).await.unwrap().as_deref(), Some(&eve));
    for (invitation, username) in [(&bound, "ada"), (&free, "barbara")] {
        let outcome = redeem(&store, invitation, username, NOW).await;
        assert!(matches!(outcome, InvitationRedemption::Created(_)), "{outcome:?}");
    }
}

pub async fn a_code_is_accepted_while_its_maker_administers(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let mut makers = Vec::new();
    for name in [
        "keeper",
        "demoted",
        "disabled",
        "deleted",
        "temporary",
        "changed",
        "reset",
    ] {
        let maker = created(&store, name).await;
        let until = (name == "temporary").then_some(later(60));
        let change = UserChange::GiveRole(Role::ADMIN, until);
        makers.push(changed(&store, maker.id, change).await);
    }
    let mut codes = Vec::new();
    for (n, maker) in (10..).zip(&makers) {
        let made_by = Some(Maker {
            user: maker.id,
            password_version: maker.password_version,
        });
        let one = Invitation {
            made_by,
            ..invitation(n, NOW)
        };
        let owner = created(&store, &format!("owner{n}")).await;
        let code = ResetCode {
            made_by,
            ..reset(owner.id, n)
        };
        codes.push((invited(&store, one).await, given(&store, code).await));
    }
    drop(store);
    let store = backend.open(NOW).await;
    for (one, code) in &codes {
        assert!(is_known(&store, one, NOW).await && resets(&store, code, NOW).await);
    }
    changed(&store, makers[1].id, UserChange::TakeRole(Role::ADMIN)).await;
    changed(&store, makers[2].id, UserChange::Disabled(true)).await;
    deleted(&store, &makers[3], 0).await;
    changed(&store, makers[5].id, UserChange::Password(hash('p'))).await;
    let by_another = PasswordReset {
        to: hash('p'),
        must_change: false,
        keeps_api_tokens: true,
    };
    store.reset_password(makers[6].id, by_another).await.unwrap();
    // A hash that is made anew is of the same password.
    let rehash = UserChange::Rehash {
        from: makers[0].password_hash.clone(),
        to: hash('r'),
    };
    changed(&store, makers[0].id, rehash).await;
    let (keeper, gone) = codes.split_first().unwrap();
    for (one, code) in gone {
        assert!(!is_known(&store, one, later(60)).await);
        let outcome = redeem(&store, one, "eve", later(60)).await;
        assert_eq!(outcome, InvitationRedemption::Refused);
        assert_refused(&store, code, later(60)).await;
    }
    assert!(is_known(&store, &keeper.0, later(60)).await);
    assert!(resets(&store, &keeper.1, later(60)).await);
}

pub async fn there_are_only_so_many_invitations(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let adds: Vec<_> = (0..8)
        .map(|n| {
            let (store, one) = (Arc::clone(&store), invitation(n, NOW));
            tokio::spawn(async move { (one.id, store.add_invitation(one, 3).await.unwrap()) })
        })
        .collect();
    let mut added = Vec::new();
    for add in adds {
        let (id, is_added) = add.await.unwrap();
        added.extend(is_added.then_some(id));
    }
    assert_eq!(added.len(), 3);
    let listed = store.list_invitations(InvitationQuery::default(), NOW).await;
    assert_eq!(listed.unwrap().invitations.len(), 3);
    drop(store);
    let store = backend.open(NOW).await;
    assert!(!store.add_invitation(invitation(20, NOW), 3).await.unwrap());
    assert!(!is_known(&store, &invitation(20, NOW), NOW).await);
    // One that is revoked makes room, and so does one that has expired.
    assert!(store.revoke_invitation(added[0]).await.unwrap());
    assert!(store.add_invitation(invitation(21, NOW), 3).await.unwrap());
    assert!(!store.add_invitation(invitation(22, NOW), 3).await.unwrap());
    let later = NOW.plus(WEEK);
    assert!(store.add_invitation(invitation(23, later), 3).await.unwrap());
}

pub async fn invitations_are_listed_oldest_first_in_pages(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let mut all = Vec::new();
    for n in 0..7 {
        all.push(invited(&store, invitation(n, later(n.into()))).await);
    }
    let page = async |after: Option<InvitationCursor>, limit: u16, now: Timestamp| {
        let limit = PageLimit::new(limit).unwrap();
        let query = InvitationQuery { after, limit };
        let page = store.list_invitations(query, now).await.unwrap();
        (page.invitations, page.next)
    };
    assert_eq!(page(None, 7, NOW).await, (all.clone(), None));
    let (first, next) = page(None, 3, NOW).await;
    assert_eq!(first, all[..3]);
    // What comes and goes moves no place.
    assert!(store.revoke_invitation(all[2].id).await.unwrap());
    assert!(store.revoke_invitation(all[4].id).await.unwrap());
    let (second, next) = page(next, 2, NOW).await;
    assert_eq!(second, [all[3].clone(), all[5].clone()]);
    assert_eq!(page(next, 2, NOW).await, (vec![all[6].clone()], None));
    // Those that have expired are not there, also before they are removed.
    let now = all[5].expires_at;
    assert_eq!(page(None, 1, now).await, (vec![all[6].clone()], None));
}

pub async fn a_reset_code_gives_one_password_and_ends_all_else(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let (ada, eve) = (created(&store, "ada").await, created(&store, "eve").await);
    let must_change = PasswordReset {
        to: hash('t'),
        must_change: true,
        keeps_api_tokens: false,
    };
    let ada = store.reset_password(ada.id, must_change).await.unwrap().unwrap();
    let (session, token) = opened_from(&store, &ada, 1, NOW).await;
    let api_token = added(&store, &ada, &session, 1).await;
    let (others, others_token) = opened(&store, &eve, NOW).await;
    let code = given(&store, reset(ada.id, 1)).await;
    drop(store);
    let store = backend.open(NOW).await;
    assert!(resets(&store, &code, NOW).await);
    assert!(
        is_accepted(&store, &session, token.id, NOW).await,
        "a code ends nothing"
    );
    let thief = ResetCode {
        user: eve.id,
        ..code.clone()
    };
    let (_, _, refused) = redeem_reset(&store, &thief, 'n', later(60)).await;
    assert_eq!(refused, None, "it is the code of another user");
    let (begun, first, redeemed) = redeem_reset(&store, &code, 'n', later(60)).await;
    let expected = User::clone(&ada).with(UserChange::Password(hash('n')));
    assert_eq!(redeemed.as_deref(), Some(&expected));
    assert!(!expected.must_change_password && expected.password_version == 2);
    for _ in 0..2 {
        let known = store.user(ada.id).await.unwrap();
        assert_eq!(known.as_deref(), Some(&expected));
        assert!(!is_accepted(&store, &session, token.id, NOW).await);
        assert!(!is_good(&store, &api_token, NOW).await);
        assert!(is_accepted(&store, &others, others_token.id, NOW).await);
        assert!(is_accepted(&store, &begun, first.id, later(60)).await);
        assert_eq!(store.last_sign_in(ada.id, network(1)).await.unwrap(), None);
        assert!(store.last_sign_in(ada.id, network(2)).await.unwrap().is_some());
        assert_refused(&store, &code, later(60)).await;
    }
}

pub async fn of_concurrent_uses_of_a_reset_code_one_wins(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ada = created(&store, "ada").await;
    let code = given(&store, reset(ada.id, 1)).await;
    let attempts: Vec<_> = ('a'..='p')
        .map(|to| {
            let (store, code) = (Arc::clone(&store), code.clone());
            tokio::spawn(async move { redeem_reset(&store, &code, to, NOW).await })
        })
        .collect();
    let mut winners = Vec::new();
    for redeemed in attempts {
        let (session, _, user) = redeemed.await.unwrap();
        winners.extend(user.map(|user| (session, user)));
    }
    let [(session, winner)] = winners.as_slice() else {
        panic!("{winners:?}");
    };
    assert_eq!(winner.password_version, 1);
    assert_eq!(store.user(ada.id).await.unwrap().as_ref(), Some(winner));
    let sessions = store.sessions(ada.id, NOW).await.unwrap();
    assert_eq!(sessions, std::slice::from_ref(session));
}

pub async fn a_reset_code_ends_with_what_it_was_made_for(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let stranger = reset(UserId::generate(NOW), 99);
    let creation = store.add_reset_code(stranger.clone(), None, NOW).await.unwrap();
    assert_eq!(creation, ResetCodeCreation::NoSuchUser);
    assert_refused(&store, &stranger, NOW).await;

    let ada = created(&store, "ada").await.id;
    let outrun = reset(ada, 98);
    let creation = store.add_reset_code(outrun.clone(), Some(1), NOW).await.unwrap();
    assert_eq!(
        creation,
        ResetCodeCreation::NoSuchUser,
        "another password meanwhile"
    );
    assert_refused(&store, &outrun, NOW).await;
    let creation = store.add_reset_code(reset(ada, 97), Some(0), NOW).await.unwrap();
    assert_eq!(creation, ResetCodeCreation::Created);
    // Another one takes its place.
    let (first, second) = (
        given(&store, reset(ada, 1)).await,
        given(&store, reset(ada, 2)).await,
    );
    assert_refused(&store, &first, NOW).await;
    // What is no change of the password or of the user's state leaves it.
    for change in [
        UserChange::DisplayName(None),
        UserChange::GiveRole(Role::ADMIN, Some(later(60))),
        UserChange::Disabled(false),
        UserChange::Rehash {
            from: hash('a'),
            to: hash('b'),
        },
    ] {
        changed(&store, ada, change).await;
        assert!(resets(&store, &second, NOW).await);
    }
    // It lasts until its second.
    let last = second.expires_at.minus(Duration::from_secs(1));
    assert!(resets(&store, &second, last).await);
    assert_refused(&store, &second, second.expires_at).await;
    // Another password ends it.
    let to: fn(PasswordHash) -> UserChange = UserChange::Password;
    for (n, change) in [(3, to(hash('c'))), (4, UserChange::TemporaryPassword(hash('c')))] {
        let code = given(&store, reset(ada, n)).await;
        changed(&store, ada, change).await;
        assert_refused(&store, &code, NOW).await;
    }
    let code = given(&store, reset(ada, 5)).await;
    let by_another = PasswordReset {
        to: hash('d'),
        must_change: false,
        keeps_api_tokens: true,
    };
    assert!(store.reset_password(ada, by_another).await.unwrap().is_some());
    assert_refused(&store, &code, NOW).await;
    // So does disabling the user, for good.
    let code = given(&store, reset(ada, 6)).await;
    changed(&store, ada, UserChange::Disabled(true)).await;
    assert_refused(&store, &code, NOW).await;
    let creation = store.add_reset_code(reset(ada, 7), None, NOW).await.unwrap();
    assert_eq!(creation, ResetCodeCreation::Disabled);
    let user = changed(&store, ada, UserChange::Disabled(false)).await;
    assert_refused(&store, &code, NOW).await;
    assert_refused(&store, &reset(ada, 7), NOW).await;
    // And deleting the user, also if another one takes the name.
    let code = given(&store, reset(ada, 8)).await;
    deleted(&store, &user, user.password_version).await;
    created(&store, "ada").await;
    drop(store);
    let store = backend.open(NOW).await;
    assert_refused(&store, &code, NOW).await;
}

pub async fn pruning_removes_only_expired_codes(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    for n in 0..5 {
        invited(&store, invitation(n, NOW)).await;
    }
    let kept = invited(&store, invitation(9, later(1))).await;
    let ada = created(&store, "ada").await;
    let code = given(&store, reset(ada.id, 100)).await;
    assert_eq!(store.prune_codes(NOW, 100).await.unwrap(), 0);
    assert_eq!(
        store.prune_codes(NOW.plus(DAY), 100).await.unwrap(),
        1,
        "the reset code"
    );
    assert_refused(&store, &code, NOW).await;
    let now = NOW.plus(WEEK);
    for removed in [3, 2, 0] {
        assert_eq!(store.prune_codes(now, 3).await.unwrap(), removed);
    }
    drop(store);
    let store = backend.open(NOW).await;
    let left = store.list_invitations(InvitationQuery::default(), NOW).await;
    assert_eq!(left.unwrap().invitations, [kept]);
}

pub async fn no_code_of_a_wrong_clock_outlives_it(backend: &impl Backend) {
    let store = backend.open(NOW).await;
    let ahead = NOW.plus(4 * DAY);
    let (before, meanwhile) = (invitation(1, NOW), invitation(2, ahead));
    let (before, meanwhile) = (invited(&store, before).await, invited(&store, meanwhile).await);
    let ada = created(&store, "ada").await;
    let code = ResetCode {
        expires_at: ahead.plus(DAY),
        ..reset(ada.id, 3)
    };
    let code = given(&store, code).await;
    store.go_back(ahead, NOW).await.unwrap();
    assert!(is_known(&store, &before, NOW).await);
    assert!(!is_known(&store, &meanwhile, ahead).await);
    assert_refused(&store, &code, NOW).await;
}
