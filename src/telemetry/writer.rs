//! Where lines go: through a thread that writes them, so that no request waits for the reader of the log. What waits for that
//! thread is bounded in bytes, and so is a line.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may wait for the thread. While it writes, it has at most as many.
const WAITING: usize = 1 << 20;
/// The longest line, in bytes.
const LONGEST_LINE: usize = 16 << 10;
/// The largest buffer that is kept for the next lines, in bytes.
const KEPT: usize = 16 << 10;
/// How long an end waits for the last lines to be written.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Takes lines. It leaves out those for which there is no room, and those that are too long.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// Keeps the thread. When it is dropped, the lines that wait are written, unless that takes too long.
pub(super) struct LinesGuard(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    left_out: usize,
    /// No more lines come.
    is_closed: bool,
    /// All lines are written.
    is_done: bool,
}

impl Lines {
    /// Lines that a thread writes to `output`.
    ///
    /// # Errors
    /// The system can start no thread.
    pub(super) fn to(output: impl Write + Send + 'static) -> io::Result<(Self, LinesGuard)> {
        let shared = Arc::<Shared>::default();
        let lines = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".into());
        thread.spawn(move || lines.write_to(output))?;
        Ok((Self(Arc::clone(&shared)), LinesGuard(shared)))
    }

    /// How many lines were left out so far.
    pub(super) fn left_out(&self) -> usize {
        self.0.state().left_out
    }

    /// Whether at least half of the room is free. A line about those left out is then not itself left out.
    pub(super) fn has_room(&self) -> bool {
        self.0.state().waiting.len() <= WAITING / 2
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each use leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() && !state.is_closed {
                state = self.wait(state);
            }
            if state.waiting.is_empty() {
                state.is_done = true;
                self.changed.notify_all();
                return;
            }
            mem::swap(&mut state.waiting, &mut lines);
            drop(state);
            // There is no other place to report it.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            lines.clear();
            lines.shrink_to(KEPT);
        }
    }
}

impl Write for Lines {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if line.len() > LONGEST_LINE || state.waiting.len() + line.len() > WAITING {
            state.left_out += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for LinesGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        self.0.changed.notify_all();
        let is_left = |state: &mut State| !state.is_done;
        let _ = self.0.changed.wait_timeout_while(state, LAST_WAIT, is_left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// A reader of the log that reads nothing until the other end of the channel is dropped, and what it has read.
    struct Blocked(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_the_rest_counted() {
        let ((unblock, blocked), (read, written)) = (mpsc::channel(), mpsc::channel());
        let (mut lines, guard) = Lines::to(Blocked(blocked, read)).unwrap();
        let line = vec![b'x'; 1000];
        let count = 5 * WAITING / line.len();
        for _ in 0..count {
            lines.write_all(&line).unwrap();
        }
        let waiting = lines.0.state().waiting.len();
        assert!(waiting <= WAITING && !lines.has_room(), "{waiting}");
        let left_out = lines.left_out();
        // The thread may have taken as much.
        assert!(left_out >= count - 2 * WAITING / line.len(), "{left_out}");
        drop(unblock);
        let mut read = 0;
        while read < (count - left_out) * line.len() {
            read += written.recv().unwrap().len();
        }
        assert_eq!(read, (count - left_out) * line.len());
        // With the next line the thread gives its own buffer back.
        lines.write_all(b"the last line").unwrap();
        assert_eq!(written.recv().unwrap(), b"the last line");
        drop(guard);
        assert!(lines.has_room() && lines.0.state().waiting.capacity() <= KEPT);
    }

    /// A reader of the log that takes a moment for each line.
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(50));
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_end_waits_for_the_last_lines_and_not_for_ever() {
        let written = Arc::default();
        let (mut lines, guard) = Lines::to(Slow(Arc::clone(&written))).unwrap();
        lines.write_all(b"the last line").unwrap();
        drop(guard);
        assert_eq!(*written.lock().unwrap(), b"the last line");

        let (_unblock, blocked) = mpsc::channel();
        let (mut lines, guard) = Lines::to(Blocked(blocked, mpsc::channel().0)).unwrap();
        lines.write_all(b"a line that is never read").unwrap();
        drop(guard);
    }

    #[test]
    fn a_line_beyond_the_longest_is_left_out() {
        let (read, written) = mpsc::channel();
        let (mut lines, guard) = Lines::to(Blocked(mpsc::channel().1, read)).unwrap();
        lines.write_all(&vec![b'x'; LONGEST_LINE + 1]).unwrap();
        lines.write_all(&vec![b'y'; LONGEST_LINE]).unwrap();
        drop(guard);
        assert_eq!(lines.left_out(), 1);
        let written: Vec<u8> = written.iter().flatten().collect();
        assert_eq!(written, vec![b'y'; LONGEST_LINE]);
    }
}
