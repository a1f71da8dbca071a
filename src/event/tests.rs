//! Who is told what, in which order; and the names of the kinds.

use std::{collections::HashSet, sync::Mutex};

use super::*;
use crate::domain::{Client, RequestId, Role};

/// Keeps each event that it is told of, under its own name.
struct Recorder {
    name: &'static str,
    heard: Arc<Mutex<Vec<(&'static str, Event)>>>,
}

impl EventListener for Recorder {
    fn notice(&self, event: &Event) {
        self.heard.lock().unwrap().push((self.name, event.clone()));
    }
}

fn event(kind: EventKind) -> Event {
    let at = Timestamp::from_secs(1_800_000_000);
    let id = UserId::generate(at);
    Event {
        kind,
        subject: Some(id),
        actor: Actor::User {
            id,
            session: Some(SessionId::generate(at)),
            api_token: None,
        },
        context: RequestContext {
            client: Client::default(),
            request_id: Some(RequestId::new(7)),
        },
        at,
    }
}

#[test]
fn each_listener_is_told_of_each_event_in_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let recorder = |name| -> Arc<dyn EventListener> {
        let heard = Arc::clone(&heard);
        Arc::new(Recorder { name, heard })
    };
    let listeners: Listeners = ["first", "second"].into_iter().map(recorder).collect();
    assert!(!listeners.is_empty());
    let events = [event(EventKind::UserEnabled), event(EventKind::UserDeleted)];
    listeners.emit(&events[0]);
    listeners.clone().emit(&events[1]);
    let expected: Vec<_> = events
        .iter()
        .flat_map(|event| ["first", "second"].map(|name| (name, event.clone())))
        .collect();
    assert_eq!(*heard.lock().unwrap(), expected);
    assert_eq!(format!("{listeners:?}"), "Listeners(2)");
}

#[test]
fn there_are_no_listeners_by_default() {
    let listeners = Listeners::default();
    assert!(listeners.is_empty());
    listeners.emit(&event(EventKind::StoreOutageBegan));
    assert_eq!(Actor::default(), Actor::Anonymous);
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    let now = Timestamp::from_secs(1_800_000_000);
    let (session, api_token) = (SessionId::generate(now), ApiTokenId::generate(now));
    let invitation = InvitationId::generate(now);
    let kid = || "kid".to_owned();
    let kinds = [
        EventKind::UserCreated {
            roles: Roles::default(),
        },
        EventKind::SignUpRefused {
            reason: SignUpRefusal::Closed,
        },
        EventKind::SignedIn { session },
        EventKind::SignInFailed {
            reason: SignInFailure::NoSuchUser,
        },
        EventKind::RefreshTokenReused { session },
        EventKind::LoggedOut { session },
        EventKind::SessionEnded { session },
        EventKind::SessionsEnded { count: 2 },
        EventKind::ApiTokensRevoked { count: 2 },
        EventKind::PasswordChanged { session },
        EventKind::CurrentPasswordWrong,
        EventKind::PasswordSet,
        EventKind::ResetCodeMade,
        EventKind::PasswordReset { session },
        EventKind::ResetCodeRefused,
        EventKind::SessionConfirmed { session },
        EventKind::InvitationMade {
            invitation,
            roles: Roles::default(),
        },
        EventKind::InvitationRevoked { invitation },
        EventKind::InvitationUsed { invitation },
        EventKind::RolesChanged {
            roles: Roles::default(),
        },
        EventKind::DisplayNameChanged,
        EventKind::AttributesChanged,
        EventKind::UserDisabled,
        EventKind::UserEnabled,
        EventKind::UserDeleted,
        EventKind::UsersImported { added: 3, updated: 1 },
        EventKind::UsersExported { with_hashes: true },
        EventKind::ApiTokenCreated { api_token },
        EventKind::ApiTokenRevoked { api_token },
        EventKind::SigningKeyCreated { kid: kid() },
        EventKind::SigningKeyRotated { kid: kid() },
        EventKind::SigningKeyRevoked { kid: kid() },
        EventKind::SigningKeyReplaced { kid: kid() },
        EventKind::Throttled {
            axis: ThrottleAxis::Account,
            retry_after: Duration::from_secs(9),
        },
        EventKind::ThrottleCleared { network: None },
        EventKind::StoreOutageBegan,
        EventKind::StoreOutageEnded,
        EventKind::EventsLeftOut { count: 3 },
        EventKind::RefusalsLeftOut { count: 4 },
    ];
    let names: HashSet<_> = kinds.iter().map(EventKind::name).collect();
    let listed: HashSet<_> = EventKind::NAMES.iter().copied().collect();
    assert_eq!(names, listed);
    assert_eq!(EventKind::NAMES.len(), kinds.len());
    assert_eq!(names.len(), kinds.len());
    for name in names {
        let fine = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(fine, "{name}");
    }
}

