//! How a server is started and spoken to: a TOML file for each (`servers/`), this one's own among them.
//!
//! `{name}` in any text stands for a value: `{port}`, `{data}` (an empty folder) and `{binary}` where it is started;
//! `{user}` and `{password}` where a user signs up or in; and in later requests whatever a sign-in's `take` names.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// The password of every user of a measurement.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Values for `{name}`.
pub(crate) type Values = BTreeMap<String, String>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) start: Vec<String>,
    /// The path that answers 200 as soon as the server serves.
    pub(crate) ready: String,
    pub(crate) sign_up: Call,
    pub(crate) sign_in: Call,
    /// A request that is granted only with a token.
    pub(crate) guarded: Call,
    pub(crate) log_out: Option<Call>,
    /// What is answered only when the server has read every session that it knows.
    pub(crate) whole: Option<Call>,
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// What to keep of the answer, a JSON document: a name for it, and where it stands (RFC 6901).
    #[serde(default)]
    take: BTreeMap<String, String>,
}

impl Description {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        toml::from_str(&text).with_context(|| file.display().to_string())
    }

    /// Signs `user` up and in, and returns what the sign-in gave. Fails if the guarded request is granted without that, or
    /// refused with it: then there would be no point in measuring it.
    pub(crate) fn newcomer(&self, port: u16, user: &str) -> Result<Values> {
        self.sign_up.send(port, &person(user))?;
        let values = self.sign_in.send(port, &person(user))?;
        let strangers: Values = values.keys().map(|name| (name.clone(), "x".into())).collect();
        ensure!(
            self.guarded.send(port, &strangers).is_err(),
            "{} grants it without a token",
            self.name
        );
        self.guarded.send(port, &values)?;
        Ok(values)
    }
}

/// What a sign-up or a sign-in as `user` needs.
pub(crate) fn person(user: &str) -> Values {
    [("user", user), ("password", PASSWORD)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

impl Call {
    /// A request for `path` with this `Authorization`.
    pub(crate) fn get(path: &str, authorization: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: [("Authorization".to_owned(), authorization.to_owned())].into(),
            body: String::new(),
            take: BTreeMap::new(),
        }
    }

    /// The request as it goes over the wire.
    pub(crate) fn raw(&self, values: &Values) -> String {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            self.method,
            fill_in(&self.path, values)
        );
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {}\r\n", fill_in(value, values));
        }
        let body = fill_in(&self.body, values);
        if !body.is_empty() {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text + "\r\n" + &body
    }

    /// Sends the request and returns what is to be kept of the answer. Any status but a 2xx is an error.
    pub(crate) fn send(&self, port: u16, values: &Values) -> Result<Values> {
        let url = format!("http://127.0.0.1:{port}{}", fill_in(&self.path, values));
        let mut request = ureq::http::Request::builder()
            .method(self.method.as_str())
            .uri(&url);
        for (name, value) in &self.headers {
            request = request.header(name, fill_in(value, values));
        }
        let request = request.body(fill_in(&self.body, values))?;
        let what = || format!("{} {url}", self.method);
        let mut answer = ureq::run(request).with_context(what)?;
        let body = answer.body_mut().read_to_string().with_context(what)?;
        if self.take.is_empty() {
            return Ok(Values::new());
        }
        let body: Value = serde_json::from_str(&body).with_context(what)?;
        let take = |(name, place): (&String, &String)| {
            let found = body.pointer(place).and_then(Value::as_str);
            let found = found.with_context(|| format!("{}: no {place} in the answer", what()))?;
            Ok((name.clone(), found.to_owned()))
        };
        self.take.iter().map(take).collect()
    }
}

/// `text` with `values` in their places.
pub(crate) fn fill_in(text: &str, values: &Values) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptions_here_can_be_read() {
        for entry in fs::read_dir("servers").unwrap() {
            Description::read(&entry.unwrap().path()).unwrap();
        }
    }

    #[test]
    fn a_request_goes_over_the_wire_with_its_values_and_its_length() {
        let call: Call = toml::from_str(
            "method = 'POST'\npath = '/in/{user}'\nheaders = { X = '{password}' }\nbody = '[{user}]'",
        )
        .unwrap();
        assert_eq!(
            call.raw(&person("ada")),
            format!(
                "POST /in/ada HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {PASSWORD}\r\nContent-Length: 5\r\n\r\n[ada]"
            )
        );
    }
}
