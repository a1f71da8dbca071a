//! Writes each event of the audit trail to the log as well.

use crate::event::{Actor, Event, EventListener};

/// Writes each event to the log, with [`tracing`]: a refusal as a warning, because of those the log leaves out what comes too
/// often, and every other event as information.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditLog;

impl EventListener for AuditLog {
    fn notice(&self, event: &Event) {
        let (by, session, api_token) = match event.actor {
            Actor::User {
                id,
                session,
                api_token,
            } => (Some(id), session, api_token),
            Actor::Anonymous | Actor::Operator { .. } | Actor::Server => (None, None, None),
        };
        let uid = match event.actor {
            Actor::Operator { uid } => uid,
            _ => None,
        };
        let details = event.kind.details();
        let details = (!details.is_empty()).then(|| serde_json::Value::Object(details).to_string());
        // The macro needs its level at compile time.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    kind = event.kind.name(),
                    user = event.subject.map(tracing::field::display),
                    actor = event.actor.name(),
                    by = by.map(tracing::field::display),
                    uid,
                    session = session.map(tracing::field::display),
                    api_token = api_token.map(tracing::field::display),
                    client = event.context.client.address.map(tracing::field::display),
                    request_id = event.context.request_id.map(tracing::field::display),
                    details,
                    "audit"
                )
            };
        }
        if event.kind.is_refusal() {
            line!(warn);
        } else {
            line!(info);
        }
    }
}
