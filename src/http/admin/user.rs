//! `/admin/users/{id}`: shows, changes and deletes a user, and sets their password, roles and attributes.

use std::sync::Arc;

use warp::{Filter, Reply, reply::Response};

use super::{
    administration::{Administration, Asked},
    answers::{UserAnswer, changed_user, ended},
};
use crate::{
    auth::{Accounts, SetPassword},
    domain::{AttributeValue, Attributes, DisplayName, MomentError, Password, Role, User, UserId, moment},
    http::{
        endpoint::{Endpoint, endpoint, on, parameter},
        error::ApiError,
        fields::{Fields, fields},
        method::{DELETE, GET, PATCH, POST, PUT},
    },
};

const USER: &str = "/admin/users/{id}";
const ROLES: &str = "/admin/users/{id}/roles";
const ROLE: &str = "/admin/users/{id}/roles/{role}";
const ATTRIBUTE: &str = "/admin/users/{id}/attributes/{name}";
const PASSWORD: &str = "/admin/users/{id}/password";

pub(super) fn route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(USER, "{id}"));
    let show = asked.clone().then(show);
    let change = asked.clone().and(fields(administration.settings())).then(change);
    let delete = asked.then(delete);
    endpoint(USER, on(GET, show).or(PATCH, change).or(DELETE, delete))
}

pub(super) fn password_route(administration: &Administration) -> impl Endpoint + use<> {
    let set = administration
        .asked()
        .and(parameter(PASSWORD, "{id}"))
        .and(fields(administration.settings()))
        .then(set_password);
    endpoint(PASSWORD, on(POST, set))
}

pub(super) fn roles_route(administration: &Administration) -> impl Endpoint + use<> {
    let give = administration
        .asked()
        .and(parameter(ROLES, "{id}"))
        .and(fields(administration.settings()))
        .then(give_role);
    endpoint(ROLES, on(POST, give))
}

pub(super) fn role_route(administration: &Administration) -> impl Endpoint + use<> {
    let take = administration.asked().and(parameter(ROLE, "{id}"));
    let take = take.and(parameter(ROLE, "{role}")).then(take_role);
    endpoint(ROLE, on(DELETE, take))
}

pub(super) fn attribute_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(parameter(ATTRIBUTE, "{id}"));
    let asked = asked.and(parameter(ATTRIBUTE, "{name}"));
    let set = asked.clone().and(fields(administration.settings()));
    let set = set.then(set_attribute);
    let take = asked.then(take_attribute);
    endpoint(ATTRIBUTE, on(PUT, set).or(DELETE, take))
}

/// The user with this id.
pub(super) async fn named(accounts: &Accounts, id: &str) -> Result<Arc<User>, ApiError> {
    let id = UserId::parse(id).map_err(|_| ApiError::NotFound)?;
    accounts.find(id).await?.ok_or(ApiError::NotFound)
}

async fn show(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, ..) = asked.allowed()?;
    let user = named(&accounts, &id).await?;
    Ok(warp::reply::json(&UserAnswer::of(&user, &accounts)).into_response())
}

/// Makes one change. A body with several is refused, because each is a step of its own and a later one could fail.
async fn change(asked: Asked, id: String, fields: Result<Fields, ApiError>) -> Result<Response, ApiError> {
    let (accounts, actor, context, confirmation) = asked.with_confirmation()?;
    let mut fields = fields?;
    let found = named(&accounts, &id).await?;
    let user = found.id;
    fields.take_all_but_one_of(&["roles", "disabled", "display_name", "attributes"]);
    let changed = if fields.has("roles") {
        let roles = fields.take_roles("roles");
        let roles = fields.finish(roles)?;
        confirmation.required_for(&roles).await?;
        accounts.set_roles(user, roles, actor, &context).await
    } else if fields.has("disabled") {
        let disabled = fields.take_flag("disabled");
        let disabled = fields.finish(disabled)?;
        if found.disabled && !disabled {
            // Their roles hold again.
            let roles = found.roles.at(accounts.now());
            confirmation.required_for(&roles).await?;
        }
        accounts.set_disabled(user, disabled, actor, &context).await
    } else if fields.has("attributes") {
        let attributes = fields.take_object("attributes", Attributes::parse);
        let attributes = fields.finish(attributes)?;
        accounts.set_attributes(user, attributes, actor, &context).await
    } else {
        let name = if fields.take_null("display_name") {
            Some(None)
        } else {
            let name = fields.take("display_name", |text| DisplayName::parse(&text));
            name.map(Some)
        };
        let name = fields.finish(name)?;
        accounts.set_display_name(user, name, actor, &context).await
    };
    changed_user(changed?, &accounts)
}

async fn give_role(asked: Asked, id: String, fields: Result<Fields, ApiError>) -> Result<Response, ApiError> {
    let (accounts, actor, context, confirmation) = asked.with_confirmation()?;
    let mut fields = fields?;
    let role = fields.take("role", |text| Role::parse(&text));
    let now = accounts.now();
    let until = fields.take_if_given("until", |text| match moment(&text) {
        Ok(until) if until <= now => Err(MomentError::Past),
        until => until,
    });
    let (role, until) = fields.finish(role.map(|role| (role, until)))?;
    confirmation
        .required_for(&[role.clone()].into_iter().collect())
        .await?;
    let user = named(&accounts, &id).await?.id;
    let given = accounts.give_role(user, role, until, actor, &context);
    changed_user(given.await?, &accounts)
}

async fn take_role(asked: Asked, id: String, role: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let role = Role::parse(&role).map_err(|_| ApiError::NotFound)?;
    let user = named(&accounts, &id).await?.id;
    let taken = accounts.take_role(user, role, actor, &context);
    changed_user(taken.await?, &accounts)
}

async fn set_attribute(
    asked: Asked,
    id: String,
    name: String,
    fields: Result<Fields, ApiError>,
) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let mut fields = fields?;
    let value = fields.take_any("value", |value| AttributeValue::of(&name, value));
    let value = fields.finish(value)?;
    let user = named(&accounts, &id).await?.id;
    let set = accounts.set_attribute(user, &name, value, actor, &context);
    changed_user(set.await?, &accounts)
}

async fn take_attribute(asked: Asked, id: String, name: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.allowed()?;
    let user = named(&accounts, &id).await?.id;
    let taken = accounts.take_attribute(user, &name, actor, &context);
    changed_user(taken.await?, &accounts)
}

async fn delete(asked: Asked, id: String) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.confirmed().await?;
    let user = named(&accounts, &id).await?.id;
    ended(accounts.delete(user, actor, &context).await?, user)
}

async fn set_password(
    asked: Asked,
    id: String,
    fields: Result<Fields, ApiError>,
) -> Result<Response, ApiError> {
    let (accounts, actor, context) = asked.confirmed().await?;
    let mut fields = fields?;
    let password = fields.take("password", |text| Password::parse(text.into()));
    let must_change = fields.take_flag("must_change");
    let keeps_api_tokens = fields.take_flag("keep_api_tokens");
    let given = password.zip(must_change).zip(keeps_api_tokens);
    let given = given.map(|((password, must_change), keeps_api_tokens)| SetPassword {
        password,
        must_change,
        keeps_api_tokens,
    });
    let given = fields.finish(given)?;
    let user = named(&accounts, &id).await?;
    let set = accounts.set_password(&user, given, actor, &context);
    changed_user(set.await?, &accounts)
}
