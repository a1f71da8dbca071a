//! Group commit: one thread takes writes from a queue, applies those that wait, makes them durable together, and only then
//! answers. Nothing outside this room can answer a write. It knows nothing of what a write means.

mod access;
pub(crate) mod committer;
pub(crate) mod group;
pub(crate) mod outage;
mod queue;
mod thread;
pub(crate) mod worker;

#[cfg(test)]
mod tests;
