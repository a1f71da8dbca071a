//! Each record is read back as it was written, also from a database from before records had versions, and never from a newer one.

use std::{net::IpAddr, time::Duration};

use secrecy::ExposeSecret;

use super::{
    api_token::ApiTokenRecord, attempts::AttemptsRecord, event::EventRecord, invitation::InvitationRecord,
    key_ring::KeyRingRecord, session::SessionRecord, user::UserRecord,
};
use crate::{
    clock::Timestamp,
    domain::{
        Algorithm, ApiToken, ApiTokenHash, ApiTokenId, ApiTokenName, Attributes, Client, ClientAddress,
        Device, DeviceSignIn, DeviceTokenHash, DisplayName, FailedAttempts, Invitation, InvitationHash,
        InvitationId, Maker, PasswordHash, RefreshGrant, RequestContext, RequestId, ResetCode, ResetCodeHash,
        Role, Session, SessionId, TokenId, TokenRecord, User, UserChange, UserId, Username, WhitelistEntry,
    },
    event::{Actor, Event, EventKind, TrailCursor},
    store::{error::StoreError, users::MAX_NETWORKS},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_hours(24);

/// A record in the repository.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/records/",
            $name
        ))
        .trim_end()
    };
}

/// The end of the record of a user with two devices.
const DEVICES: &str = r#","devices":[["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","07070707-0707-0707-0707-070707070707",1800000000,false,"Firefox on Linux"],["CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg","08080808-0808-0808-0808-080808080808",1800000060,true,null]]}"#;

