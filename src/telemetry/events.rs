//! Writes to the log what no request's own line says: a stolen refresh token, and the keys.

use std::sync::Arc;

use super::audit::AuditLog;
use crate::{
    config::AuditConfig,
    event::{Event, EventKind, EventListener, Listeners},
};

/// Writes events to the log, with [`tracing`]. An event of a request that the request's own line tells of is not written.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventLog;

impl EventLog {
    /// The log as the only listener.
    #[must_use]
    pub fn listeners() -> Listeners {
        [Arc::new(Self) as Arc<dyn EventListener>].into_iter().collect()
    }
}

/// The listeners of a process of this crate's own: the log, and the audit trail in the log if the settings say so.
pub(crate) fn listeners(config: &AuditConfig) -> Listeners {
    let audit = config.log.then(|| Arc::new(AuditLog) as Arc<dyn EventListener>);
    let events: Arc<dyn EventListener> = Arc::new(EventLog);
    audit.into_iter().chain([events]).collect()
}

impl EventListener for EventLog {
    fn notice(&self, event: &Event) {
        match &event.kind {
            EventKind::RefreshTokenReused { session } => {
                tracing::warn!(%session, "a spent refresh token was used again, so another client has a copy: its session has ended");
            }
            EventKind::SigningKeyRotated { kid } => {
                tracing::info!(kid, "a new signing key takes over from the present one");
            }
            EventKind::SigningKeyRevoked { kid } => {
                tracing::warn!(kid, "every signing key was revoked, and a new one signs");
            }
            _ => {}
        }
    }
}
