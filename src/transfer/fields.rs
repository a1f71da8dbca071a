//! The fields of one user as text, as a line of JSON has them: how a line is read, and how an export writes one.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{entry::Entry, hash, problem::Problem};
use crate::{
    clock::Timestamp,
    domain::{DisplayName, Role, User, UserId, Username},
};

/// What a line says of one user, unchecked. A field that is missing, `null` or an empty cell is `None`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Moment>,
}

/// A moment as text (RFC 3339), or in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Moment {
    Seconds(u64),
    Text(String),
}

/// Writes `user` as one line of JSON, which an import takes. Without the hash of the password, an import takes it only for a
/// user that exists.
///
/// # Errors
/// The error of `out`.
pub fn write_line(out: &mut impl Write, user: &User, with_hash: bool) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Fields::of(user, with_hash))?;
    out.write_all(b"\n")
}

impl Fields {
    fn of(user: &User, with_hash: bool) -> Self {
        Self {
            id: Some(user.id.to_string()),
            username: Some(user.username.to_string()),
            password_hash: with_hash.then(|| user.password_hash.expose().to_owned()),
            roles: Some(user.roles.iter().map(ToString::to_string).collect()),
            disabled: Some(user.disabled),
            display_name: user.display_name.as_ref().map(ToString::to_string),
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
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// The user that these fields are of.
    pub(super) fn check(self) -> Result<Entry, Problem> {
        let username = self.username.ok_or(Problem::Missing("username"))?;
        let username = Username::parse(&username).map_err(|error| Problem::Username(username, error))?;
        let hash = self.password_hash.ok_or(Problem::Missing("password_hash"))?;
        let role = |text: &String| Role::parse(text).map_err(|_| Problem::Role(text.clone()));
        let roles = self.roles.map(|roles| roles.iter().map(role).collect());
        let display_name = self.display_name.as_deref().map(DisplayName::parse);
        Ok(Entry {
            id: self.id.map(id).transpose()?,
            username,
            password_hash: hash::check(&hash)?,
            roles: roles.transpose()?,
            disabled: self.disabled.unwrap_or(false),
            display_name: display_name.transpose().map_err(Problem::DisplayName)?,
            created_at: self.created_at.map(Moment::read).transpose()?,
        })
    }
}

fn id(text: String) -> Result<UserId, Problem> {
    UserId::parse(&text).map_err(|_| Problem::Id(text))
}

impl Moment {
    /// The last second of the year 9999, after which RFC 3339 has no text for a moment.
    const LAST: u64 = 253_402_300_799;

    fn read(self) -> Result<Timestamp, Problem> {
        let seconds = match &self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Text(text) => match text.parse() {
                Ok(seconds) => Some(seconds),
                Err(_) => since_epoch(text),
            },
        };
        let seconds = seconds.filter(|seconds| *seconds <= Self::LAST);
        seconds.map(Timestamp::from_secs).ok_or_else(|| {
            Problem::CreatedAt(match self {
                Self::Seconds(seconds) => seconds.to_string(),
                Self::Text(text) => text,
            })
        })
    }
}

/// Whole seconds; a text with a fraction of a second loses the fraction.
fn since_epoch(text: &str) -> Option<u64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    Some(moment.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}
