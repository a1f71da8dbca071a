//! `/admin/invitations`: makes, lists and revokes invitations. `/admin/users/{id}/reset`: makes a reset token for a user.

use secrecy::ExposeSecret;
use serde::Serialize;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use super::{
    administration::{Administration, Asked},
    page::{BadPage, limit},
    user::named,
};
use crate::{
    auth::NewInvitation,
    domain::{CodeLifetime, Invitation, InvitationCursor, InvitationId, InvitationQuery, Role, Username},
    http::{
        cached::no_store,
        endpoint::{Endpoint, endpoint, on, parameter},
        error::ApiError,
        fields::{Fields, fields},
        method::{DELETE, GET, POST},
        trace::changed,
    },
};

const ALL: &str = "/admin/invitations";
const ONE: &str = "/admin/invitations/{id}";
const RESET: &str = "/admin/users/{id}/reset";

pub(super) fn invitations_route(administration: &Administration) -> impl Endpoint + use<> {
    let list = administration.asked().then(list);
    let make = administration
        .asked()
        .and(fields(administration.settings()))
        .then(make);
    endpoint(ALL, on(GET, list).or(POST, make))
}

pub(super) fn invitation_route(administration: &Administration) -> impl Endpoint + use<> {
    let revoke = administration.asked().and(parameter(ONE, "{id}")).then(revoke);
    endpoint(ONE, on(DELETE, revoke))
}

pub(super) fn reset_route(administration: &Administration) -> impl Endpoint + use<> {
    let make = administration
        .asked()
        .and(parameter(RESET, "{id}"))
        .and(fields(administration.settings()))
        .then(make_reset_token);
    endpoint(RESET, on(POST, make))
}

/// An invitation, as an administrator sees it.
#[derive(Serialize)]
struct InvitationAnswer<'a> {
    id: String,
    /// Only in the answer to its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<&'a str>,
    roles: Vec<&'a str>,
    /// `None` if it is for any.
    username: Option<&'a str>,
    /// The id of the administrator; `None` if the operator made it.
    made_by: Option<String>,
    created_at: String,
    expires_at: String,
}

impl<'a> From<&'a Invitation> for InvitationAnswer<'a> {
    fn from(invitation: &'a Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            invitation: None,
            roles: invitation.roles.iter().map(Role::as_str).collect(),
            username: invitation.username.as_ref().map(Username::as_str),
            made_by: invitation.made_by.map(|maker| maker.user.to_string()),
            created_at: invitation.created_at.to_string(),
            expires_at: invitation.expires_at.to_string(),
        }
    }
}

#[derive(Serialize)]
struct Invitations<'a> {
    invitations: Vec<InvitationAnswer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ResetToken<'a> {
    token: &'a str,
    expires_at: String,
}

async fn list(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, .., mut fields) = asked.with_query()?;
    let after = fields.take_if_given("after", |text| {
        InvitationCursor::parse(&text).ok_or(BadPage::Cursor)
    });
    let limit = fields.take_if_given("limit", |text| limit(&text));
    let limit = limit.unwrap_or_default();
    let query = fields.finish(Some(InvitationQuery { after, limit }))?;
    let page = accounts.invitations(query).await?;
    let answer = Invitations {
        invitations: page.invitations.iter().map(InvitationAnswer::from).collect(),
        next: page.next.as_ref().map(ToString::to_string),
    };
    Ok(warp::reply::json(&answer).into_response())
}

async fn make(asked: Asked, fields: Result<Fields, ApiError>) -> Result<Response, ApiError> {
    let (accounts, actor, context, confirmation) = asked.with_confirmation()?;
    let mut fields = fields?;
    let roles = fields.take_roles("roles");
    let username = fields.take_if_given("username", |text| Username::parse(&text));
    let lifetime = lifetime(
        &mut fields,
        CodeLifetime::INVITATION,
        CodeLifetime::LONGEST_INVITATION,
    );
    let wanted = roles.zip(lifetime).map(|(roles, lifetime)| NewInvitation {
        roles,
        username,
        lifetime,
    });
    let wanted = fields.finish(wanted)?;
    confirmation.required_for(&wanted.roles).await?;
    let made = accounts.invite(wanted, actor, &context).await?;
    let answer = InvitationAnswer {
        invitation: Some(made.text.expose_secret()),
        ..InvitationAnswer::from(&made.record)
    };
    let reply = warp::reply::with_status(warp::reply::json(&answer), StatusCode::CREATED);
    Ok(changed(no_store(reply), None))
}

async fn revoke(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let id = InvitationId::parse(&id).map_err(|_| ApiError::NotFound)?;
    if !accounts.revoke_invitation(id, actor, &context).await? {
        return Err(ApiError::NotFound);
    }
    Ok(changed(StatusCode::NO_CONTENT.into_response(), None))
}

async fn make_reset_token(
    asked: Asked,
    id: String,
    fields: Result<Fields, ApiError>,
) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.confirmed().await?;
    let mut fields = fields?;
    let longest = CodeLifetime::LONGEST_RESET;
    let lifetime = lifetime(&mut fields, longest, longest);
    let lifetime = fields.finish(lifetime)?;
    let user = named(&accounts, &id).await?.id;
    let made = accounts.make_reset_code(user, lifetime, actor, &context).await?;
    let made = made.ok_or(ApiError::NotFound)?;
    let answer = ResetToken {
        token: made.text.expose_secret(),
        expires_at: made.expires_at.to_string(),
    };
    let reply = warp::reply::with_status(warp::reply::json(&answer), StatusCode::CREATED);
    Ok(changed(no_store(reply), user))
}

/// The lifetime that the field `expires_in` asks for, or the one `by_default`. `None` if it is wrong or longer than a code can last:
/// [`finish`](Fields::finish) reports that.
fn lifetime(fields: &mut Fields, by_default: CodeLifetime, longest: CodeLifetime) -> Option<CodeLifetime> {
    if !fields.has("expires_in") {
        return Some(by_default);
    }
    let wanted = fields.take_seconds("expires_in")?;
    CodeLifetime::within(wanted, longest)
        .map_err(|problem| fields.refuse("expires_in", &problem))
        .ok()
}
