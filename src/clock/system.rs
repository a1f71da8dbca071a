//! The machine's clocks, and which of them is believed when. It knows no store and no token: a caller asks it for the moment by
//! which to judge, to sign or to delete. ARCHITECTURE.md, "Which clock is believed", has the reasons.
//!
//! Invariants:
//! 1. The time that has passed in this process is the monotonic clock's. The wall clock only says at which moment it began.
//! 2. A wall clock that has jumped is believed after it has held: for ten minutes to sign by it, for a day to delete by it.
//! 3. [`now`](Clock::now) runs backwards only in [`go_back`](Clock::go_back), before which the caller ends every session. So no
//!    step back makes a token of a session live longer.
//! 4. Nothing here decides about a revocation: a revocation holds at any time.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{Clock, Timestamp};

/// A change of the wall clock by less is not looked at, in milliseconds.
const NOTICED: i64 = 100;
/// A change by this much or less is followed at once, as time services make it. More is a step.
const STEP: i64 = 60 * 1000;
/// How long a wall clock must hold after a step before tokens show its time.
const HOLDS_TO_SIGN: i64 = 10 * STEP;
/// How long it must hold, more than a day behind, before the server's time goes back to it.
const HOLDS_TO_GO_BACK: i64 = 60 * STEP;
/// How long it must hold before anything is deleted by it.
const HOLDS_TO_DELETE: i64 = DAY;
/// How long a server may have been stopped without a doubt about the time of its start. Also how far ahead of the wall clock the
/// server's time may stay.
const DAY: i64 = 24 * 60 * STEP;
/// The time between two looks at a wall clock that is not believed yet.
const LOOK_EVERY: i64 = 1000;

/// What a [`SystemClock`] reads, in milliseconds.
pub trait Sources: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall clock's time since the epoch.
    fn wall(&self) -> i64;

    /// Returns the time that has passed since a fixed moment. It never decreases.
    fn elapsed(&self) -> i64;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct Machine(Instant);

/// The machine's time, as far as it can be believed. It follows a wall clock that is set by up to a minute, and one that is set
/// further when that has held. It logs each step.
///
/// Otherwise, setting the clock back by an hour would extend the life of every token by an hour. And a clock that is a day ahead
/// for a second would make every token from then on a day too late.
#[derive(Debug)]
pub struct SystemClock<S = Machine> {
    sources: S,
    /// Each of these is a moment at which nothing had elapsed: [`now`](Clock::now),
    now: AtomicI64,
    /// the time in tokens,
    signing: AtomicI64,
    /// the time by which may be deleted unless the wall clock is behind it,
    settled: AtomicI64,
    /// and the wall clock when it was looked at.
    seen: AtomicI64,
    /// How much time must have passed for the next look.
    look_at: AtomicI64,
    wall: Mutex<Wall>,
}

/// What is known of the wall clock.
#[derive(Debug)]
struct Wall {
    /// Since when it has held.
    since: i64,
    /// Where tokens were before the last step that was followed: a clock that returns there has been put right.
    before: Option<i64>,
    /// Whether it has been behind the last write of an earlier process since the start: then it is known to be wrong, and a step
    /// to a later moment puts it right.
    is_behind: bool,
}

impl SystemClock {
    /// A clock that starts at the present time of the machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self::of(Machine(Instant::now()))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Sources> SystemClock<S> {
    /// A clock that reads `sources` and starts at their wall clock's time.
    #[must_use]
    pub fn of(sources: S) -> Self {
        let (wall, elapsed) = (sources.wall(), sources.elapsed());
        let start = || AtomicI64::new(wall - elapsed);
        Self {
            sources,
            now: start(),
            signing: start(),
            settled: start(),
            seen: start(),
            look_at: AtomicI64::new(i64::MAX),
            wall: Mutex::new(Wall {
                since: elapsed,
                before: None,
                is_behind: false,
            }),
        }
    }

    /// Goes on from what an earlier process left: the `latest` moment that it knew of, if the wall clock shows an earlier one; and
    /// the moment by which it had `settled` that it could delete.
    pub fn continue_from(&self, latest: Timestamp, settled: Timestamp) {
        let mut wall = self.lock();
        let elapsed = self.sources.elapsed();
        let seen = self.seen.load(Relaxed);
        let (latest, settled) = (millis(latest) - elapsed, millis(settled) - elapsed);
        if latest > self.now.fetch_max(latest, Relaxed) && latest - seen > STEP {
            self.signing.store(latest, Relaxed);
            wall.is_behind = true;
        }
        if settled > seen || seen - settled > DAY {
            self.settled.store(settled, Relaxed);
        }
        wall.since = elapsed;
        self.look_again(elapsed);
    }

