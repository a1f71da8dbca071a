//! Imports users who come from elsewhere, all of them or none.

use std::{
    io::{BufReader, Read},
    thread,
};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Accounts;
use crate::{
    auth::{
        AuthError,
        import_report::{ImportOptions, ImportReport, OnConflict},
    },
    domain::{ImportedUser, RequestContext},
    event::{Actor, EventKind},
    store::{Import, ImportCommit, MAX_STAGED, Staging},
    transfer::{Line, ReadError, Reader},
};

/// How many batches of lines are read ahead.
const AHEAD: usize = 2;

/// What the thread that reads the input has read.
type Batch = Result<Vec<Line>, ReadError>;

impl Accounts {
    /// Imports the users of `input`, in each format that [`transfer`](crate::transfer) reads, all of them or none. A new user
    /// whose roles are not said has those of a sign-up. A thread reads `input`, which may wait. If this is dropped before the
    /// import is decided, nothing is imported; after that, the next start finishes it.
    ///
    /// # Errors
    /// [`AuthError::ImportRefused`] with the report if a line is bad, unless they are skipped, or if a user is in the way and
    /// that [fails](OnConflict::Fail); [`ImportUnreadable`](AuthError::ImportUnreadable) if the input can't be read or has no known
    /// format; [`ImportInProgress`](AuthError::ImportInProgress) while there is another one;
    /// [`LastAdministrator`](AuthError::LastAdministrator) if no administrator would be left, which a dry run does not check;
    /// [`ImportUnfinished`](AuthError::ImportUnfinished) if the next start has to finish it; or a failure of the server. After
    /// [`Store`](AuthError::Store), all of the users are there or none, then or after the next start.
    pub async fn import(
        &self,
        input: impl Read + Send + 'static,
        options: ImportOptions,
        actor: Actor,
        context: &RequestContext,
    ) -> Result<ImportReport, AuthError> {
        let store = &self.parts.store;
        let begun = store
            .begin_import(options.on_conflict == OnConflict::Update)
            .await?;
        let mut import = begun.ok_or(AuthError::ImportInProgress)?;
        let mut batches = read(input)?;
        let mut report = ImportReport::default();
        while let Some(batch) = batches.recv().await {
            let lines = batch.map_err(|error| AuthError::ImportUnreadable(error.to_string()))?;
            self.take(&mut *import, lines, options, &mut report).await?;
        }
        if report.is_refused(options) {
            return Err(AuthError::ImportRefused(Box::new(report)));
        }
        if options.dry_run {
            return Ok(report);
        }
        match import.commit().await? {
            ImportCommit::Decided => {}
            ImportCommit::LastAdministrator => return Err(AuthError::LastAdministrator),
        }
        let (added, updated) = (report.added, report.updated);
        if added + updated > 0 {
            let kind = EventKind::UsersImported { added, updated };
            self.parts.emit(kind, None, actor, context);
        }
        import.finish().await.map_err(AuthError::ImportUnfinished)?;
        Ok(report)
    }

    /// Stages the users of these lines, or only looks at them if nothing is going to be imported.
    async fn take(
        &self,
        import: &mut dyn Import,
        lines: Vec<Line>,
        options: ImportOptions,
        report: &mut ImportReport,
    ) -> Result<(), AuthError> {
        let now = self.parts.now();
        let (mut numbers, mut users): (Vec<u64>, Vec<ImportedUser>) = (Vec::new(), Vec::new());
        for Line { number, user } in lines {
            match user {
                Ok(entry) => {
                    numbers.push(number);
                    users.push(entry.imported(&self.new_roles, now));
                }
                Err(problem) => report.note_bad(number, &problem),
            }
        }
        let names: Vec<_> = users.iter().map(|user| user.user.username.clone()).collect();
        let stagings = if options.dry_run || report.is_refused(options) {
            import.examine(&users).await?
        } else {
            import.stage(users).await?
        };
        for ((number, name), staging) in numbers.into_iter().zip(names).zip(stagings) {
            match staging {
                Staging::Added => report.added += 1,
                Staging::Updated => report.updated += 1,
                Staging::UsernameTaken if options.on_conflict == OnConflict::Skip => report.skipped += 1,
                Staging::UsernameTaken => {
                    report.conflicts += 1;
                    report.note(number, &format_args!("there is a user {name} already"));
                }
                Staging::IdTaken => report.note_bad(
                    number,
                    &"the id is that of a user with another name: without the field id, the user gets a new one",
                ),
                Staging::Twice => {
                    report.note_bad(number, &format_args!("user {name} stands in an earlier line already"));
                }
            }
        }
        Ok(())
    }
}

/// Starts the thread that reads `input`.
fn read(input: impl Read + Send + 'static) -> Result<Receiver<Batch>, AuthError> {
    let (batches, receiver) = mpsc::channel(AHEAD);
    let reading = thread::Builder::new().name("import".into());
    reading
        .spawn(move || {
            if let Err(error) = read_all(input, &batches) {
                // If the receiver has gone, the import has failed already.
                let _ = batches.blocking_send(Err(error));
            }
        })
        .map_err(|error| AuthError::Internal(format!("no thread to read an import: {error}")))?;
    Ok(receiver)
}

fn read_all(input: impl Read, batches: &Sender<Batch>) -> Result<(), ReadError> {
    let mut reader = Reader::new(BufReader::new(input))?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
        if lines.len() == MAX_STAGED && batches.blocking_send(Ok(std::mem::take(&mut lines))).is_err() {
            return Ok(());
        }
    }
    if !lines.is_empty() {
        let _ = batches.blocking_send(Ok(lines));
    }
    Ok(())
}
