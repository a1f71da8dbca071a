//! Which users a list has, and a page of such a list. Lists are in the order of usernames.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{PageLimit, Role, User, Username, UsernamePrefix};
use crate::clock::Timestamp;

/// Which users to list. A field that is `None` excludes no user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// Those whose usernames start with this.
    pub prefix: Option<UsernamePrefix>,
    /// Those who have this role at the moment of the query.
    pub role: Option<Role>,
    /// Those who are disabled, or those who are not.
    pub disabled: Option<bool>,
    /// Where the page begins: behind what this cursor was given out for.
    pub after: Option<UserCursor>,
    /// How many users the page has at most.
    pub limit: PageLimit,
}

impl UserQuery {
    /// Whether the list has `user` at `now`, on whichever page.
    #[must_use]
    pub fn matches(&self, user: &User, now: Timestamp) -> bool {
        self.prefix
            .as_ref()
            .is_none_or(|prefix| prefix.starts(&user.username))
            && self
                .role
                .as_ref()
                .is_none_or(|role| user.roles.contains(role, now))
            && self.disabled.is_none_or(|disabled| user.disabled == disabled)
    }
}

/// A page of a list of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPage {
    /// The users, in the order of their usernames.
    pub users: Vec<Arc<User>>,
    /// Where the next page begins. `None` at the end of the list. A page may have fewer users than its limit and not be the last.
    pub next: Option<UserCursor>,
}

/// A place in a list of users. It stays valid while users come and go: the next page begins behind the username.
///
/// Its text is opaque to clients: base64url of the username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCursor(Username);

impl UserCursor {
    /// The place behind the user with this name.
    #[must_use]
    pub fn behind(username: Username) -> Self {
        Self(username)
    }

    /// The cursor whose text is `input`. Returns `None` if no cursor has it.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(input).ok()?).ok()?;
        let username = Username::parse(&name).ok()?;
        (username.as_str() == name).then_some(Self(username))
    }

    /// The username behind which the next page begins.
    #[must_use]
    pub fn username(&self) -> &Username {
        &self.0
    }
}

impl fmt::Display for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_query_excludes_only_what_it_names() {
        let user = User {
            roles: [Role::CLIENT].into_iter().collect(),
            ..User::sample("ada", NOW)
        };
        let everything = UserQuery::default();
        let prefix = |text: &str| UsernamePrefix::parse(text).ok();
        let with = |change: &dyn Fn(&mut UserQuery)| {
            let mut query = everything.clone();
            change(&mut query);
            query.matches(&user, NOW)
        };
        assert!(everything.matches(&user, NOW));
        assert!(with(&|query| query.prefix = prefix("ad")) && !with(&|query| query.prefix = prefix("da")));
        assert!(with(&|query| query.role = Some(Role::CLIENT)));
        assert!(!with(&|query| query.role = Some(Role::ADMIN)));
        assert!(with(&|query| query.disabled = Some(false)) && !with(&|query| query.disabled = Some(true)));
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = UserCursor::behind(Username::parse("ada").unwrap());
        let text = cursor.to_string();
        assert_eq!(UserCursor::parse(&text), Some(cursor));
        let upper = URL_SAFE_NO_PAD.encode("Ada");
        for bad in ["", "ada!", "=", &format!("{text}="), &upper, "_w"] {
            assert_eq!(UserCursor::parse(bad), None, "{bad}");
        }
    }
}