#[test]
fn what_needs_no_right_pushes_out_no_act_of_an_administrator() {
    let own = event(EventKind::DisplayNameChanged);
    assert_eq!(own.class(), EventClass::Accounts);
    let by = |kind: EventKind, actor| Event { actor, ..event(kind) }.class();
    let administrator = Actor::User {
        id: UserId::generate(Timestamp::from_secs(1_800_000_000)),
        session: None,
        api_token: None,
    };
    for actor in [administrator, Actor::Operator { uid: None }, Actor::Server] {
        assert_eq!(by(EventKind::UserDisabled, actor), EventClass::Administration);
        assert_eq!(by(EventKind::CurrentPasswordWrong, actor), EventClass::Refusals);
    }
    let roles = Roles::default();
    assert_eq!(
        by(EventKind::UserCreated { roles }, Actor::Anonymous),
        EventClass::Accounts
    );
    let of_no_user = Event {
        subject: None,
        ..event(EventKind::SigningKeyRotated {
            kid: "kid".to_owned(),
        })
    };
    assert_eq!(of_no_user.class(), EventClass::Administration);
}

#[test]
fn what_administrators_do_to_themselves_is_administration() {
    let now = Timestamp::from_secs(1_800_000_000);
    let invitation = InvitationId::generate(now);
    let administrator = || [Role::ADMIN].into_iter().collect::<Roles>();
    let nothing = Roles::default;
    for kind in [
        EventKind::UserCreated {
            roles: administrator(),
        },
        EventKind::PasswordSet,
        EventKind::ResetCodeMade,
        EventKind::InvitationMade {
            invitation,
            roles: nothing(),
        },
        EventKind::InvitationRevoked { invitation },
        EventKind::InvitationUsed { invitation },
        EventKind::RolesChanged { roles: nothing() },
        EventKind::AttributesChanged,
        EventKind::UserDisabled,
        EventKind::UserEnabled,
        EventKind::UsersImported { added: 1, updated: 0 },
        EventKind::ApiTokensRevoked { count: 2 },
        EventKind::ThrottleCleared { network: None },
    ] {
        let own = event(kind);
        assert_eq!(own.class(), EventClass::Administration, "{own:?}");
    }
    let signed_in = event(EventKind::SignedIn {
        session: SessionId::generate(now),
    });
    assert_eq!(signed_in.class(), EventClass::Accounts);
}

#[test]
fn details_have_what_a_kind_carries_and_no_more() {
    let detail = |kind: EventKind| serde_json::to_string(&kind.details()).unwrap();
    assert_eq!(detail(EventKind::UserDeleted), "{}");
    assert_eq!(
        detail(EventKind::Throttled {
            axis: ThrottleAxis::ForgedTokens,
            retry_after: Duration::from_secs(9)
        }),
        r#"{"limit":"forged_tokens","retry_after":9}"#
    );
    let roles = [Role::ADMIN, Role::CLIENT].into_iter().collect();
    assert_eq!(
        detail(EventKind::RolesChanged { roles }),
        r#"{"roles":["ADMIN","CLIENT"]}"#
    );
    assert_eq!(
        detail(EventKind::SignInFailed {
            reason: SignInFailure::NoSuchUser
        }),
        r#"{"reason":"no_such_user"}"#
    );
}