/// The record as a server writes it that knows versions.
fn of_version(version: u32, record: &str) -> String {
    record.replacen('{', &format!("{{\"v\":{version},"), 1)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn user_id() -> UserId {
    UserId::parse("0192f0c1-2e3d-7a4b-8c5d-6e7f80910213").unwrap()
}

fn user() -> User {
    let hash = PasswordHash::parse(&format!("$2b$12${}", "a".repeat(53))).unwrap();
    let roles = [Role::ADMIN, Role::CLIENT].into_iter().collect();
    User {
        id: user_id(),
        password_version: 3,
        display_name: DisplayName::parse("Ada ✨").ok(),
        ..User::new(Username::parse("ada").unwrap(), hash, roles, NOW)
    }
}

fn token(id: &str, issued_at: u64, accepted_until: u64) -> WhitelistEntry {
    WhitelistEntry {
        token: TokenRecord {
            id: TokenId::parse(id).unwrap(),
            issued_at: later(issued_at),
            expires_at: later(issued_at + 300),
        },
        accepted_until: later(accepted_until),
    }
}

fn session() -> Session {
    Session {
        id: SessionId::from_bytes([7; 16]),
        user: user_id(),
        created_at: NOW,
        ends_at: NOW.plus(30 * DAY),
        tokens: [
            token("BwcHBwcHBwcHBwcHBwcHBw", 0, 280),
            token("CAgICAgICAgICAgICAgICA", 270, 570),
        ]
        .into_iter()
        .collect(),
        refresh: Some(RefreshGrant {
            generation: 2,
            granted_at: later(270),
            expires_at: NOW.plus(7 * DAY),
        }),
        client: Client {
            address: Some(ClientAddress::new(IpAddr::from([192, 0, 2, 7]))),
            device: Device::parse("Firefox on Linux"),
        },
        used_at: later(271),
    }
}

fn api_token() -> ApiToken {
    ApiToken {
        id: ApiTokenId::from_bytes([7; 16]),
        user: user_id(),
        hash: ApiTokenHash::from_bytes([7; 32]),
        name: ApiTokenName::parse("nightly build").unwrap(),
        roles: [Role::CLIENT].into_iter().collect(),
        may_administer: false,
        created_at: NOW,
        expires_at: NOW.plus(30 * DAY),
        used_at: Some(later(3600)),
    }
}

#[test]
fn a_user_is_read_as_written_with_and_without_a_version() {
    let old = fixture!("user.json");
    let new = of_version(1, old);
    for record in [old, &new] {
        let record = UserRecord::read(user_id(), record.as_bytes()).unwrap();
        assert_eq!(record.user(user_id()).unwrap(), user());
        assert_eq!(text(record.write().unwrap()), new);
    }
    // Without devices, as a database has it from before there were any.
    let record = UserRecord::read(user_id(), old.as_bytes()).unwrap();
    assert_eq!(
        record.last_sign_in_with(DeviceTokenHash::from_bytes([7; 32])),
        None
    );
    let least = UserRecord::read(user_id(), fixture!("user-least.json").as_bytes()).unwrap();
    let expected = User {
        password_version: 0,
        roles: [].into_iter().collect(),
        disabled: true,
        display_name: None,
        ..user()
    };
    assert_eq!(least.user(user_id()).unwrap(), expected);
}

#[test]
fn what_an_administrator_gave_a_user_is_read_as_written() {
    let record = fixture!("user-administered.json");
    let read = UserRecord::read(user_id(), record.as_bytes()).unwrap();
    let attributes = serde_json::json!({"groups": ["a", "b"], "level": 7, "staff": true, "tenant": "north"});
    let expected = User {
        must_change_password: true,
        attributes: Attributes::parse(attributes.as_object().unwrap()).unwrap(),
        ..user().with(UserChange::GiveRole(Role::CLIENT, Some(later(60))))
    };
    assert_eq!(read.user(user_id()).unwrap(), expected);
    assert_eq!(text(read.write().unwrap()), record);
    for (good, bad) in [("tenant", "sub"), ("CLIENT", "client"), ("7", "null")] {
        let bad = record.replacen(good, bad, 1);
        let record = UserRecord::read(user_id(), bad.as_bytes()).unwrap();
        let refused = record.user(user_id());
        assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{bad}");
    }
}

#[test]
fn a_session_is_read_as_written_with_and_without_a_version() {
    let old = fixture!("session.json");
    let new = of_version(1, old);
    for record in [old, &new] {
        let read = SessionRecord::read(&[7; 16], record.as_bytes()).unwrap();
        assert_eq!(read, session());
        assert_eq!(text(SessionRecord::write(&read).unwrap()), new);
    }
    let least = SessionRecord::read(&[7; 16], fixture!("session-least.json").as_bytes()).unwrap();
    let expected = Session {
        tokens: [token("BwcHBwcHBwcHBwcHBwcHBw", 0, 300)].into_iter().collect(),
        refresh: None,
        client: Client::default(),
        used_at: NOW,
        ..session()
    };
    assert_eq!(least, expected);
}

#[test]
fn an_api_token_is_read_as_written_with_and_without_a_version() {
    let old = fixture!("api_token.json");
    let new = of_version(1, old);
    for record in [old, &new] {
        let read = ApiTokenRecord::read(&[7; 16], record.as_bytes()).unwrap();
        assert_eq!(read, api_token());
        assert_eq!(text(ApiTokenRecord::write(&read).unwrap()), new);
    }
    let least = ApiTokenRecord::read(&[7; 16], fixture!("api_token-least.json").as_bytes()).unwrap();
    let expected = ApiToken {
        roles: [].into_iter().collect(),
        used_at: None,
        ..api_token()
    };
    assert_eq!(least, expected);
}

/// An administrator with this version of their password.
fn maker(password_version: u32) -> Maker {
    Maker {
        user: user_id(),
        password_version,
    }
}

#[test]
fn an_invitation_is_read_as_written() {
    let invitation = Invitation {
        id: InvitationId::from_bytes([7; 16]),
        hash: InvitationHash::from_bytes([7; 32]),
        roles: [Role::CLIENT].into_iter().collect(),
        username: Username::parse("ada").ok(),
        made_by: Some(maker(0)),
        created_at: NOW,
        expires_at: NOW.plus(30 * DAY),
    };
    let least = Invitation {
        roles: [].into_iter().collect(),
        username: None,
        made_by: None,
        ..invitation.clone()
    };
    let later = Invitation {
        made_by: Some(maker(3)),
        ..invitation.clone()
    };
    for (record, expected) in [
        (fixture!("invitation.json"), invitation),
        (fixture!("invitation-least.json"), least),
        (fixture!("invitation-later_password.json"), later),
    ] {
        let read = InvitationRecord::read(&[7; 16], record.as_bytes()).unwrap();
        assert_eq!(read, expected);
        assert_eq!(text(InvitationRecord::write(&read).unwrap()), record);
    }
}

#[test]
fn the_reset_code_of_a_user_is_read_as_written() {
    let record = fixture!("user-reset.json");
    let read = UserRecord::read(user_id(), record.as_bytes()).unwrap();
    let code = ResetCode {
        hash: ResetCodeHash::from_bytes([7; 32]),
        user: user_id(),
        made_by: Some(maker(0)),
        expires_at: later(60),
    };
    let after = fixture!("user-reset_later_password.json");
    let read_after = UserRecord::read(user_id(), after.as_bytes()).unwrap();
    let made_by = read_after
        .reset_code(user_id())
        .unwrap()
        .and_then(|code| code.made_by);
    assert_eq!(made_by, Some(maker(3)));
    assert_eq!(text(read_after.write().unwrap()), after);
    let kept = read_after.update(&user()).reset_code(user_id()).unwrap();
    assert_eq!(kept.and_then(|code| code.made_by), made_by);
    assert_eq!(read.reset_code(user_id()).unwrap(), Some(code.clone()));
    assert_eq!(text(read.write().unwrap()), record);
    // A change of the user leaves it, unless it disables them.
    let read = read.update(&user());
    assert_eq!(read.reset_code(user_id()).unwrap(), Some(code));
    let read = read.update(&user().with(UserChange::Disabled(true)));
    assert_eq!(read.reset_code(user_id()).unwrap(), None);
    let bad = record.replace("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "secret");
    let bad = UserRecord::read(user_id(), bad.as_bytes()).unwrap();
    let refused = bad.reset_code(user_id()).unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[test]
fn a_key_ring_is_read_as_written_with_and_without_a_version() {
    let old = fixture!("key_ring.json");
    let new = of_version(1, old);
    for record in [old, &new] {
        let ring = KeyRingRecord::read(record.as_bytes()).unwrap();
        let [first, second] = ring.keys.keys() else {
            panic!()
        };
        let private = first.material.private.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!((ring.revision, private), (4, Some(&[7; 32][..])));
        assert_eq!(
            (first.signs_until, second.signs_until),
            (Some(NOW.plus(30 * DAY)), None)
        );
        assert_eq!(second.algorithm, Algorithm::EdDsa);
        assert!(second.material.private.is_none() && !second.published);
        assert_eq!(text(KeyRingRecord::write(&ring).unwrap()), new);
    }
}

#[test]
fn a_lone_key_is_read_as_a_ring_of_one() {
    let own = fixture!("key_ring-lone.json");
    let given = r#"{"id":"k1","check":"mark of k1"}"#;
    for (record, secret) in [(own, Some(&[7; 3][..])), (given, None)] {
        let ring = KeyRingRecord::read(record.as_bytes()).unwrap();
        let [key] = ring.keys.keys() else { panic!() };
        assert_eq!((key.id.as_str(), key.algorithm), ("k1", Algorithm::Hs256));
        let private = key.material.private.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!((private, key.material.mark.as_str()), (secret, "mark of k1"));
        assert_eq!((ring.revision, key.signs_until), (0, None));
        let again = KeyRingRecord::read(&KeyRingRecord::write(&ring).unwrap()).unwrap();
        assert_eq!(again.keys.keys()[0].id, "k1");
    }
}

#[test]
fn failed_attempts_are_read_as_written() {
    let attempts = FailedAttempts { failures: 7, at: NOW };
    let record = AttemptsRecord::write(attempts);
    assert_eq!(AttemptsRecord::read(&record).unwrap(), attempts);
    for length in (0..12).chain([13]) {
        let error = AttemptsRecord::read(&[0; 13][..length]).unwrap_err();
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
    }
}

#[test]
fn an_event_is_read_as_written() {
    let session = SessionId::from_bytes([7; 16]);
    let client = Client {
        address: Some(ClientAddress::new(IpAddr::from([192, 0, 2, 7]))),
        device: Device::parse("Firefox on Linux"),
    };
    let event = Event {
        kind: EventKind::SessionEnded { session },
        subject: Some(user_id()),
        actor: Actor::User {
            id: UserId::from_bytes([7; 16]),
            session: Some(session),
            api_token: Some(ApiTokenId::from_bytes([8; 16])),
        },
        context: RequestContext {
            client,
            request_id: Some(RequestId::new(0x9a)),
        },
        at: NOW,
    };
    let name = |id| {
        let name = if id == user_id() { "ada" } else { "bob" };
        Ok(Username::parse(name).ok())
    };
    let record = fixture!("event.json");
    assert_eq!(text(EventRecord::write(&event, 3, name).unwrap()), record);
    let place = TrailCursor::new(7);
    let read = EventRecord::read(place, record.as_bytes()).unwrap();
    assert_eq!((read.place, read.at, read.times), (place, NOW, 3));
    assert_eq!(
        (read.kind.as_str(), read.subject),
        ("session_ended", event.subject)
    );
    assert_eq!(read.actor, event.actor);
    let names = [&read.subject_name, &read.actor_name].map(|name| name.as_ref().unwrap().as_str());
    assert_eq!(names, ["ada", "bob"]);
    assert_eq!(read.address, event.context.client.address);
    assert_eq!(read.request_id, event.context.request_id);
    assert_eq!(read.details, event.kind.details());
    assert_eq!(EventRecord::moment(record.as_bytes()), Some(NOW));

    let least = EventRecord::read(place, fixture!("event-least.json").as_bytes()).unwrap();
    assert_eq!((least.kind.as_str(), least.times), ("a_kind_of_later", 1));
    assert_eq!(
        (least.actor, least.subject),
        (Actor::Operator { uid: None }, None)
    );
    assert_eq!((least.address, least.request_id), (None, None));
    assert!(least.details.is_empty());
    for (good, bad) in [("ada", "a b"), ("192.0.2.7", "x"), ("000000000000009a", "9a")] {
        let bad = record.replacen(good, bad, 1);
        let refused = EventRecord::read(place, bad.as_bytes());
        assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{bad}");
    }
}

/// What reading `record` as each kind of record fails with.
fn errors(record: &str) -> [StoreError; 6] {
    let bytes = record.as_bytes();
    [
        UserRecord::read(user_id(), bytes).err().unwrap(),
        SessionRecord::read(&[7; 16], bytes).err().unwrap(),
        ApiTokenRecord::read(&[7; 16], bytes).err().unwrap(),
        InvitationRecord::read(&[7; 16], bytes).err().unwrap(),
        KeyRingRecord::read(bytes).err().unwrap(),
        EventRecord::read(TrailCursor::new(7), bytes).err().unwrap(),
    ]
}

#[test]
fn a_record_of_a_newer_version_is_refused_and_said_to_be_newer() {
    let key = of_version(2, fixture!("key_ring-lone.json"));
    let refused = KeyRingRecord::read(key.as_bytes()).err().unwrap();
    assert!(matches!(refused, StoreError::NewerRecord { .. }), "{refused}");
    let invitation = fixture!("invitation-least.json").replacen("\"v\":1,", "", 1);
    // Whether the present version can make sense of the other fields or not.
    for record in [
        fixture!("user.json"),
        fixture!("session.json"),
        fixture!("api_token.json"),
        &invitation,
        fixture!("key_ring.json"),
        r#"{"at":1,"kind":"user_enabled","actor":"server"}"#,
        r#"{"what":"no version known today has"}"#,
    ] {
        for error in errors(&of_version(2, record)) {
            let newer = matches!(
                error,
                StoreError::NewerRecord {
                    found: 2,
                    known: 1,
                    ..
                }
            );
            assert!(newer, "{error}");
        }
    }
}

#[test]
fn the_error_of_a_bad_record_shows_nothing_of_it() {
    for record in [
        "",
        "{}",
        "[]",
        r#"{"v":"secret"}"#,
        r#"{"v":0,"username":"secret"}"#,
        r#"{"v":-1,"user":"secret"}"#,
        r#"{"revision":1,"keys":[{"id":"secret"}]}"#,
        r#"{"username":"secret","password_hash":"secret"}"#,
    ] {
        for error in errors(record) {
            assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
    let zero = of_version(0, fixture!("session.json"));
    let refused = SessionRecord::read(&[7; 16], zero.as_bytes()).unwrap_err();
    assert!(matches!(refused, StoreError::Unreadable(_)), "{refused}");
}

#[test]
fn the_devices_of_a_user_are_read_as_written() {
    let old = fixture!("user.json");
    let record = format!("{}{}", &old[..old.len() - 1], DEVICES);
    let record = of_version(1, &record);
    let mut read = UserRecord::read(user_id(), record.as_bytes()).unwrap();
    assert_eq!(text(read.write().unwrap()), record);
    let (first, second) = ([7; 32], [8; 32]);
    let seen = |record: &UserRecord, token| record.last_sign_in_with(DeviceTokenHash::from_bytes(token));
    assert_eq!(seen(&read, first), Some(NOW));
    assert_eq!(seen(&read, second), Some(later(60)));
    let presented = DeviceSignIn::Presented(DeviceTokenHash::from_bytes(first));
    let again = Session {
        created_at: later(90),
        ..session()
    };
    assert!(read.note_session(&again, Some(presented)).unwrap());
    assert_eq!(seen(&read, first), Some(later(90)));
    // A change of the user leaves them, and a row that makes no sense is named and not shown.
    let read = read.update(&user());
    assert_eq!(seen(&read, second), Some(later(60)));
    let bad = record.replace("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "secret");
    let mut bad = UserRecord::read(user_id(), bad.as_bytes()).unwrap();
    let refused = bad.note_session(&session(), Some(presented)).unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[test]
fn a_user_record_keeps_the_most_recent_networks() {
    let network = |n: usize| {
        let [high, low] = u16::try_from(n).unwrap().to_be_bytes();
        ClientAddress::new([10, high, low, 1].into()).network()
    };
    let mut record = UserRecord::of(&user());
    for n in 0..=MAX_NETWORKS {
        record.note_sign_in(network(n), later(n as u64));
    }
    let record = record.update(&User {
        disabled: true,
        ..user()
    });
    let record = UserRecord::read(user_id(), &record.write().unwrap()).unwrap();
    assert!(record.user(user_id()).unwrap().disabled);
    assert_eq!(record.last_sign_in(network(0)), None);
    for n in 1..=MAX_NETWORKS {
        assert_eq!(record.last_sign_in(network(n)), Some(later(n as u64)));
    }
}
