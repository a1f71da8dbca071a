//! `POST /signup`.

use serde::Serialize;
use warp::{Filter, Reply, filters::BoxedFilter, http::StatusCode, reply::Response};

use super::{
    body::{self, Fields},
    error::ApiError,
    method::POST,
    settings::Api,
    trace::note,
    with,
};
use crate::{
    auth::Auth,
    domain::{ClientAddress, Password, User, Username},
};

pub(super) fn routes(api: &Api) -> BoxedFilter<(Response,)> {
    let route = POST
        .pass()
        .and(with(api))
        .and(body::fields(api))
        .and(warp::ext::optional::<ClientAddress>())
        .then(sign_up)
        .map(Reply::into_response);
    warp::path!("signup")
        .and(route.or(POST.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/signup")))
        .boxed()
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
            roles: user.roles.iter().map(ToString::to_string).collect(),
            created_at: user.created_at.to_string(),
        }
    }
}

async fn sign_up(
    auth: Auth,
    fields: Result<Fields, ApiError>,
    from: Option<ClientAddress>,
) -> Result<Response, ApiError> {
    auth.check_sign_up()?;
    let mut fields = fields?;
    let username = fields.take("username", |text| Username::parse(&text));
    let password = fields.take("password", |text| Password::parse(text.into()));
    let (username, password) = fields.finish(username.zip(password))?;
    let user = auth.sign_up(username, password, from).await?;
    let id = user.id;
    let reply = warp::reply::json(&SignedUp::from(user));
    let response = warp::reply::with_status(reply, StatusCode::CREATED).into_response();
    Ok(note(response, |trace| {
        trace.user = Some(id);
        trace.changed = true;
    }))
}
