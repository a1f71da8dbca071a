//! The start of a store: the open database, the time, and the index that is filled or about to be.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use super::{
    commit::committer::Load,
    file::{
        directory::DirectoryLock,
        open::{self, Opened, Reading},
        quiet::aloud,
    },
    memory::index::Index,
    trees::Trees,
};
use crate::{
    clock::Timestamp,
    config::StoreConfig,
    store::error::{OpenError, StoreError},
};

/// A clock that is behind the last write by this much or less has been set back: the time goes on from the last write. A clock
/// that is further behind is right now, and was wrong before.
const LONGEST_STEP_BACK: Duration = Duration::from_hours(24);

/// A database that has been opened.
pub(crate) struct Started {
    pub(crate) opened: Opened,
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Arc<Index>,
    /// What fills the index. `None` if it is filled.
    pub(crate) load: Option<Load>,
}

/// Opens the database that `config` names at `now`.
pub(crate) fn start(config: &StoreConfig, now: Timestamp) -> Result<Started, OpenError> {
    let index = Arc::new(Index::default());
    let mut load: Option<Load> = None;
    let (opened, lock) = open::open(config, |trees, reading| {
        let live_at = settle_time(trees, &index, now)?;
        // After a step back of the clock every session must be gone before a request is answered.
        if reading == Reading::Later && live_at == index.latest() {
            load = Some(Box::new(move |trees, index, meanwhile| {
                trees.load(index, live_at, meanwhile)
            }));
            return Ok(());
        }
        let filled = trees.load(&index, live_at, &mut || ControlFlow::Continue(()))?;
        debug_assert!(filled.is_continue(), "nothing stops it");
        Ok(())
    })?;
    Ok(Started {
        opened,
        lock,
        index,
        load,
    })
}

/// Tells `index` the time. Returns the moment at which a session must be live to be kept: `now`, or the last write if the clock
/// has been set back since.
fn settle_time(trees: &Trees, index: &Index, now: Timestamp) -> Result<Timestamp, StoreError> {
    let latest = trees.latest()?;
    let behind = latest.since(now);
    if behind > LONGEST_STEP_BACK {
        // Going on from the last write would leave the server in that future for good. Which sessions have expired is unknown,
        // so all of them end.
        aloud(|| {
            tracing::warn!(
                "the clock is {} before the last write to the database, and is believed: every session has ended",
                humantime::format_duration(behind)
            );
        });
        index.saw(now);
        return Ok(Timestamp::from_secs(u64::MAX));
    }
    if !behind.is_zero() {
        aloud(|| {
            tracing::warn!(
                "the clock is {} before the last write to the database: the time goes on from that write",
                humantime::format_duration(behind)
            );
        });
    }
    index.saw(now.max(latest));
    Ok(now.max(latest))
}