    /// Looks whether the wall clock has been set, and for how long it has held.
    #[cold]
    fn look(&self) {
        let mut wall = self.lock();
        // In this order: a thread that has to wait in between finds the wall clock behind, and looks again.
        let seen = self.sources.wall();
        let elapsed = self.sources.elapsed();
        let seen = seen - elapsed;
        let step = seen - self.seen.swap(seen, Relaxed);
        let signing = self.signing.load(Relaxed);
        if step.abs() > STEP {
            wall.since = elapsed;
        }
        let held = elapsed - wall.since;
        let returned = wall.before.is_some_and(|before| is_near(seen, before));
        let put_right = returned || (wall.is_behind && seen > signing);
        wall.is_behind &= seen <= signing && held < HOLDS_TO_SIGN;
        if step.abs() > STEP {
            say_step(step, put_right || is_near(seen, signing));
        }
        if is_near(seen, signing) || put_right || held >= HOLDS_TO_SIGN {
            if !is_near(seen, signing) {
                wall.before = Some(signing);
                say_followed(seen - signing, put_right);
            }
            self.signing.store(seen, Relaxed);
            self.now.fetch_max(seen, Relaxed);
        }
        if is_near(seen, self.settled.load(Relaxed)) || held >= HOLDS_TO_DELETE {
            self.settled.store(seen, Relaxed);
        }
        self.look_again(elapsed);
    }

    /// Has the next look wait for a change of the wall clock, or a second if there is something to wait for.
    fn look_again(&self, elapsed: i64) {
        let [now, signing, settled, seen] =
            [&self.now, &self.signing, &self.settled, &self.seen].map(|moment| moment.load(Relaxed));
        let is_believed = is_near(signing, seen) && is_near(settled, seen) && now - seen <= DAY;
        let look_at = if is_believed {
            i64::MAX
        } else {
            elapsed + LOOK_EVERY
        };
        self.look_at.store(look_at, Relaxed);
    }

    /// Reads the sources. Returns the time that has passed.
    fn read(&self) -> i64 {
        // In this order, see `look`.
        let wall = self.sources.wall();
        let elapsed = self.sources.elapsed();
        let change = wall - elapsed - self.seen.load(Relaxed);
        if change.abs() >= NOTICED || elapsed >= self.look_at.load(Relaxed) {
            self.look();
        }
        elapsed
    }

    fn lock(&self) -> MutexGuard<'_, Wall> {
        // Each use leaves it whole, so a panic while it was held has broken nothing.
        self.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Sources> Clock for SystemClock<S> {
    fn now(&self) -> Timestamp {
        let elapsed = self.read();
        timestamp(self.now.load(Relaxed) + elapsed)
    }

    fn ahead_of_tokens(&self) -> Duration {
        self.read();
        let ahead = self.now.load(Relaxed) - self.signing.load(Relaxed);
        // Upwards, so that no token is from the future.
        Duration::from_secs(u64::try_from(ahead).unwrap_or(0).div_ceil(1000))
    }

    fn settled(&self) -> Timestamp {
        let elapsed = self.read();
        timestamp(self.settled.load(Relaxed).min(self.seen.load(Relaxed)) + elapsed)
    }

    fn goes_back_to(&self) -> Option<Timestamp> {
        let elapsed = self.read();
        let held = elapsed - self.lock().since;
        let seen = self.seen.load(Relaxed);
        let is_far_ahead = self.now.load(Relaxed) - seen > DAY;
        (is_far_ahead && held >= HOLDS_TO_GO_BACK).then(|| timestamp(seen + elapsed))
    }

    fn go_back(&self) {
        let mut wall = self.lock();
        let seen = self.seen.load(Relaxed);
        self.now.store(seen, Relaxed);
        self.signing.store(seen, Relaxed);
        self.settled.fetch_min(seen, Relaxed);
        wall.before = None;
    }
}

impl Sources for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> i64 {
        // A wall clock before 1970 counts as 1970. A machine without a clock battery may start there.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

fn is_near(one: i64, other: i64) -> bool {
    (one - other).abs() <= STEP
}

fn millis(moment: Timestamp) -> i64 {
    // Far from the ends, so that no difference of two moments overflows.
    i64::try_from(moment.as_secs()).map_or(i64::MAX / 4, |seconds| seconds.min(i64::MAX / 4000) * 1000)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(millis / 1000).unwrap_or(0))
}

fn span(millis: i64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(millis.unsigned_abs() / 1000))
}

fn say_step(step: i64, is_right: bool) {
    let direction = if step > 0 { "ahead" } else { "back" };
    let effect = if is_right {
        "that is right".to_owned()
    } else {
        format!(
            "tokens are signed and expire by the time before, unless it holds for {}; nothing is deleted by it unless it holds for {}",
            span(HOLDS_TO_SIGN),
            span(HOLDS_TO_DELETE)
        )
    };
    tracing::warn!(
        "the system's clock was set {direction} by {}: {effect}",
        span(step)
    );
}

fn say_followed(step: i64, put_right: bool) {
    let why = if put_right { "was put right" } else { "has held" };
    if step > 0 {
        tracing::warn!(
            "the system's clock {why}: tokens are signed and expire by its time, {} later than before",
            span(step)
        );
    } else {
        tracing::warn!(
            "the system's clock {why}: tokens are signed by its time, {0} earlier than before; services that check tokens offline accept the tokens issued before for up to {0} longer, after a log-out too",
            span(step)
        );
    }
}

#[cfg(test)]
mod tests;
