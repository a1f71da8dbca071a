//! `/admin/import` and `/admin/export`: users move in and out, as streams. For the operator alone.

use std::{
    io::{self, Read},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;
use warp::{Filter, Reply, http::header, reply::Response};

use super::administration::{Administration, Asked};
use crate::{
    auth::{AuthError, ImportOptions, ImportReport, LineReport, OnConflict},
    domain::UserCursor,
    http::{
        cached::no_store,
        endpoint::{Endpoint, endpoint, on},
        error::ApiError,
        field::{FieldProblem, truth},
        method::{GET, POST},
        trace::note,
    },
};

/// How long the body of an import may pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// How many pieces of a body are read ahead.
const AHEAD: usize = 16;

pub(super) fn import_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked().and(warp::body::stream());
    endpoint("/admin/import", on(POST, asked.then(import)))
}

pub(super) fn export_route(administration: &Administration) -> impl Endpoint + use<> {
    let asked = administration.asked();
    endpoint("/admin/export", on(GET, asked.then(export)))
}

/// Another word than those for users who are in the way.
#[derive(Debug, thiserror::Error)]
#[error("This must be fail, skip or update.")]
struct NoSuchWay;

impl FieldProblem for NoSuchWay {
    fn code(&self) -> &'static str {
        "not_a_choice"
    }
}

fn on_conflict(text: &str) -> Result<OnConflict, NoSuchWay> {
    match text {
        "fail" => Ok(OnConflict::Fail),
        "skip" => Ok(OnConflict::Skip),
        "update" => Ok(OnConflict::Update),
        _ => Err(NoSuchWay),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    added: u64,
    updated: u64,
    skipped: u64,
    bad: u64,
    lines: Vec<ReportedLine<'a>>,
}

#[derive(Serialize)]
struct ReportedLine<'a> {
    line: u64,
    reason: &'a str,
}

impl<'a> From<&'a ImportReport> for Report<'a> {
    fn from(report: &'a ImportReport) -> Self {
        let line = |LineReport { line, reason }: &'a LineReport| ReportedLine { line: *line, reason };
        Self {
            added: report.added,
            updated: report.updated,
            skipped: report.skipped,
            bad: report.bad,
            lines: report.lines.iter().map(line).collect(),
        }
    }
}

async fn import<S, B>(asked: Asked, body: S) -> Result<Response, ApiError>
where
    S: Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf + Send,
{
    let (accounts, actor, context, mut fields) = asked.with_query()?;
    let on_conflict = fields.take_if_given("on_conflict", |text| on_conflict(&text));
    let skip_bad = fields.take_if_given("skip_bad", |text| truth(&text));
    let dry_run = fields.take_if_given("dry_run", |text| truth(&text));
    let options = fields.finish(Some(ImportOptions {
        on_conflict: on_conflict.unwrap_or_default(),
        skip_bad: skip_bad.unwrap_or_default(),
        dry_run: dry_run.unwrap_or_default(),
    }))?;
    let (pieces, receiver) = mpsc::channel(AHEAD);
    let input = Input {
        pieces: receiver,
        piece: Bytes::new(),
        is_over: false,
    };
    // A task of its own: what is decided goes on if the client leaves.
    let import = tokio::spawn(async move { accounts.import(input, options, actor, &context).await });
    let passed = pass(body, pieces).await;
    let done = import.await;
    let done = done.map_err(|error| AuthError::Internal(error.to_string()))?;
    passed?;
    let report = done?;
    let changed = !options.dry_run && report.added + report.updated > 0;
    let answer = warp::reply::json(&Report::from(&report)).into_response();
    Ok(note(answer, |trace| trace.changed = changed))
}

/// Passes a body on, piece by piece. What comes after the import has ended is read and dropped, so that the client can read the
/// answer.
async fn pass<S, B>(body: S, pieces: mpsc::Sender<Option<Bytes>>) -> Result<(), ApiError>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut body = std::pin::pin!(body);
    loop {
        let next = tokio::time::timeout(LONGEST_PAUSE, body.next()).await;
        let Some(piece) = next.map_err(|_| ApiError::BodyTooSlow)? else {
            let _ = pieces.send(None).await;
            return Ok(());
        };
        // The connection broke, or the pieces are badly framed.
        let mut piece = piece.map_err(|_| ApiError::BadRequest)?;
        let piece = piece.copy_to_bytes(piece.remaining());
        let _ = pieces.send(Some(piece)).await;
    }
}

/// A body as a blocking input.
struct Input {
    /// The pieces, and `None` at the end. A body that stops without it is cut short, and must not be imported.
    pieces: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    is_over: bool,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_over {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.is_over = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

async fn export(asked: Asked) -> Result<Response, ApiError> {
    let (accounts, actor, context, mut fields) = asked.with_query()?;
    let with_hashes = fields.take_if_given("with_hashes", |text| truth(&text));
    let with_hashes = fields.finish(Some(with_hashes))?.unwrap_or_default();
    // The first page may fail with a problem; a later one can only cut the answer short.
    let page = move |after| {
        let (accounts, context) = (accounts.clone(), context.clone());
        async move { accounts.export(after, with_hashes, actor, &context).await }
    };
    let first = page(None).await?;
    let pages = pages(page, first);
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(send(pages, sender));
    let lines = stream::poll_fn(move |context| receiver.poll_recv(context));
    let mut answer = no_store(warp::reply::stream(lines));
    let media_type = header::HeaderValue::from_static("application/x-ndjson");
    answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(answer)
}

type Page = (Vec<u8>, Option<UserCursor>);
type Lines = Result<Bytes, AuthError>;

/// The pages of an export, of which the first is there.
fn pages<F>(page: impl Fn(Option<UserCursor>) -> F + Clone, first: Page) -> impl Stream<Item = Lines>
where
    F: Future<Output = Result<Page, AuthError>>,
{
    stream::unfold(
        Some(Ok(first)),
        move |present: Option<Result<Page, AuthError>>| {
            let page = page.clone();
            async move {
                let (lines, next) = match present? {
                    Ok(page) => page,
                    Err(error) => return Some((Err(error), None)),
                };
                let next = match next {
                    Some(after) => Some(page(Some(after)).await),
                    None => None,
                };
                Some((Ok(Bytes::from(lines)), next))
            }
        },
    )
}

/// Sends the pages as the client takes them.
async fn send(pages: impl Stream<Item = Lines>, sender: mpsc::Sender<Lines>) {
    let mut pages = std::pin::pin!(pages);
    while let Some(page) = pages.next().await {
        if sender.send(page).await.is_err() {
            return;
        }
    }
}
