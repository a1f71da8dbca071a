//! `POST /password-reset`: another password, by a reset code.

use warp::{Filter, reply::Response};

use super::token_answer::{accepts_text, device, token_answer};
use crate::{
    auth::{Auth, Reset},
    domain::{Password, RequestContext},
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on, with},
        error::ApiError,
        fields::{Fields, fields},
        method::POST,
        settings::Api,
    },
};

pub(super) fn route(api: &Api) -> impl Endpoint + use<> {
    let reset = with(api)
        .and(fields(api.current()))
        .and(context())
        .and(accepts_text())
        .then(reset);
    endpoint("/password-reset", on(POST, reset))
}

async fn reset(
    auth: Auth,
    fields: Result<Fields, ApiError>,
    context: RequestContext,
    as_text: bool,
) -> Result<Response, ApiError> {
    let mut fields = fields?;
    let code = fields.take_text("token");
    let new = fields.take("password", |text| Password::parse(text.into()));
    let refusal = new.as_ref().and_then(|new| auth.check_length(new).err());
    fields.expect_refusal("password", refusal.as_ref());
    let (code, new) = fields.finish(code.zip(new))?;
    let reset = Reset {
        code: code.into(),
        new,
        device: device(None, as_text),
    };
    Ok(token_answer(
        &auth.reset_password(reset, &context).await?,
        as_text,
    ))
}
