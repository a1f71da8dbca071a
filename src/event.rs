//! What happens in the server, as one type: an [`Event`] says what happened, to which user, by which actor, from where and
//! when. [`Listeners`] are injected like the clock; each verb emits its events in one place. An event carries no secret: no
//! password, no token and no name that a client typed. This room does not know what a listener does with an event.

mod class;
mod details;
mod trail;

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    domain::{ApiTokenId, InvitationId, Network, RequestContext, Roles, SessionId, UserId},
};

pub use self::{
    class::EventClass,
    details::Details,
    trail::{
        ActorFilter, TrailBounds, TrailCursor, TrailEntry, TrailOrder, TrailPage, TrailQuery, UserFilter,
    },
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The user to whom it happened; `None` if no user is known or concerned.
    pub subject: Option<UserId>,
    /// Who did it.
    pub actor: Actor,
    /// The request by which they did it; the default if there was none.
    pub context: RequestContext,
    /// When it happened.
    pub at: Timestamp,
}

/// What happened.
///
/// The [`subject`](Event::subject) of an event about an account, a session or a token is the user that owns it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A user was created: by a sign-up, or by the operator.
    UserCreated {
        /// The roles that the user has.
        roles: Roles,
    },
    /// A sign-up was refused.
    SignUpRefused {
        /// Why. For the log only.
        reason: SignUpRefusal,
    },
    /// A user signed in with the right password.
    SignedIn {
        /// The session that began.
        session: SessionId,
    },
    /// A sign-in was refused. The subject is the user with the username, if there is one.
    SignInFailed {
        /// Why. For the log only: the client is told the same for every cause except a disabled account.
        reason: SignInFailure,
    },
    /// A client presented a refresh token that was spent before, outside the grace. Its session ended (RFC 9700, section
    /// 4.14.2).
    RefreshTokenReused {
        /// The session that ended.
        session: SessionId,
    },
    /// A client logged out, by log-out or by the revocation of one of its session's tokens (RFC 7009).
    LoggedOut {
        /// The session that ended.
        session: SessionId,
    },
    /// One session of a user was ended from another one, or by an administrator or the operator.
    SessionEnded {
        /// The session that ended.
        session: SessionId,
    },
    /// Several sessions or API tokens ended at once. Without a subject: those of every user.
    SessionsEnded {
        /// How many sessions and API tokens ended.
        count: usize,
    },
    /// A user has another password, and every older session of theirs has ended. A rehash of the same password is no such
    /// event.
    PasswordChanged {
        /// The session that began with the new password.
        session: SessionId,
    },
    /// A signed-in client gave another password than the user's current one, for something that needs that password.
    CurrentPasswordWrong,
    /// An administrator or the operator gave a user another password, and every session of theirs has ended.
    PasswordSet,
    /// An administrator or the operator made a reset code for a user, in place of an earlier one.
    ResetCodeMade,
    /// A user has another password by a reset code, and every older session of theirs has ended, and every API token.
    PasswordReset {
        /// The session that began with the new password.
        session: SessionId,
    },
    /// A client presented a reset code that is not accepted.
    ResetCodeRefused,
    /// A signed-in user has given their password again.
    SessionConfirmed {
        /// The session in which they did.
        session: SessionId,
    },
    /// An administrator or the operator made an invitation.
    InvitationMade {
        /// The id of the invitation, which is no secret.
        invitation: InvitationId,
        /// The roles that it gives.
        roles: Roles,
    },
    /// An invitation was revoked before it was used or had expired.
    InvitationRevoked {
        /// The id of the invitation, which is no secret.
        invitation: InvitationId,
    },
    /// A user was created by an invitation: an event beside [`UserCreated`](Self::UserCreated).
    InvitationUsed {
        /// The id of the invitation, which is no secret.
        invitation: InvitationId,
    },
    /// A user has other roles.
    RolesChanged {
        /// The roles that the user has now.
        roles: Roles,
    },
    /// A user has another display name.
    DisplayNameChanged,
    /// The user has other attributes.
    AttributesChanged,
    /// A user was disabled: no sign-in and no token of theirs is accepted.
    UserDisabled,
    /// A disabled user was enabled again.
    UserEnabled,
    /// A user was deleted, with every session and API token.
    UserDeleted,
    /// Users who come from elsewhere are added or changed, all at once. If the [actor](Event::actor) is the server, the start has
    /// done the rest of an import that was cut short, and this counts that rest.
    UsersImported {
        /// How many were added.
        added: u64,
        /// How many were changed.
        updated: u64,
    },
    /// All users are going to be written for another server or a backup.
    UsersExported {
        /// Whether the hashes of their passwords are among it.
        with_hashes: bool,
    },
    /// Several API tokens of a user, or all there were, were revoked at once.
    ApiTokensRevoked {
        /// How many.
        count: usize,
    },
    /// A user made an API token.
    ApiTokenCreated {
        /// The id of the token, which is no secret.
        api_token: ApiTokenId,
    },
    /// An API token was revoked before it expired.
    ApiTokenRevoked {
        /// The id of the token, which is no secret.
        api_token: ApiTokenId,
    },
    /// The server made a signing key because it had none.
    SigningKeyCreated {
        /// The `kid` of the key.
        kid: String,
    },
    /// A new signing key was added. It takes over from the present one, at once or when it has been published long enough.
    SigningKeyRotated {
        /// The `kid` of the new key.
        kid: String,
    },
    /// Every signing key was revoked, and a new one signs instead: no token of the others is accepted.
    SigningKeyRevoked {
        /// The `kid` of the new key.
        kid: String,
    },
    /// The settings give another signing key than before, and it signs instead.
    SigningKeyReplaced {
        /// The `kid` of the new key.
        kid: String,
    },
    /// The throttle refused an attempt before its password or token was checked, or a sign-up.
    Throttled {
        /// What was too much, and where it is counted. For the log only.
        axis: ThrottleAxis,
        /// After what time the next attempt is admitted.
        retry_after: Duration,
    },
    /// An administrator or the operator freed a user or a network that the throttle made wait.
    ThrottleCleared {
        /// The network, or the one from which the user waited; `None` if the user was freed everywhere.
        network: Option<Network>,
    },
    /// The store stopped accepting writes and tries to recover.
    StoreOutageBegan,
    /// The store accepts writes again.
    StoreOutageEnded,
    /// The audit trail lacks events, because too many waited to be written.
    EventsLeftOut {
        /// How many it lacks.
        count: u64,
    },
    /// The audit trail lacks refusals, because too many came within a second.
    RefusalsLeftOut {
        /// How many it lacks.
        count: u64,
    },
}

