//! The audit trail as its readers see it: an entry for each event that was kept, and which entries a reader asks for.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Actor, Details};
use crate::{
    clock::Timestamp,
    domain::{ClientAddress, PageLimit, RequestId, UserId, Username},
};

/// An event in the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct TrailEntry {
    /// Where it stands in the trail: behind every entry that was kept before it, also if the clock was set back meanwhile.
    pub place: TrailCursor,
    /// When it happened.
    pub at: Timestamp,
    /// The name of its kind: see [`EventKind::name`](super::EventKind::name). Another version may have kept kinds that this one does not know.
    pub kind: String,
    /// The user to whom it happened; `None` if no user is known or concerned.
    pub subject: Option<UserId>,
    /// That user's name then, also if the user has been deleted since.
    pub subject_name: Option<Username>,
    /// Who did it.
    pub actor: Actor,
    /// The actor's name then, if the actor is a user, also if that user has been deleted since.
    pub actor_name: Option<Username>,
    /// The client's address; `None` if it is unknown or there was no client.
    pub address: Option<ClientAddress>,
    /// The request; `None` if there was none, or it had no id.
    pub request_id: Option<RequestId>,
    /// What else its kind carries.
    pub details: Details,
    /// How many refusals of the same kind the entry stands for: those of one second, with the same user, actor and network. The
    /// time, the address and the request are the first one's.
    pub times: u32,
}

/// A place in the audit trail. Its text is opaque to clients, and stays valid while entries are added and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrailCursor(u64);

impl TrailCursor {
    /// The place with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the place.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The cursor whose text is `input`. Returns `None` if no cursor has it.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        match URL_SAFE_NO_PAD.decode_slice(input, &mut bytes) {
            Ok(8) => Some(Self(u64::from_be_bytes(bytes))),
            _ => None,
        }
    }
}

impl fmt::Display for TrailCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

/// In which order entries are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailOrder {
    /// The newest first, for a person who looks back.
    #[default]
    NewestFirst,
    /// The oldest first, for a reader who follows.
    OldestFirst,
}

/// Which user an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFilter {
    /// The user with this id.
    Id(UserId),
    /// Every user who had this name: the present one, and those who were deleted.
    Name(Username),
}

impl UserFilter {
    /// The filter that `input` says: an id, or else a name. Returns `None` if it can be neither.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        match UserId::parse(input) {
            Ok(id) => Some(Self::Id(id)),
            Err(_) => Username::parse(input).ok().map(Self::Name),
        }
    }

    fn matches(&self, id: Option<UserId>, name: Option<&Username>) -> bool {
        match self {
            Self::Id(wanted) => id == Some(*wanted),
            Self::Name(wanted) => name == Some(wanted),
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorFilter {
    /// A client without credentials.
    Anonymous,
    /// The operator, whatever their uid.
    Operator,
    /// The server itself.
    Server,
    /// A user.
    User(UserFilter),
}

impl ActorFilter {
    /// The filter that `input` says: `anonymous`, `operator`, `server`, or a user's id or name. A user who has one of those words
    /// as a name is found by id. Returns `None` if it can be none of these.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        match input {
            "anonymous" => Some(Self::Anonymous),
            "operator" => Some(Self::Operator),
            "server" => Some(Self::Server),
            user => UserFilter::parse(user).map(Self::User),
        }
    }

    fn matches(&self, actor: Actor, name: Option<&Username>) -> bool {
        match (self, actor) {
            (Self::Anonymous, Actor::Anonymous)
            | (Self::Operator, Actor::Operator { .. })
            | (Self::Server, Actor::Server) => true,
            (Self::User(user), Actor::User { id, .. }) => user.matches(Some(id), name),
            _ => false,
        }
    }
}

