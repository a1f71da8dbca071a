//! The fields of one user as text, as a line of JSON has them: how a line is read, and how an export writes one.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{
    entry::Entry,
    hash,
    problem::{Problem, beginning},
};
use crate::{
    clock::Timestamp,
    domain::{Attributes, DisplayName, Role, User, UserId, UserRoles, Username},
};

/// What a line says of one user, unchecked. A field that is missing, `null` or an empty cell is `None`; but a display name of
/// `null` says that there is none. It has the hash of a password, so it can't be shown.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password_hash: Option<String>,
    pub(super) must_change_password: Option<bool>,
    /// All roles.
    pub(super) roles: Option<Vec<String>>,
    /// When those roles end that do.
    pub(super) role_ends: Option<BTreeMap<String, Moment>>,
    pub(super) disabled: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    #[expect(
        clippy::option_option,
        reason = "a field may be missing or null, which differ"
    )]
    pub(super) display_name: Option<Option<String>>,
    pub(super) attributes: Option<Map<String, Value>>,
    pub(super) created_at: Option<Moment>,
}

/// A field that is there, `null` or not.
#[expect(
    clippy::option_option,
    reason = "a field may be missing or null, which differ"
)]
fn said<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// A moment as text (RFC 3339), or in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Moment {
    Seconds(u64),
    Text(String),
}

/// Writes `user` as one line of JSON, which an import takes if it has the hash of the password. It says all that there is to say
/// of the user.
///
/// # Errors
/// The error of `out`.
pub fn write_line(out: &mut impl Write, user: &User, with_hash: bool) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Fields::of(user, with_hash))?;
    out.write_all(b"\n")
}

impl Fields {
    fn of(user: &User, with_hash: bool) -> Self {
        let (lasting, ending) = (user.roles.lasting().iter(), user.roles.ending().iter());
        let roles = lasting.chain(ending.clone().map(|(role, _)| role));
        let ends = ending.map(|(role, until)| (role.to_string(), Moment::Text(until.to_string())));
        let attributes = user.attributes.iter();
        let attributes =
            attributes.filter_map(|(name, value)| Some((name.to_owned(), serde_json::to_value(value).ok()?)));
        Self {
            id: Some(user.id.to_string()),
            username: Some(user.username.to_string()),
            password_hash: with_hash.then(|| user.password_hash.expose().to_owned()),
            must_change_password: Some(user.must_change_password),
            roles: Some(roles.map(ToString::to_string).collect()),
            role_ends: Some(ends.collect()),
            disabled: Some(user.disabled),
            display_name: Some(user.display_name.as_ref().map(ToString::to_string)),
            attributes: Some(attributes.collect()),
            created_at: Some(Moment::Text(user.created_at.to_string())),
        }
    }

    /// Reads one line of JSON.
    pub(super) fn from_json(line: &str) -> Result<Self, Problem> {
        serde_json::from_str(line).map_err(|error| Problem::Json {
            column: error.column(),
            // serde_json ends its text in a place, whose line is always the first here.
            detail: error
                .to_string()
                .rsplit_once(" at line ")
                .map(|(detail, _)| beginning(detail))
                .unwrap_or_default(),
        })
    }

    /// The user that these fields are of.
    pub(super) fn check(self) -> Result<Entry, Problem> {
        let username = self.username.ok_or(Problem::Missing("username"))?;
        let username =
            Username::parse(&username).map_err(|error| Problem::Username(beginning(&username), error))?;
        let hash = self.password_hash.ok_or(Problem::Missing("password_hash"))?;
        let display_name = self
            .display_name
            .map(|name| name.as_deref().map(DisplayName::parse));
        let attributes = self.attributes.as_ref().map(Attributes::parse);
        Ok(Entry {
            id: self.id.as_deref().map(id).transpose()?,
            username,
            password_hash: hash::check(&hash)?,
            must_change_password: self.must_change_password,
            roles: roles(self.roles, self.role_ends.unwrap_or_default())?,
            disabled: self.disabled,
            display_name: display_name
                .map(Option::transpose)
                .transpose()
                .map_err(Problem::DisplayName)?,
            attributes: attributes.transpose().map_err(Problem::Attributes)?,
            created_at: self
                .created_at
                .map(|moment| moment.read(Problem::CreatedAt))
                .transpose()?,
        })
    }
}

fn roles(
    names: Option<Vec<String>>,
    mut ends: BTreeMap<String, Moment>,
) -> Result<Option<UserRoles>, Problem> {
    let mut all = None;
    if let Some(names) = names {
        let (mut lasting, mut ending) = (Vec::new(), Vec::new());
        for name in names {
            let role = Role::parse(&name).map_err(|_| Problem::Role(beginning(&name)))?;
            match ends.remove(&name) {
                Some(end) => ending.push((role, end.read(Problem::RoleEnd)?)),
                None if ending.iter().any(|(other, _)| *other == role) => {}
                None => lasting.push(role),
            }
        }
        all = Some(UserRoles::new(lasting.into_iter().collect(), ending));
    }
    match ends.into_keys().next() {
        Some(name) => Err(Problem::EndWithoutRole(beginning(&name))),
        None => Ok(all),
    }
}

fn id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|_| Problem::Id(beginning(text)))
}

impl Moment {
    /// The last second of the year 9999, after which RFC 3339 has no text for a moment.
    const LAST: u64 = 253_402_300_799;

    /// Fails with the `problem` that names it.
    fn read(self, problem: impl FnOnce(String) -> Problem) -> Result<Timestamp, Problem> {
        let seconds = match &self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Text(text) => match text.parse() {
                Ok(seconds) => Some(seconds),
                Err(_) => since_epoch(text),
            },
        };
        let seconds = seconds.filter(|seconds| *seconds <= Self::LAST);
        seconds.map(Timestamp::from_secs).ok_or_else(|| {
            problem(match self {
                Self::Seconds(seconds) => seconds.to_string(),
                Self::Text(text) => beginning(&text),
            })
        })
    }
}

/// Whole seconds; a text with a fraction of a second loses the fraction.
fn since_epoch(text: &str) -> Option<u64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    Some(moment.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}
