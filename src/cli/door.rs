//! The way from a command to the accounts: the running server by its control socket, or the database itself if none runs. Both
//! answer the same requests, with the same routes.

use std::{io, path::PathBuf};

use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{control, database, failure::Failure, process::start_log, threads};
use crate::{
    auth::Accounts,
    config::Config,
    http::Administration,
    telemetry::{self, Log},
};

/// See the head of this file.
pub(super) enum Door {
    /// To the server that has the database, by this socket.
    Server(PathBuf),
    /// To the database, which this process has opened.
    Here(Box<Here>),
}

/// The administration in this process.
pub(super) struct Here {
    administration: Administration,
    _log: Log,
}

impl Door {
    /// Opens the way. If no server runs there must be a database, unless `create`. `undone` says in an error what has not
    /// happened.
    pub(super) async fn open(config: &Config, create: bool, undone: &str) -> Result<Self, Failure> {
        threads::for_command(config)?;
        let socket = control::path(config);
        match UnixStream::connect(&socket).await {
            Ok(_) => return Ok(Self::Server(socket)),
            Err(error) if is_nobody_there(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Failure::Other(format!(
                    "the control socket {} is for root and for the user who runs the server; run the command as one of them{undone}",
                    socket.display()
                )));
            }
            Err(error) => {
                let what = format!("the server can't be reached by {}", socket.display());
                return Err(Failure::io(&what, &error));
            }
        }
        if !create {
            database::must_exist(config, undone)?;
        }
        let log = start_log(config)?;
        let accounts = Accounts::open(config, telemetry::listeners(&config.audit)).await?;
        Ok(Self::Here(Box::new(Here {
            administration: control::administration(accounts, config),
            _log: log,
        })))
    }

    /// Sends a request, and returns the JSON that answers it; `Null` if the answer has no body.
    ///
    /// Fails with what the answer says if it is a refusal.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(String::new, |body| body.to_string());
        let request = request.body(body).map_err(|error| broken(&error))?;
        let (status, body) = match self {
            Self::Server(socket) => send(socket, request).await.map_err(|error| broken(&error))?,
            Self::Here(here) => {
                let answer = here.administration.answer(request).await;
                let (head, body) = answer.into_parts();
                let body = body.collect().await.map_err(|error| broken(&error))?;
                (head.status, body.to_bytes())
            }
        };
        read(status, &body)
    }
}

/// Whether no server listens at a socket.
fn is_nobody_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

async fn send(
    socket: &PathBuf,
    request: Request<String>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    drop(sender);
    let _ = connection.await;
    Ok((head.status, body))
}

/// Why a request was not granted.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The `code` of the problem; empty if there is none.
    pub(super) code: String,
    /// What the answer says, a line a field.
    pub(super) text: String,
}

impl Refusal {
    /// As the failure of a command that has not done what `undone` says.
    pub(super) fn failure(self, undone: &str) -> Failure {
        Failure::Other(format!("{undone}. {}", self.text))
    }
}

/// A problem (RFC 9457), as far as a command shows it.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    detail: String,
}

fn read(status: StatusCode, body: &[u8]) -> Result<Value, Refusal> {
    if status.is_success() {
        if body.is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(body).map_err(|error| broken(&error));
    }
    let problem: Problem = serde_json::from_slice(body).map_err(|error| broken(&error))?;
    let text = if problem.errors.is_empty() {
        problem.detail
    } else {
        let details = problem.errors.into_iter().map(|error| error.detail);
        details.collect::<Vec<_>>().join(" ")
    };
    let code = problem.code;
    Err(Refusal { code, text })
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        code: String::new(),
        text: format!("The server's answer can't be read: {error}."),
    }
}
