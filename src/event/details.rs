//! What a kind of event carries, as names and values, for the audit trail and the log.

use serde_json::{Map, Value, json};

use super::{EventKind, SignInFailure, SignUpRefusal, ThrottleAxis};
use crate::domain::Role;

/// What an event carries besides its kind: names and values, as JSON has them.
pub type Details = Map<String, Value>;

impl EventKind {
    /// The names of all kinds.
    pub const NAMES: &[&str] = &[
        "api_token_created",
        "api_token_revoked",
        "api_tokens_revoked",
        "attributes_changed",
        "current_password_wrong",
        "display_name_changed",
        "events_left_out",
        "invitation_made",
        "invitation_revoked",
        "invitation_used",
        "logged_out",
        "password_changed",
        "password_reset",
        "password_set",
        "refresh_token_reused",
        "refusals_left_out",
        "reset_code_made",
        "reset_code_refused",
        "roles_changed",
        "session_confirmed",
        "session_ended",
        "sessions_ended",
        "sign_in_failed",
        "sign_up_refused",
        "signed_in",
        "signing_key_created",
        "signing_key_replaced",
        "signing_key_revoked",
        "signing_key_rotated",
        "store_outage_began",
        "store_outage_ended",
        "throttle_cleared",
        "throttled",
        "user_created",
        "user_deleted",
        "user_disabled",
        "user_enabled",
        "users_exported",
        "users_imported",
    ];

    /// What the kind carries. The names never change.
    #[must_use]
    pub fn details(&self) -> Details {
        let details = match self {
            Self::UserCreated { roles } | Self::RolesChanged { roles } => {
                let roles: Vec<_> = roles.iter().map(Role::as_str).collect();
                json!({ "roles": roles })
            }
            Self::SignUpRefused { reason } => json!({ "reason": reason.name() }),
            Self::SignInFailed { reason } => json!({ "reason": reason.name() }),
            Self::SignedIn { session }
            | Self::RefreshTokenReused { session }
            | Self::LoggedOut { session }
            | Self::SessionEnded { session }
            | Self::PasswordChanged { session }
            | Self::PasswordReset { session }
            | Self::SessionConfirmed { session } => json!({ "session": session.to_string() }),
            Self::UsersImported { added, updated } => json!({ "added": added, "updated": updated }),
            Self::UsersExported { with_hashes } => json!({ "with_hashes": with_hashes }),
            Self::SessionsEnded { count } | Self::ApiTokensRevoked { count } => json!({ "count": count }),
            Self::ApiTokenCreated { api_token } | Self::ApiTokenRevoked { api_token } => {
                json!({ "api_token": api_token.to_string() })
            }
            Self::InvitationMade { invitation, roles } => {
                let roles: Vec<_> = roles.iter().map(Role::as_str).collect();
                json!({ "invitation": invitation.to_string(), "roles": roles })
            }
            Self::InvitationRevoked { invitation } | Self::InvitationUsed { invitation } => {
                json!({ "invitation": invitation.to_string() })
            }
            Self::SigningKeyCreated { kid }
            | Self::SigningKeyRotated { kid }
            | Self::SigningKeyRevoked { kid }
            | Self::SigningKeyReplaced { kid } => json!({ "kid": kid }),
            Self::Throttled { axis, retry_after } => {
                json!({ "limit": axis.name(), "retry_after": retry_after.as_secs() })
            }
            Self::ThrottleCleared { network } => match network {
                Some(network) => json!({ "network": network.address().to_string() }),
                None => json!({}),
            },
            Self::EventsLeftOut { count } | Self::RefusalsLeftOut { count } => json!({ "count": count }),
            Self::CurrentPasswordWrong
            | Self::PasswordSet
            | Self::ResetCodeMade
            | Self::ResetCodeRefused
            | Self::DisplayNameChanged
            | Self::AttributesChanged
            | Self::UserDisabled
            | Self::UserEnabled
            | Self::UserDeleted
            | Self::StoreOutageBegan
            | Self::StoreOutageEnded => json!({}),
        };
        match details {
            Value::Object(details) => details,
            _ => Details::new(),
        }
    }
}

impl SignUpRefusal {
    /// The name of the reason. It never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::UsernameTaken => "username_taken",
            Self::PasswordRejected => "password_rejected",
            Self::InvitationRefused => "invitation_refused",
            Self::AnotherUsername => "another_username",
        }
    }
}

impl SignInFailure {
    /// The name of the reason. It never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSuchUser => "no_such_user",
            Self::WrongPassword => "wrong_password",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::AccountDisabled => "account_disabled",
            Self::PasswordChangeRequired => "password_change_required",
            Self::Busy => "busy",
        }
    }
}

impl ThrottleAxis {
    /// The name of the axis. It never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Account => "account",
            Self::Caller => "caller",
            Self::SignUps => "sign_ups",
            Self::ForgedTokens => "forged_tokens",
            Self::Changes => "changes",
            Self::Refreshes => "refreshes",
        }
    }
}
