//! A session and an API token as JSON: as their user sees them, and as an administrator does.

use serde::Serialize;

use crate::domain::{ApiToken, Role, Session};

/// The scope of an API token that may use the administration.
pub(super) const ADMIN_SCOPE: &str = "admin";

#[derive(Serialize)]
pub(super) struct SessionAnswer {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: Option<String>,
    device: Option<String>,
}

impl From<&Session> for SessionAnswer {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: session.created_at.to_string(),
            last_used_at: session.used_at.to_string(),
            expires_at: session.expires_at().to_string(),
            address: session.client.address.map(|address| address.to_string()),
            device: session.client.device.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ApiTokenAnswer<'a> {
    id: String,
    name: &'a str,
    /// The roles that it was made with, also if its user has lost one since.
    roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: String,
}

impl<'a> From<&'a ApiToken> for ApiTokenAnswer<'a> {
    fn from(token: &'a ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.as_str(),
            roles: token.roles.iter().map(Role::as_str).collect(),
            scope: token.may_administer.then_some(ADMIN_SCOPE),
            created_at: token.created_at.to_string(),
            last_used_at: token.used_at.map(|at| at.to_string()),
            expires_at: token.expires_at.to_string(),
        }
    }
}
