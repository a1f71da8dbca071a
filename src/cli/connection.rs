//! The way from a command to the accounts: the running server by its control socket, or the database itself if none runs. Both
//! answer the same requests, with the same routes.

use std::{io, path::PathBuf};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, StatusCode,
    body::{Body, Bytes, Frame},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::{net::UnixStream, sync::mpsc::Receiver, task::JoinHandle};

use super::{control, database, failure::Failure, process::start_log, threads};
use crate::{
    auth::Accounts,
    config::Config,
    http::Administration,
    telemetry::{self, Log},
};

/// The way from one command to the accounts.
pub(super) enum Connection {
    /// To the server that has the database, by this socket.
    Server(PathBuf),
    /// To the database, which this process has opened.
    InProcess(Box<InProcess>),
}

/// The administration in this process.
pub(super) struct InProcess {
    administration: Administration,
    _log: Log,
}

impl Connection {
    /// Finds the server, or opens the database. If no server runs there must be a database, unless `create`; `advice` ends the error
    /// if there is none.
    pub(super) async fn open(config: &Config, create: bool, advice: &str) -> Result<Self, Failure> {
        threads::for_command(config)?;
        let socket = control::path(config);
        match UnixStream::connect(&socket).await {
            Ok(_) => return Ok(Self::Server(socket)),
            Err(error) if no_server_listens(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Failure::Other(format!(
                    "the control socket {} is for root and for the user who runs the server; run the command as one of them",
                    socket.display()
                )));
            }
            Err(error) => {
                let what = format!("the server can't be reached by {}", socket.display());
                return Err(Failure::io(&what, &error));
            }
        }
        if !create {
            database::must_exist(config, advice)?;
        }
        let log = start_log(config)?;
        let accounts = Accounts::open(config, telemetry::listeners(&config.audit)).await?;
        Ok(Self::InProcess(Box::new(InProcess {
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
        let only_reads = method.is_safe();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(String::new, |body| body.to_string());
        let request = request.body(body).map_err(|error| broken(&error))?;
        let answer = async { self.send(request).await?.json().await };
        answer.await.map_err(|refusal| Refusal {
            is_certain: refusal.is_certain || only_reads,
            ..refusal
        })
    }

    /// Sends what `pieces` brings, and returns the JSON that answers it. The receiver may be dropped before the last piece.
    ///
    /// Fails with what the answer says if it is a refusal.
    pub(super) async fn upload(&self, path: &str, mut pieces: Receiver<Piece>) -> Result<Value, Refusal> {
        let pieces = stream::poll_fn(move |context| pieces.poll_recv(context));
        let request = Request::post(path).header("host", "localhost");
        let request = request
            .body(StreamBody::new(pieces))
            .map_err(|error| broken(&error))?;
        self.send(request).await?.json().await
    }

    /// Asks for an answer that comes piece by piece.
    ///
    /// Fails with what the answer says if it is a refusal.
    pub(super) async fn download(&self, path: &str) -> Result<Download, Refusal> {
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(String::new()).map_err(|error| broken(&error))?;
        let answer = self.send(request).await?;
        if answer.status.is_success() {
            return Ok(Download(answer));
        }
        match answer.json().await {
            Ok(other) => Err(broken(&other)),
            Err(refusal) => Err(refusal),
        }
    }

    async fn send<B>(&self, request: Request<B>) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
        B::Error: Into<Broken>,
    {
        match self {
            Self::Server(socket) => send(socket, request).await.map_err(|error| broken(&error)),
            Self::InProcess(here) => {
                let (head, body) = here.administration.answer(request).await.into_parts();
                Ok(Answer {
                    status: head.status,
                    body: body.map_err(Broken::from).boxed_unsync(),
                    connection: None,
                })
            }
        }
    }
}

/// A piece of a body that is sent.
pub(super) type Piece = io::Result<Frame<Bytes>>;
/// What a connection or a body fails with.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// An answer, whose body is still to be read.
struct Answer {
    status: StatusCode,
    body: UnsyncBoxBody<Bytes, Broken>,
    /// What must stay until the body is read.
    connection: Option<AbortOnDrop>,
}

/// A task that ends with this.
struct AbortOnDrop(JoinHandle<hyper::Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    async fn json(self) -> Result<Value, Refusal> {
        let body = self.body.collect().await.map_err(|error| broken(&error))?;
        drop(self.connection);
        read(self.status, &body.to_bytes())
    }
}

/// The body of an answer, piece by piece.
pub(super) struct Download(Answer);

impl Download {
    /// Returns the next piece; `None` at the end. Fails if the answer is cut short.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        while let Some(frame) = self.0.body.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// Whether no server listens at a socket.
fn no_server_listens(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory
            // A path that is too long for a socket: no server could listen there.
            | io::ErrorKind::InvalidInput
    )
}

async fn send<B>(socket: &PathBuf, request: Request<B>) -> Result<Answer, Broken>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Broken>,
{
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let answer = sender.send_request(request).await?;
    let (head, body) = answer.into_parts();
    Ok(Answer {
        status: head.status,
        body: body.map_err(Broken::from).boxed_unsync(),
        connection: Some(connection),
    })
}

/// Why a request was not granted.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The `code` of the problem; empty if there is none.
    pub(super) code: String,
    /// What the answer says, a line a field.
    pub(super) text: String,
    /// What the answer says as a whole.
    pub(super) detail: String,
    /// What it says of each field.
    pub(super) errors: Vec<FieldError>,
    /// Whether nothing can have been changed all the same.
    pub(super) is_certain: bool,
}

impl Refusal {
    /// As the failure of a command that has not done what `undone` says.
    pub(super) fn failure(self, undone: &str) -> Failure {
        // A password is no argument.
        let of_an_argument =
            self.code == "invalid_field" && self.errors.iter().all(|error| error.field != "password");
        if of_an_argument {
            Failure::Argument(format!("{undone}. {}", self.text))
        } else if self.is_certain {
            Failure::Other(format!("{undone}. {}", self.text))
        } else {
            Failure::Other(format!(
                "it is not known whether anything was changed; look before you try again. {}",
                self.text
            ))
        }
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

#[derive(Debug, Deserialize)]
pub(super) struct FieldError {
    pub(super) field: String,
    pub(super) detail: String,
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
        problem.detail.clone()
    } else {
        let details = problem.errors.iter().map(|error| error.detail.as_str());
        details.collect::<Vec<_>>().join(" ")
    };
    let Problem { code, detail, errors } = problem;
    // A server that is busy has not begun; any other failure of it may come after the write.
    let is_certain = !status.is_server_error() || code == "busy";
    Err(Refusal {
        code,
        text,
        detail,
        errors,
        is_certain,
    })
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    let text = format!("The server's answer can't be read: {error}.");
    Refusal {
        code: String::new(),
        detail: text.clone(),
        text,
        errors: Vec::new(),
        is_certain: false,
    }
}
