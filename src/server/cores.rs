//! A thread for each core, each with a runtime of its own. The threads of one runtime wake each other, hand over requests and
//! share its timers; with a runtime each they do none of that, and two of them answer nearly twice as much as one.

use std::{convert::Infallible, io, num::NonZero, thread};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};
use warp::{Filter, Reply};

use super::{listener::Listener, serve_on};
use crate::config::{ConfigError, ServerConfig};

/// A thread for each core that the process may use, the calling one among them, each with a runtime of its own.
///
/// [`serve`](Self::serve) gives an accepted connection to the thread that has the fewest, and it stays there. So a handler must
/// not occupy its thread: long computations belong on [`spawn_blocking`](tokio::task::spawn_blocking), and `block_in_place`
/// panics here. A task that a handler spawns runs on the thread of its connection. It ends when the `Cores` are dropped; the drop waits for
/// the work on `spawn_blocking`.
///
/// Start and drop them outside of any runtime, not in a `#[tokio::main]`.
///
/// ```no_run
/// use jwt_server::{
///     Api, Auth, Config, EventLog,
///     server::{Cores, Listeners},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let cores = Cores::start()?;
/// cores.block_on(async {
///     let auth = Auth::open(&config, EventLog::listeners()).await?;
///     let listeners = Listeners::bind(&config.server)?;
///     let api = Api::new(auth, &config);
///     cores.serve(listeners, api.app(), &config.server, std::future::pending()).await?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Cores {
    own: Runtime,
    others: Vec<Core>,
}

impl Cores {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// A failure of the system to create a thread or its runtime.
    pub fn start() -> io::Result<Self> {
        Self::of(thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn of(threads: usize) -> io::Result<Self> {
        Ok(Self {
            own: runtime()?,
            others: (1..threads).map(|_| Core::start()).collect::<io::Result<_>>()?,
        })
    }

    /// The number of threads, including the calling one.
    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Runs `main` on the calling thread and returns its output.
    ///
    /// # Panics
    ///
    /// If the calling thread belongs to a runtime.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        self.own.block_on(main)
    }

    /// As [`serve`](super::serve), on all the threads. Call it within [`block_on`](Self::block_on), whose runtime serves its
    /// share.
    ///
    /// # Errors
    /// As [`serve`](super::serve).
    pub async fn serve<F, R>(
        &self,
        listener: impl Listener,
        routes: F,
        limits: &ServerConfig,
        stop: impl Future<Output = ()>,
    ) -> Result<bool, ConfigError>
    where
        F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
        R: Reply,
    {
        let others = self.others.iter().map(|core| core.handle.clone());
        let all = [Handle::current()].into_iter().chain(others);
        serve_on(all, listener, routes, limits, stop).await
    }
}

/// A thread with a runtime, until it is dropped.
#[derive(Debug)]
struct Core {
    handle: Handle,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Core {
    fn start() -> io::Result<Self> {
        let runtime = runtime()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("core".into()).spawn(move || {
            let _: Result<Infallible, _> = runtime.block_on(stopped);
        })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic of the thread has been reported already.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread::ThreadId,
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::Mutex,
    };

    use super::*;

    fn limits() -> ServerConfig {
        crate::config::Config::default().server
    }

    /// Serves `routes` on three threads while `client` runs with the port and a way to stop the server. Returns its output, and
    /// whether every request was finished.
    fn serving<R, C, F>(
        limits: &ServerConfig,
        routes: impl Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
        client: C,
    ) -> (F::Output, bool)
    where
        R: Reply,
        C: FnOnce(u16, oneshot::Sender<()>) -> F,
        F: Future,
    {
        let cores = Cores::of(3).unwrap();
        cores.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (stop, stopped) = oneshot::channel();
            let stopped = async { stopped.await.unwrap_or_default() };
            let serving = cores.serve(listener, routes, limits, stopped);
            let (output, served) = futures_util::future::join(client(port, stop), serving).await;
            (output, served.unwrap())
        })
    }

    async fn connect(port: u16) -> TcpStream {
        TcpStream::connect(("127.0.0.1", port)).await.unwrap()
    }

    /// Sends a request and waits for an answer without content.
    async fn ask(stream: &mut TcpStream) {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        assert!(answer.starts_with(b"HTTP/1.1 204"));
    }

    #[test]
    fn connections_are_dealt_out_evenly_and_stay_with_their_thread() {
        let asked: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
        let here = Arc::clone(&asked);
        let routes = warp::any().then(move || {
            let asked = Arc::clone(&asked);
            async move {
                asked.lock().await.push(thread::current().id());
                warp::http::StatusCode::NO_CONTENT
            }
        });
        let who = async |stream: &mut TcpStream| {
            ask(stream).await;
            here.lock().await.pop().unwrap()
        };
        serving(&limits(), routes, async |port, stop| {
            let mut streams = Vec::new();
            let mut by_thread: HashMap<ThreadId, usize> = HashMap::new();
            for _ in 0..6 {
                let mut stream = connect(port).await;
                let thread = who(&mut stream).await;
                *by_thread.entry(thread).or_default() += 1;
                streams.push((stream, thread));
            }
            assert_eq!(by_thread.into_values().collect::<Vec<_>>(), [2, 2, 2]);
            for (stream, thread) in &mut streams {
                assert_eq!(who(stream).await, *thread);
            }
            drop(stop);
        });
    }

    #[test]
    fn requests_on_every_thread_are_finished_or_cut_at_a_stop() {
        for (work, grace, are_finished) in [
            (Duration::from_millis(50), Duration::from_mins(1), true),
            (Duration::from_mins(1), Duration::from_millis(50), false),
        ] {
            let begun = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&begun);
            let routes = warp::any().then(move || {
                count.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::time::sleep(work).await;
                    warp::http::StatusCode::NO_CONTENT
                }
            });
            let limits = ServerConfig {
                shutdown_grace: grace,
                ..limits()
            };
            let (answered, finished) = serving(&limits, routes, async |port, stop| {
                let clients = futures_util::future::join_all((0..6).map(|_| async {
                    let mut stream = connect(port).await;
                    stream
                        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                        .await
                        .unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 204")
                }));
                let all_begun = async {
                    while begun.load(Ordering::SeqCst) < 6 {
                        tokio::task::yield_now().await;
                    }
                    stop.send(()).unwrap();
                };
                futures_util::future::join(clients, all_begun).await.0
            });
            assert_eq!(answered, [are_finished; 6]);
            assert_eq!(finished, are_finished);
        }
    }

    struct Ending(Arc<AtomicUsize>);

    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_that_a_handler_spawned_ends_with_the_threads() {
        let ended: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&ended);
        let routes = warp::any().map(move || {
            let ending = Ending(Arc::clone(&count));
            tokio::spawn(async move {
                pending::<()>().await;
                drop(ending);
            });
            warp::http::StatusCode::NO_CONTENT
        });
        serving(&limits(), routes, async |port, stop| {
            // All are open at once, so each is on a thread of its own.
            let mut streams = Vec::new();
            for _ in 0..3 {
                let mut stream = connect(port).await;
                ask(&mut stream).await;
                streams.push(stream);
            }
            assert_eq!(ended.load(Ordering::SeqCst), 0);
            drop(stop);
        });
        assert_eq!(ended.load(Ordering::SeqCst), 3);
    }
}
