//! Writes to the log what no request's own line says: a stolen refresh token, and the keys.

use std::sync::Arc;

use crate::event::{Event, EventKind, EventListener, Listeners};

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