impl EventKind {
    /// The name of the kind for logs, metrics and the audit trail. It never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UserCreated { .. } => "user_created",
            Self::SignUpRefused { .. } => "sign_up_refused",
            Self::SignedIn { .. } => "signed_in",
            Self::SignInFailed { .. } => "sign_in_failed",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::LoggedOut { .. } => "logged_out",
            Self::SessionEnded { .. } => "session_ended",
            Self::SessionsEnded { .. } => "sessions_ended",
            Self::ApiTokensRevoked { .. } => "api_tokens_revoked",
            Self::PasswordChanged { .. } => "password_changed",
            Self::CurrentPasswordWrong => "current_password_wrong",
            Self::PasswordSet => "password_set",
            Self::ResetCodeMade => "reset_code_made",
            Self::PasswordReset { .. } => "password_reset",
            Self::ResetCodeRefused => "reset_code_refused",
            Self::SessionConfirmed { .. } => "session_confirmed",
            Self::InvitationMade { .. } => "invitation_made",
            Self::InvitationRevoked { .. } => "invitation_revoked",
            Self::InvitationUsed { .. } => "invitation_used",
            Self::RolesChanged { .. } => "roles_changed",
            Self::DisplayNameChanged => "display_name_changed",
            Self::AttributesChanged => "attributes_changed",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserDeleted => "user_deleted",
            Self::UsersImported { .. } => "users_imported",
            Self::UsersExported { .. } => "users_exported",
            Self::ApiTokenCreated { .. } => "api_token_created",
            Self::ApiTokenRevoked { .. } => "api_token_revoked",
            Self::SigningKeyCreated { .. } => "signing_key_created",
            Self::SigningKeyRotated { .. } => "signing_key_rotated",
            Self::SigningKeyRevoked { .. } => "signing_key_revoked",
            Self::SigningKeyReplaced { .. } => "signing_key_replaced",
            Self::Throttled { .. } => "throttled",
            Self::ThrottleCleared { .. } => "throttle_cleared",
            Self::StoreOutageBegan => "store_outage_began",
            Self::StoreOutageEnded => "store_outage_ended",
            Self::EventsLeftOut { .. } => "events_left_out",
            Self::RefusalsLeftOut { .. } => "refusals_left_out",
        }
    }
}

