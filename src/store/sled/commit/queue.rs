//! The writes that wait for the committing thread, and the order in which it takes them.

use std::{collections::VecDeque, iter};

use tokio::sync::mpsc;

/// How many writes may wait in the queue. Further callers wait until one has been taken.
pub(crate) const PLACES: usize = 1024;

/// A write, as the queue sees it.
pub(crate) trait Queued {
    /// Whether the write may be done while the index is being filled, before writes that came earlier.
    fn is_independent(&self) -> bool;
}

/// The end of the queue that the committing thread has.
pub(crate) struct WriteQueue<W> {
    coming: mpsc::Receiver<W>,
    /// Writes taken from the channel while only independent ones could be done.
    put_off: VecDeque<W>,
}

impl<W: Queued> WriteQueue<W> {
    /// Returns an empty queue and its other end, for callers.
    pub(crate) fn new() -> (mpsc::Sender<W>, Self) {
        let (sender, coming) = mpsc::channel(PLACES);
        let put_off = VecDeque::new();
        (sender, Self { coming, put_off })
    }

    /// Takes up to `at_most` writes in the order in which they came. Waits for the first. Returns none if no caller is left.
    pub(crate) fn take(&mut self, at_most: usize) -> Vec<W> {
        let first = self.put_off.pop_front().or_else(|| self.coming.blocking_recv());
        let more = iter::from_fn(|| self.put_off.pop_front().or_else(|| self.coming.try_recv().ok()));
        first.into_iter().chain(more).take(at_most).collect()
    }

    /// Takes up to `at_most` independent writes, in the order in which they came. Does not wait.
    pub(crate) fn take_independent(&mut self, at_most: usize) -> Vec<W> {
        let mut taken = Vec::new();
        // Once as many are put off as the queue has places, nothing is taken, so callers wait as for a full queue.
        while taken.len() < at_most
            && self.put_off.len() < PLACES
            && let Ok(write) = self.coming.try_recv()
        {
            if write.is_independent() {
                taken.push(write);
            } else {
                self.put_off.push_back(write);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Queued for i32 {
        fn is_independent(&self) -> bool {
            *self < 0
        }
    }

    #[test]
    fn independent_writes_are_taken_early_and_others_in_order() {
        let (sender, mut queue) = WriteQueue::new();
        assert!(queue.take_independent(9).is_empty());
        for write in [1, -1, 2, -2, 3, -3] {
            sender.try_send(write).unwrap();
        }
        assert_eq!(queue.take_independent(2), [-1, -2]);
        assert_eq!(queue.take(2), [1, 2]);
        assert_eq!(queue.take(9), [3, -3]);
        drop(sender);
        assert!(queue.take(9).is_empty());
    }

    #[test]
    fn no_more_writes_are_put_off_than_the_queue_has_places() {
        let (sender, mut queue) = WriteQueue::new();
        let places = i32::try_from(PLACES).unwrap();
        (0..places).for_each(|write| sender.try_send(write).unwrap());
        assert!(queue.take_independent(9).is_empty());
        sender.try_send(-1).unwrap();
        assert!(queue.take_independent(9).is_empty());
        assert_eq!(queue.take(PLACES).len(), PLACES);
        assert_eq!(queue.take_independent(9), [-1]);
    }
}