/// Which entries to read. A field that is `None` excludes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailQuery {
    /// Those of the kind with this name.
    pub kind: Option<String>,
    /// Those about this user.
    pub user: Option<UserFilter>,
    /// Those that this actor caused.
    pub actor: Option<ActorFilter>,
    /// Those of this moment and later.
    pub since: Option<Timestamp>,
    /// Those before this moment.
    pub until: Option<Timestamp>,
    /// In which order.
    pub order: TrailOrder,
    /// Those behind this place, in that order.
    pub after: Option<TrailCursor>,
    /// How many entries a page has at most.
    pub limit: PageLimit,
}

impl TrailQuery {
    /// Whether the reader asks for `entry`, on whichever page.
    #[must_use]
    pub fn matches(&self, entry: &TrailEntry) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
            && self
                .user
                .as_ref()
                .is_none_or(|user| user.matches(entry.subject, entry.subject_name.as_ref()))
            && self
                .actor
                .as_ref()
                .is_none_or(|actor| actor.matches(entry.actor, entry.actor_name.as_ref()))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// A page of the audit trail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrailPage {
    /// The entries, in the order of the query.
    pub entries: Vec<TrailEntry>,
    /// Where the next page begins. `None` at the end of the trail. A page may have fewer entries than its limit, even none, and
    /// not be the last: what one read looks through is bounded.
    pub next: Option<TrailCursor>,
}

/// What is removed from the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailBounds {
    /// Entries before this moment are removed.
    pub before: Timestamp,
    /// The oldest entries of each class above this number are removed.
    pub at_most: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiTokenId, SessionId};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn entry() -> TrailEntry {
        let id = UserId::generate(NOW);
        TrailEntry {
            place: TrailCursor::new(7),
            at: NOW,
            kind: "user_disabled".to_owned(),
            subject: Some(id),
            subject_name: Username::parse("ada").ok(),
            actor: Actor::User {
                id: UserId::generate(NOW),
                session: Some(SessionId::generate(NOW)),
                api_token: Some(ApiTokenId::generate(NOW)),
            },
            actor_name: Username::parse("bob").ok(),
            address: None,
            request_id: None,
            details: Details::new(),
            times: 1,
        }
    }

    #[test]
    fn a_query_excludes_only_what_it_names() {
        let entry = entry();
        let with = |change: &dyn Fn(&mut TrailQuery)| {
            let mut query = TrailQuery::default();
            change(&mut query);
            query.matches(&entry)
        };
        assert!(with(&|_| ()));
        for (kind, found) in [("user_disabled", true), ("user_enabled", false)] {
            assert_eq!(with(&|query| query.kind = Some(kind.to_owned())), found);
        }
        let id = entry.subject.unwrap().to_string();
        for (user, found) in [("ada", true), ("bob", false), (id.as_str(), true)] {
            assert_eq!(
                with(&|query| query.user = UserFilter::parse(user)),
                found,
                "{user}"
            );
        }
        for (actor, found) in [
            ("bob", true),
            ("ada", false),
            (id.as_str(), false),
            ("operator", false),
            ("server", false),
            ("anonymous", false),
        ] {
            assert_eq!(
                with(&|query| query.actor = ActorFilter::parse(actor)),
                found,
                "{actor}"
            );
        }
        let later = NOW.plus(std::time::Duration::from_secs(1));
        assert!(with(&|query| query.since = Some(NOW)) && !with(&|query| query.since = Some(later)));
        assert!(with(&|query| query.until = Some(later)) && !with(&|query| query.until = Some(NOW)));
        assert_eq!(UserFilter::parse("a/b"), None);
        assert_eq!(ActorFilter::parse(""), None);
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        for number in [0, 1, u64::MAX] {
            let cursor = TrailCursor::new(number);
            assert_eq!(TrailCursor::parse(&cursor.to_string()), Some(cursor));
        }
        for bad in [
            "",
            "7",
            "AAAAAAAAAA",
            "AAAAAAAAAAE=",
            "AAAAAAAAAAEA",
            "AAAAAAAAAA!",
        ] {
            assert_eq!(TrailCursor::parse(bad), None, "{bad}");
        }
    }
}
