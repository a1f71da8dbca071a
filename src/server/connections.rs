//! The open connections, dealt out to the runtimes that serve them, and how they end.

use std::{convert::Infallible, future::poll_fn, task::Poll, time::Duration};

use tokio::{runtime::Handle, task::JoinSet, time};

use super::{
    listener::Accepted,
    stop::{Stop, Watcher},
};

pub(super) struct Connections {
    /// Each runtime with the connections that it serves.
    dealt: Vec<(Handle, JoinSet<()>)>,
    stop: Stop,
}

impl Connections {
    /// No connection yet. They will be served by these runtimes, of which there is one at least.
    pub(super) fn on(runtimes: impl IntoIterator<Item = Handle>) -> Self {
        let none = |runtime| (runtime, JoinSet::new());
        Self {
            dealt: runtimes.into_iter().map(none).collect(),
            stop: Stop::default(),
        }
    }

    /// Gives one more connection to `serve`, on the runtime that has the fewest.
    #[expect(clippy::expect_used, reason = "see `on`")]
    pub(super) fn add<A: Accepted, F>(
        &mut self,
        accepted: A,
        serve: impl FnOnce(A::Stream, Watcher) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        self.forget_closed();
        let fewest = self.dealt.iter_mut().min_by_key(|(_, open)| open.len());
        let (runtime, open) = fewest.expect("there is one at least");
        let watcher = self.stop.watch();
        let connection = async move {
            match accepted.open().await {
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

    /// Forgets each connection as soon as it is closed, and so frees its memory. Never ends.
    pub(super) async fn reap(&mut self) -> Infallible {
        poll_fn(|context| {
            for (_, open) in &mut self.dealt {
                while let Poll::Ready(Some(_)) = open.poll_join_next(context) {}
            }
            Poll::Pending
        })
        .await
    }

    /// The number of open connections.
    pub(super) fn count(&mut self) -> usize {
        self.forget_closed();
        self.dealt.iter().map(|(_, open)| open.len()).sum()
    }

    /// Ends the idle connections now, and each other one after its request, or after `grace`. Returns whether no request was
    /// cut.
    pub(super) async fn finish(mut self, grace: Duration) -> bool {
        self.stop.begin();
        let all = async {
            for (_, open) in &mut self.dealt {
                while open.join_next().await.is_some() {}
            }
        };
        let finished = time::timeout(grace, all).await.is_ok();
        if !finished {
            let cut = self.count();
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
    use tokio::{sync::oneshot, task};

    use super::*;
    use crate::server::listener::Peer;

    #[tokio::test]
    async fn a_closed_connection_makes_room_on_its_runtime() {
        struct Opened;
        impl Accepted for Opened {
            type Stream = tokio::io::DuplexStream;

            fn peer(&self) -> Peer {
                Peer::Unix { uid: None }
            }

            async fn open(self) -> std::io::Result<Self::Stream> {
                Ok(tokio::io::duplex(1).0)
            }
        }

        let mut connections = Connections::on([Handle::current(), Handle::current(), Handle::current()]);
        let open = |connections: &Connections| {
            let open = connections.dealt.iter().map(|(_, open)| open.len());
            open.collect::<Vec<_>>()
        };
        let mut ends = Vec::new();
        for count in 1..=7 {
            let (end, ended) = oneshot::channel::<()>();
            let serve = async move |_, watcher: Watcher| {
                let _ = ended.await;
                drop(watcher);
            };
            connections.add(Opened, serve);
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
        connections.add(Opened, async |_, _| ());
        assert_eq!(open(&connections), [3, 1, 1]);
    }
}
