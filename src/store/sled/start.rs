//! The start of a store: the open database, the time, and the index that is filled or about to be.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use super::{
    commit::committer::Load,
    file::{
        directory::DirectoryLock,
        open::{self, Opened, Reading},
        quiet::aloud,
        staging,
    },
    memory::index::Index,
    trees::{Trees, meta::Moments},
    unfinished::{Finished, finish_import},
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    store::error::{OpenError, StoreError},
};

/// A server that seems to have been stopped for longer may have a clock that is ahead.
const LONGEST_STOP: Duration = Duration::from_hours(24);

/// A database that has been opened.
pub(crate) struct Started {
    pub(crate) opened: Opened,
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Arc<Index>,
    /// What fills the index. `None` if it is filled.
    pub(crate) load: Option<Load>,
    /// What was left to do of an import.
    pub(crate) finished: Finished,
}

/// Opens the database that `config` names at `now`.
pub(crate) fn start(config: &StoreConfig, now: Timestamp) -> Result<Started, OpenError> {
    let index = Arc::new(Index::default());
    let mut load: Option<Load> = None;
    let mut finished = Finished::default();
    let (opened, lock) = open::open(config, |trees, reading| {
        finished = finish_import(trees, &config.path)?;
        let settled = settle_time(trees, &index, now)?;
        index.waiting.set_durable(trees.next_event()?);
        if reading == Reading::Later {
            load = Some(Box::new(move |trees, index, meanwhile| {
                trees.load(index, settled, meanwhile)
            }));
            return Ok(());
        }
        let filled = trees.load(&index, settled, &mut || ControlFlow::Continue(()))?;
        debug_assert!(filled.is_continue(), "nothing stops it");
        Ok(())
    })?;
    // Not earlier: until now the database may have been put back to where it needs the file.
    staging::remove(&config.path).map_err(|source| OpenError::inaccessible(&config.path, source))?;
    Ok(Started {
        opened,
        lock,
        index,
        load,
        finished,
    })
}

/// Tells `index` the time: `now`, or the last write if that was later. Returns the moment up to which what has expired may be
/// deleted.
///
/// A start cannot know which of `now` and the last write is wrong. So it deletes nothing that may be live by either.
fn settle_time(trees: &Trees, index: &Index, now: Timestamp) -> Result<Timestamp, StoreError> {
    let Some(Moments { latest, settled }) = trees.moments()? else {
        index.note_time(now, now);
        return Ok(now);
    };
    index.note_time(now.max(latest), settled);
    let behind = latest.since(now);
    if !behind.is_zero() {
        aloud(|| {
            tracing::warn!(
                "the clock is {} before the last write to the database: the time goes on from that write, and tokens too until the clock has held for 10 minutes",
                humantime::format_duration(behind)
            );
        });
    }
    let stopped = now.since(settled);
    if stopped > LONGEST_STOP {
        aloud(|| {
            tracing::warn!(
                "the clock is {} after the last certain time: the server was stopped for so long, or the clock is wrong; nothing is deleted until it has held for a day",
                humantime::format_duration(stopped)
            );
        });
        return Ok(settled);
    }
    Ok(now)
}
