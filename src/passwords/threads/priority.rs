//! How a thread steps back behind the others, as far as the system lets it. Nothing of it is needed for a right answer:
//! where it can't be done, everything goes on as well, only less evenly.

#[cfg(target_os = "linux")]
pub(super) use linux::{ProcessorTime, go_idle, step_back};
#[cfg(not(target_os = "linux"))]
pub(super) use others::{ProcessorTime, go_idle, step_back};

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs::File, os::unix::fs::FileExt, time::Duration};

    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id, thread_schedule_policy,
    };

    /// What is left to such a thread beside one that never rests is a tenth of the processor.
    const NICENESS: i32 = 10;

    /// Lets the calling thread step back behind those that answer requests, which need little and need it at once.
    pub(in crate::passwords::threads) fn step_back() {
        let _ = rustix::process::nice(NICENESS);
    }

    /// Lets the calling thread have the processor only while nobody else wants it (`SCHED_IDLE`), and returns what says
    /// how long it has had it. Such a thread gives the processor up at once when a request comes, one that is merely nice
    /// at the next tick. But it can starve, and there is no way back without a privilege, so it is not done where nobody
    /// could tell: then the thread only steps back.
    pub(in crate::passwords::threads) fn go_idle() -> Option<ProcessorTime> {
        let time = ProcessorTime::of_this_thread().filter(|time| time.read().is_some());
        if time.is_some() && is_idle_now() {
            return time;
        }
        step_back();
        None
    }

    fn is_idle_now() -> bool {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        // It sets the niceness too, which may be denied to it after the policy is there; so what counts is what is there.
        let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        thread_schedule_policy() == Ok(idle)
    }

    /// How long a thread has had a processor.
    pub(in crate::passwords::threads) struct ProcessorTime(File);

    impl ProcessorTime {
        pub(in crate::passwords::threads) fn of_this_thread() -> Option<Self> {
            File::open("/proc/thread-self/schedstat").ok().map(Self)
        }

        /// The time since the thread began, or `None` where that is not to be had (any more).
        pub(in crate::passwords::threads) fn read(&self) -> Option<Duration> {
            let mut text = [0; 96];
            let length = self.0.read_at(&mut text, 0).ok()?;
            // Nanoseconds with a processor, nanoseconds in wait of one, turns.
            let text = std::str::from_utf8(&text[..length]).ok()?;
            let with_processor = text.split_ascii_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(with_processor))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use std::time::Duration;

    /// The niceness is the whole process's, so it stays as it is.
    pub(in crate::passwords::threads) fn step_back() {}

    /// Nothing can starve then.
    pub(in crate::passwords::threads) fn go_idle() -> Option<ProcessorTime> {
        step_back();
        None
    }

    /// Nobody asks for it.
    pub(in crate::passwords::threads) enum ProcessorTime {}

    impl ProcessorTime {
        pub(in crate::passwords::threads) fn read(&self) -> Option<Duration> {
            match *self {}
        }
    }
}
