//! A listener that keeps every event until a test takes them.

use std::sync::{Arc, Mutex};

use jwt_server::event::{Event, EventKind, EventListener, Listeners};

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl EventListener for Recorder {
    fn notice(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Recorder {
    pub(crate) fn listeners(self: &Arc<Self>) -> Listeners {
        [Arc::clone(self) as Arc<dyn EventListener>].into_iter().collect()
    }

    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The one event since the last call.
    #[track_caller]
    pub(crate) fn take_one(&self) -> Event {
        let events = self.take();
        let [event] = <[Event; 1]>::try_from(events).unwrap_or_else(|events| panic!("{events:?}"));
        event
    }

    /// The kinds of the events since the last call.
    pub(crate) fn take_kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|event| event.kind).collect()
    }
}
