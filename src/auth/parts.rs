//! What the verbs work with: a store, a clock and the listeners of events. Each is injected, so that a test or a program
//! that embeds the server brings its own.

use std::{panic, sync::Arc};

use tokio::runtime::Handle;

use super::{AuthError, StartError};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    config::Config,
    domain::{RequestContext, UserId},
    event::{Actor, Event, EventKind, Listeners},
    store::{self, Store, StoreError},
};

/// What an [`Auth`](super::Auth) works with. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// Where users, sessions, API tokens and keys are kept.
    pub store: Arc<dyn Store>,
    /// The source of the present moment.
    pub clock: Arc<dyn Clock>,
    /// What is told of each event.
    pub listeners: Listeners,
}

impl Parts {
    /// This store and this clock, without listeners.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            listeners: Listeners::default(),
        }
    }

    /// The database that `config` names, and the system's clock.
    pub(super) async fn open(config: &Config, listeners: Listeners) -> Result<Self, StartError> {
        let clock = SystemClock::new();
        let store = store::open(&config.store, clock.now(), listeners.clone()).await?;
        clock.continue_from(store.latest(), store.settled());
        Ok(Self {
            store,
            clock: Arc::new(clock),
            listeners,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment up to which what has expired may be deleted.
    pub(super) fn settled(&self) -> Timestamp {
        self.clock.settled()
    }

    /// Tells the audit trail and the listeners that something happened: to `subject`, by `actor`, in the request of `context`.
    pub(super) fn emit(
        &self,
        kind: EventKind,
        subject: Option<UserId>,
        actor: Actor,
        context: &RequestContext,
    ) {
        let event = Event {
            kind,
            subject,
            actor,
            context: context.clone(),
            at: self.now(),
        };
        // The audit trail listens to every event, whatever else does.
        self.store.append(&event);
        self.listeners.emit(&event);
    }
}

/// Does `change` to its end, also if the future is dropped. The store makes a change once it has been asked to, and a client that
/// hangs up drops what waits for the answer. So each verb that changes something does the write and emits its event in here. Without
/// a tokio runtime it ends with the future.
pub(super) async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, AuthError>> + Send + 'static,
) -> Result<T, AuthError> {
    let Ok(runtime) = Handle::try_current() else {
        return change.await;
    };
    match runtime.spawn(change).await {
        Ok(changed) => changed,
        Err(error) => match error.try_into_panic() {
            Ok(cause) => panic::resume_unwind(cause),
            // The runtime shuts down.
            Err(_) => Err(StoreError::Closed.into()),
        },
    }
}
