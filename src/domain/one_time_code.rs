//! One-time codes: secrets that a person is given once, outside this server, and that allow one thing once. An invitation allows
//! a sign-up, a reset code another password. Their texts are not handled here: see `tokens`.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{InvitationHash, InvitationId, PageLimit, ResetCodeHash, Role, Roles, User, UserId, Username};
use crate::clock::Timestamp;

/// How long a one-time code lasts: a second at least, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLifetime(Duration);

/// A one-time code can't last for that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This lasts for 1 to {longest} seconds.")]
pub struct CodeLifetimeError {
    /// The longest lifetime, in seconds.
    pub longest: u64,
}

impl CodeLifetime {
    /// The longest life of a reset code.
    pub const LONGEST_RESET: Self = Self(Duration::from_hours(24));
    /// The longest life of an invitation.
    pub const LONGEST_INVITATION: Self = Self(Duration::from_hours(365 * 24));
    /// How long an invitation lasts if nothing else is asked for.
    pub const INVITATION: Self = Self(Duration::from_hours(7 * 24));
    /// How long the reset code lasts that a right but temporary password gives.
    pub const CHANGE_REQUIRED: Self = Self(Duration::from_mins(15));

    /// The lifetime `wanted` for a code that lasts as long as `longest` at most.
    ///
    /// # Errors
    /// [`CodeLifetimeError`] if that is longer, or less than a second.
    pub fn within(wanted: Duration, longest: Self) -> Result<Self, CodeLifetimeError> {
        if wanted.as_secs() == 0 || wanted > longest.0 {
            let longest = longest.0.as_secs();
            return Err(CodeLifetimeError { longest });
        }
        Ok(Self(Duration::from_secs(wanted.as_secs())))
    }

    /// The lifetime.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// How many invitations there can be at a time that have not expired.
pub const MAX_INVITATIONS: usize = 5000;

/// The administrator who made a one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maker {
    /// The administrator.
    pub user: UserId,
    /// The version of the password that they had then.
    pub password_version: u32,
}

/// An invitation, as the store keeps it: one sign-up with these roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The id by which it is listed and revoked.
    pub id: InvitationId,
    /// The hash of its text.
    pub hash: InvitationHash,
    /// The roles that the new user gets.
    pub roles: Roles,
    /// The only username that it is for; `None` if it is for any.
    pub username: Option<Username>,
    /// The administrator who made it; `None` if the operator did.
    pub made_by: Option<Maker>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first second at which it is refused.
    pub expires_at: Timestamp,
}

impl Invitation {
    /// Whether it is for a user with this name.
    #[must_use]
    pub fn is_for(&self, name: &Username) -> bool {
        self.username.as_ref().is_none_or(|only| only == name)
    }
}

/// A reset code, as the store keeps it: one other password for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetCode {
    /// The hash of its text.
    pub hash: ResetCodeHash,
    /// The user who may choose another password.
    pub user: UserId,
    /// The administrator who made it; `None` if the operator did, or the server itself.
    pub made_by: Option<Maker>,
    /// The first second at which it is refused.
    pub expires_at: Timestamp,
}

impl User {
    /// Whether a code that `maker`, this user, made is still accepted at `now`: only as long as the user could make another one,
    /// and has the same password. So an administrator who leaves has no code left by which to come back, and neither has a client
    /// with a copy of their token after they have changed the password.
    #[must_use]
    pub fn vouches_as(&self, maker: Maker, now: Timestamp) -> bool {
        maker.user == self.id
            && maker.password_version == self.password_version
            && !self.disabled
            && self.roles.contains(&Role::ADMIN, now)
    }
}

/// A page of the list of invitations, which is in the order of their ids, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvitationPage {
    /// The invitations.
    pub invitations: Vec<Invitation>,
    /// Where the next page begins. `None` at the end of the list.
    pub next: Option<InvitationCursor>,
}

/// Which page of the list of invitations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvitationQuery {
    /// Where the page begins: behind what this cursor was given out for.
    pub after: Option<InvitationCursor>,
    /// How many invitations the page has at most.
    pub limit: PageLimit,
}

/// A place in the list of invitations. It stays valid while invitations come and go.
///
/// Its text is opaque to clients: base64url of the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvitationCursor(InvitationId);

impl InvitationCursor {
    /// The place behind the invitation with this id.
    #[must_use]
    pub fn behind(id: InvitationId) -> Self {
        Self(id)
    }

    /// The cursor whose text is `input`. Returns `None` if no cursor has it.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(input).ok()?;
        Some(Self(InvitationId::from_bytes(bytes.try_into().ok()?)))
    }

    /// The invitation behind which the next page begins.
    #[must_use]
    pub fn id(&self) -> InvitationId {
        self.0
    }
}

impl fmt::Display for InvitationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserChange;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn only_an_administrator_of_the_same_password_vouches() {
        let user = User::sample("ada", NOW);
        let maker = Maker {
            user: user.id,
            password_version: user.password_version,
        };
        let until = NOW.plus(Duration::from_mins(1));
        let admin = user.clone().with(UserChange::GiveRole(Role::ADMIN, Some(until)));
        assert!(!user.vouches_as(maker, NOW));
        assert!(admin.vouches_as(maker, NOW) && !admin.vouches_as(maker, until));
        let changed = admin.clone().with(UserChange::Password(user.password_hash));
        assert!(!changed.vouches_as(maker, NOW));
        assert!(!admin.with(UserChange::Disabled(true)).vouches_as(maker, NOW));
    }

    #[test]
    fn a_code_lasts_for_a_second_to_the_longest() {
        let within = |seconds| {
            let wanted = Duration::from_secs(seconds);
            CodeLifetime::within(wanted, CodeLifetime::LONGEST_RESET).map(|lifetime| lifetime.get().as_secs())
        };
        assert_eq!((within(1), within(86_400)), (Ok(1), Ok(86_400)));
        let refused = Err(CodeLifetimeError { longest: 86_400 });
        assert_eq!((within(0), within(86_401)), (refused, refused));
        let parts = CodeLifetime::within(Duration::from_millis(1500), CodeLifetime::LONGEST_RESET);
        assert_eq!(parts.unwrap().get().as_secs(), 1);
    }

    #[test]
    fn a_cursor_of_invitations_reads_back_and_nothing_else_is_one() {
        let cursor = InvitationCursor::behind(InvitationId::generate(NOW));
        let text = cursor.to_string();
        assert_eq!(InvitationCursor::parse(&text), Some(cursor));
        for bad in ["", "=", &format!("{text}="), &format!("{text}AA"), &text[2..]] {
            assert_eq!(InvitationCursor::parse(bad), None, "{bad}");
        }
    }
}
