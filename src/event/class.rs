//! The classes of events, each of which the audit trail bounds by itself: so no client can push out what an administrator did.

use super::{Actor, Event, EventKind};
use crate::domain::Role;

/// A class of events in the audit trail, by what it takes to cause one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// An administrator, the operator or the server did something.
    Administration,
    /// A client did something with an account of its own: signed up, signed in or out, changed the account.
    Accounts,
    /// The server refused something. Any client can cause as many as it likes.
    Refusals,
}

impl EventClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Administration, Self::Accounts, Self::Refusals];
}

impl Event {
    /// The class of the event.
    #[must_use]
    pub fn class(&self) -> EventClass {
        if self.kind.is_refusal() {
            return EventClass::Refusals;
        }
        if self.kind.is_administration() {
            return EventClass::Administration;
        }
        match self.actor {
            Actor::Anonymous => EventClass::Accounts,
            Actor::User { id, .. } if self.subject == Some(id) => EventClass::Accounts,
            Actor::User { .. } | Actor::Operator { .. } | Actor::Server => EventClass::Administration,
        }
    }
}

impl EventKind {
    /// Whether only an administrator, the operator or the server can cause it, or a client as often as one of them has allowed
    /// it. So it counts as theirs also if an administrator does it to themselves.
    fn is_administration(&self) -> bool {
        match self {
            Self::UserCreated { roles } => roles.contains(&Role::ADMIN),
            Self::PasswordSet
            | Self::ResetCodeMade
            | Self::InvitationMade { .. }
            | Self::InvitationRevoked { .. }
            | Self::InvitationUsed { .. }
            | Self::RolesChanged { .. }
            | Self::AttributesChanged
            | Self::UserDisabled
            | Self::UserEnabled
            | Self::UsersImported { .. }
            | Self::ApiTokensRevoked { .. }
            | Self::ThrottleCleared { .. } => true,
            _ => false,
        }
    }

    /// Whether something was refused. What a client can cause without a right, as often as it likes, must be among these.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::SignUpRefused { .. }
            | Self::SignInFailed { .. }
            | Self::CurrentPasswordWrong
            | Self::ResetCodeRefused
            | Self::Throttled { .. }
            | Self::RefusalsLeftOut { .. } => true,
            Self::UserCreated { .. }
            | Self::SignedIn { .. }
            | Self::RefreshTokenReused { .. }
            | Self::LoggedOut { .. }
            | Self::SessionEnded { .. }
            | Self::SessionsEnded { .. }
            | Self::ApiTokensRevoked { .. }
            | Self::PasswordChanged { .. }
            | Self::PasswordSet
            | Self::ResetCodeMade
            | Self::PasswordReset { .. }
            | Self::SessionConfirmed { .. }
            | Self::InvitationMade { .. }
            | Self::InvitationRevoked { .. }
            | Self::InvitationUsed { .. }
            | Self::RolesChanged { .. }
            | Self::DisplayNameChanged
            | Self::AttributesChanged
            | Self::UserDisabled
            | Self::UserEnabled
            | Self::UserDeleted
            | Self::UsersImported { .. }
            | Self::UsersExported { .. }
            | Self::ApiTokenCreated { .. }
            | Self::ApiTokenRevoked { .. }
            | Self::SigningKeyCreated { .. }
            | Self::SigningKeyRotated { .. }
            | Self::SigningKeyRevoked { .. }
            | Self::SigningKeyReplaced { .. }
            | Self::ThrottleCleared { .. }
            | Self::StoreOutageBegan
            | Self::StoreOutageEnded
            | Self::EventsLeftOut { .. } => false,
        }
    }
}
