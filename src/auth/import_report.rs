//! How an import is done, and what came of it.

/// How many bad lines a report names at most. It counts the others.
pub const NAMED_LINES: usize = 100;

/// What becomes of a user whose name a user has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Nothing is imported.
    #[default]
    Fail,
    /// The user stays as they are.
    Skip,
    /// The user gets what the import says of them. If the password changes, their sessions and API tokens end.
    Update,
}

/// How an import is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What becomes of a user whose name a user has already.
    pub on_conflict: OnConflict,
    /// Whether the good lines are imported although others are bad.
    pub skip_bad: bool,
    /// Whether everything is checked and nothing is imported.
    pub dry_run: bool,
}

/// What came of an import, or would come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// How many users were added.
    pub added: u64,
    /// How many users were updated.
    pub updated: u64,
    /// How many users stayed as they are, because the import replaces none.
    pub skipped: u64,
    /// How many lines are bad.
    pub bad: u64,
    /// How many users are in the way, and refuse the import.
    pub conflicts: u64,
    /// The first [`NAMED_LINES`] of the bad lines and the conflicts.
    pub lines: Vec<LineReport>,
}

/// A line that is not imported, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReport {
    /// Which line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl ImportReport {
    pub(super) fn note_bad(&mut self, line: u64, reason: &impl ToString) {
        self.bad += 1;
        self.note(line, reason);
    }

    pub(super) fn note(&mut self, line: u64, reason: &impl ToString) {
        if self.lines.len() < NAMED_LINES {
            let reason = reason.to_string();
            self.lines.push(LineReport { line, reason });
        }
    }

    pub(super) fn is_refused(&self, options: ImportOptions) -> bool {
        self.conflicts > 0 || (self.bad > 0 && !options.skip_bad)
    }
}
