//! What the process reports of itself: the log, and the events that it writes there. It does not know what is served; a command installs it at its start.

mod alike;
mod audit;
mod events;
mod log;
mod writer;

pub(crate) use self::events::listeners;
pub(crate) use self::log::{Log, install};
pub use self::{audit::AuditLog, events::EventLog};
