//! `POST /signup`, with an invitation or without.

use secrecy::SecretString;
use serde::Serialize;
use warp::{Filter, Reply, http::StatusCode, reply::Response};

use crate::{
    auth::Auth,
    domain::{Password, RequestContext, User, Username},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        fields::{Fields, fields},
        method::POST,
        settings::Api,
        trace::changed,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let sign_up = with(api).and(fields(api.current())).and(context()).then(sign_up);
    endpoint("/signup", on(POST, sign_up))
}

#[derive(Serialize)]
struct SignedUp {
    id: String,
    username: String,
    roles: Vec<String>,
    created_at: String,
}

impl From<User> for SignedUp {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            roles: user.roles.lasting().iter().map(ToString::to_string).collect(),
            created_at: user.created_at.to_string(),
        }
    }
}

async fn sign_up(
    auth: Auth,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
) -> Result<Response, ApiError> {
    let mut fields = fields;
    let invitation = fields.as_mut().ok();
    let invitation = invitation.and_then(|fields| fields.take_optional_text("invitation"));
    if invitation.is_none() {
        auth.check_sign_up(&context)?;
    }
    let mut fields = fields?;
    let username = fields.take("username", |text| Username::parse(&text));
    let password = fields.take("password", |text| Password::parse(text.into()));
    let refusal = password.as_ref().and_then(|new| auth.check_length(new).err());
    fields.expect_refusal("password", refusal.as_ref());
    let (username, password) = fields.finish(username.zip(password))?;
    let user = match invitation.map(SecretString::from) {
        Some(invitation) => {
            auth.sign_up_invited(&invitation, username, password, &context)
                .await?
        }
        None => auth.sign_up(username, password, &context).await?,
    };
    let id = user.id;
    let reply = warp::reply::json(&SignedUp::from(user));
    let response = warp::reply::with_status(reply, StatusCode::CREATED).into_response();
    Ok(changed(response, id))
}
