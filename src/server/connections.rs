//! The connections that are open, dealt out to the runtimes that serve them, and how they end.

use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::{net::TcpStream, runtime::Handle, task::JoinSet, time};

pub(super) struct Connections {
    /// Each runtime with those that it serves.
    dealt: Vec<(Handle, JoinSet<()>)>,
    graceful: GracefulShutdown,
}

impl Connections {
    /// None yet, and to be served by these, of which there is one at least.
    pub(super) fn on(runtimes: impl IntoIterator<Item = Handle>) -> Self {
        let none = |runtime| (runtime, JoinSet::new());
        Self {
            dealt: runtimes.into_iter().map(none).collect(),
            graceful: GracefulShutdown::new(),
        }
    }

    /// Gives one more to `serve`, on the runtime that has the fewest.
    #[expect(clippy::expect_used, reason = "see `on`")]
    pub(super) fn add<F>(
        &mut self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream, Watcher) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        self.forget_closed();
        let fewest = self.dealt.iter_mut().min_by_key(|(_, open)| open.len());
        let (runtime, open) = fewest.expect("there is one at least");
        let watcher = self.graceful.watcher();
        let connection = async move {
            // From now on it is this runtime that is told when there is something to read, and no more the one that accepted it.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream, watcher).await,
                Err(error) => tracing::error!(%error, "a connection can't be served"),
            }
        };
        open.spawn_on(connection, runtime);
    }

    fn forget_closed(&mut self) {
        for (_, open) in &mut self.dealt {
            while open.try_join_next().is_some() {}
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.graceful.count()
    }

    /// Ends those that are idle now, and the others when what is running is done, or after `grace`. Whether all were done then.
    pub(super) async fn finish(mut self, grace: Duration) -> bool {
        let graceful = std::mem::take(&mut self.graceful);
        let finished = time::timeout(grace, graceful.shutdown()).await.is_ok();
        if !finished {
            self.forget_closed();
            let cut: usize = self.dealt.iter().map(|(_, open)| open.len()).sum();
            tracing::warn!(connections = cut, "these did not finish in time and are cut");
        }
        for (_, open) in &mut self.dealt {
            open.abort_all();
        }
        for (_, mut open) in self.dealt {
            open.shutdown().await;
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, sync::oneshot, task};

    use super::*;

    #[tokio::test]
    async fn who_has_gone_makes_room_for_the_next_where_they_were() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = Connections::on([Handle::current(), Handle::current(), Handle::current()]);
        let open = |connections: &Connections| {
            let open = connections.dealt.iter().map(|(_, open)| open.len());
            open.collect::<Vec<_>>()
        };
        let mut ends = Vec::new();
        for count in 1..=7 {
            let stream = TcpStream::connect(address).await.unwrap();
            let (end, ended) = oneshot::channel::<()>();
            let serve = async move |_: TcpStream, watcher: Watcher| {
                let _ = ended.await;
                drop(watcher);
            };
            connections.add(stream, serve);
            assert_eq!(connections.count(), count);
            ends.push(end);
        }
        assert_eq!(open(&connections), [3, 2, 2]);
        // The second of the second runtime, and then both of the third.
        for (end, expected) in [(4, [3, 1, 2]), (2, [3, 1, 1]), (3, [3, 1, 0])] {
            drop(ends.remove(end));
            while connections.count() > expected.iter().sum() {
                task::yield_now().await;
            }
            task::yield_now().await;
            connections.forget_closed();
            assert_eq!(open(&connections), expected);
        }
        let stream = TcpStream::connect(address).await.unwrap();
        connections.add(stream, async |_, _| ());
        assert_eq!(open(&connections), [3, 1, 1]);
    }
}
