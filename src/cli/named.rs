//! The user whom a command is about, by name or by id.

use clap::{Arg, ArgMatches};
use hyper::Method;
use serde_json::Value;

use super::{connection::Connection, failure::Failure};
use crate::domain::{UserId, Username};

/// A user as the administration shows them.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) username: String,
    /// All that the answer has.
    pub(super) user: Value,
}

/// The argument that names a user.
pub(super) fn argument() -> Arg {
    Arg::new("user")
        .value_name("USER")
        .required(true)
        .help("The username, or the id")
}

/// Finds the user whom the arguments name. A text that has the form of an id is one: no user can stand for another by their
/// choice of a name.
pub(super) async fn find(connection: &Connection, arguments: &ArgMatches) -> Result<Named, Failure> {
    let text = arguments.get_one::<String>("user").map_or("", String::as_str);
    let none = || Failure::Other(format!("there is no user {}", text.escape_debug()));
    let user = if let Ok(id) = UserId::parse(text) {
        match connection
            .ask(Method::GET, &format!("/admin/users/{id}"), None)
            .await
        {
            Err(refusal) if refusal.code == "not_found" => return Err(none()),
            user => user.map_err(|refusal| refusal.failure("the user was not looked up"))?,
        }
    } else {
        let name = Username::parse(text)
            .map_err(|error| Failure::Argument(format!("{} is no user. {error}", text.escape_debug())))?;
        by_name(connection, &name).await?.ok_or_else(none)?
    };
    let text_of = |field: &str| user[field].as_str().unwrap_or_default().to_owned();
    Ok(Named {
        id: text_of("id"),
        username: text_of("username"),
        user,
    })
}

/// The user with this name: the first of those whose names start with it, because lists are in the order of names.
async fn by_name(connection: &Connection, name: &Username) -> Result<Option<Value>, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::from("/admin/users?"));
    let path = query
        .append_pair("prefix", name.as_str())
        .append_pair("limit", "1")
        .finish();
    let page = connection.ask(Method::GET, &path, None).await;
    let mut page = page.map_err(|refusal| refusal.failure("the user was not looked up"))?;
    let user = page["users"].get_mut(0).map(Value::take);
    Ok(user.filter(|user| user["username"] == name.as_str()))
}
