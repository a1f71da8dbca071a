//! The writes that wait for the committing thread, and which of them it takes next.

use std::{collections::VecDeque, iter};

use tokio::sync::mpsc;

/// How many writes may wait. A caller beyond that waits for a place.
pub(super) const PLACES: usize = 1024;

/// A write, as the queue sees it.
pub(super) trait Waiting {
    /// Whether it may be done while the index is still being filled, before those that came first.
    fn is_aside(&self) -> bool;
}

/// The end of the queue that the committing thread has.
pub(super) struct Queue<W> {
    coming: mpsc::Receiver<W>,
    /// What came while only others could be done.
    put_off: VecDeque<W>,
}

impl<W: Waiting> Queue<W> {
    /// An empty queue, and where to put what is to be done.
    pub(super) fn new() -> (mpsc::Sender<W>, Self) {
        let (sender, coming) = mpsc::channel(PLACES);
        let put_off = VecDeque::new();
        (sender, Self { coming, put_off })
    }

    /// Up to `at_most` writes in the order in which they came. Waits for one; none if there will never be any more.
    pub(super) fn next(&mut self, at_most: usize) -> Vec<W> {
        let first = self.put_off.pop_front().or_else(|| self.coming.blocking_recv());
        let more = iter::from_fn(|| self.put_off.pop_front().or_else(|| self.coming.try_recv().ok()));
        first.into_iter().chain(more).take(at_most).collect()
    }

    /// Up to `at_most` writes that are aside, in the order in which they came, if there are any by now.
    pub(super) fn aside(&mut self, at_most: usize) -> Vec<W> {
        let mut aside = Vec::new();
        // With as many put off as there are places, callers wait as they would if nothing were taken.
        while aside.len() < at_most
            && self.put_off.len() < PLACES
            && let Ok(write) = self.coming.try_recv()
        {
            if write.is_aside() {
                aside.push(write);
            } else {
                self.put_off.push_back(write);
            }
        }
        aside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Waiting for i32 {
        fn is_aside(&self) -> bool {
            *self < 0
        }
    }

    #[test]
    fn what_is_aside_is_taken_early_and_all_else_in_the_order_in_which_it_came() {
        let (sender, mut queue) = Queue::new();
        assert!(queue.aside(9).is_empty());
        for write in [1, -1, 2, -2, 3, -3] {
            sender.try_send(write).unwrap();
        }
        assert_eq!(queue.aside(2), [-1, -2]);
        assert_eq!(queue.next(2), [1, 2]);
        assert_eq!(queue.next(9), [3, -3]);
        drop(sender);
        assert!(queue.next(9).is_empty());
    }

    #[test]
    fn no_more_are_put_off_than_there_are_places() {
        let (sender, mut queue) = Queue::new();
        let places = i32::try_from(PLACES).unwrap();
        (0..places).for_each(|write| sender.try_send(write).unwrap());
        assert!(queue.aside(9).is_empty());
        sender.try_send(-1).unwrap();
        assert!(queue.aside(9).is_empty());
        assert_eq!(queue.next(PLACES).len(), PLACES);
        assert_eq!(queue.aside(9), [-1]);
    }
}