/// Why a sign-up was refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignUpRefusal {
    /// The settings close sign-up.
    Closed,
    /// Another user has the username.
    UsernameTaken,
    /// The password is too short or too easy to guess.
    PasswordRejected,
    /// The invitation is unknown, used or revoked, or has expired.
    InvitationRefused,
    /// The invitation is for another username.
    AnotherUsername,
}

/// Why a sign-in was refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignInFailure {
    /// The username or the password is none that a user can have.
    Malformed,
    /// No user has the username.
    NoSuchUser,
    /// The user has another password.
    WrongPassword,
    /// The password was right, but the user was deleted, disabled or given another password meanwhile.
    ChangedMeanwhile,
    /// The password was right, but the user is disabled.
    AccountDisabled,
    /// The password was right, but the user must change it first.
    PasswordChangeRequired,
    /// Too many passwords wait to be hashed, so the server did not check this one.
    Busy,
}

/// What was too much, and where the throttle counts it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThrottleAxis {
    /// Wrong passwords, by the network of the client.
    Address,
    /// Wrong passwords, by the account, over every client that has never signed in to it.
    Account,
    /// Foreign tokens, by the user who introspects them.
    Caller,
    /// Sign-ups, by the network of the client.
    SignUps,
    /// Tokens with a wrong signature, by the network of the client.
    ForgedTokens,
    /// Durable changes, by the session and its user.
    Changes,
    /// Refreshes, by the session.
    Refreshes,
}

/// Who did something.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A client that presented no credentials, or none that are accepted.
    #[default]
    Anonymous,
    /// A user.
    User {
        /// The user.
        id: UserId,
        /// The session that they presented, or that their sign-in began; `None` if they presented none.
        session: Option<SessionId>,
        /// The API token that they presented; `None` if they presented none.
        api_token: Option<ApiTokenId>,
    },
    /// The operator, by the control socket or the command line.
    Operator {
        /// The id that the operating system knows them by, if it says so.
        uid: Option<u32>,
    },
    /// The server itself: a timer, or the start.
    Server,
}

impl Actor {
    /// The name of the kind of actor, for logs and the audit trail. It never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User { .. } => "user",
            Self::Operator { .. } => "operator",
            Self::Server => "server",
        }
    }
}

/// Takes note of events.
///
/// The verb that emits an event waits for each listener. So a listener does no I/O: it hands the event to a thread or a task
/// of its own. A listener must not panic.
pub trait EventListener: Send + Sync {
    /// Takes note of `event`, which has happened already.
    fn notice(&self, event: &Event);
}

/// Every listener of a server, in the order in which they are told. Empty by default; cheap to clone.
#[derive(Clone, Default)]
pub struct Listeners(Arc<[Arc<dyn EventListener>]>);

impl Listeners {
    /// Tells every listener of `event`.
    pub fn emit(&self, event: &Event) {
        for listener in self.0.iter() {
            listener.notice(event);
        }
    }

    /// Whether there is no listener, so that an event need not be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Arc<dyn EventListener>> for Listeners {
    fn from_iter<I: IntoIterator<Item = Arc<dyn EventListener>>>(listeners: I) -> Self {
        Self(listeners.into_iter().collect())
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests;
