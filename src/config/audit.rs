//! `[audit]`: how much of the audit trail is kept.

use std::time::Duration;

use super::{
    accepts::{Boolean, CENTURY, Seconds, Whole},
    section::section,
};

const DAY: u64 = 24 * 60 * 60;

section! {
    /// The audit trail: who did what, to whom, when and from where. Times are whole seconds.
    #[derive(Copy)]
    pub struct AuditConfig in "audit" {
        /// How long an event is kept. It names people, also those whose accounts have been deleted.
        keep: Duration = "365d", Seconds(DAY..=CENTURY);
        /// How many events of each class are kept: what administrators, the operator and the server did, what users did
        /// with their own accounts, and refusals. The oldest ones go first. 100,000 take some 40 MB on the disk.
        max_events: u64 = 100000, Whole(1000..=1_000_000);
        /// Whether each event is also a line in the log.
        log: bool = false, Boolean;
    }
}
