//! What a running server does from time to time: it prunes what has expired, keeps what it has in memory alone, and tends the
//! signing keys.

use std::{sync::Arc, time::Duration};

use super::{AuthError, StartError, handle::Auth};
use crate::event::TrailBounds;

/// How often the server prunes, keeps the last uses of API tokens and tends the keys.
const TEND_EVERY: Duration = Duration::from_mins(1);
/// How often the server keeps failed attempts: what a crash may forget of them, and how often a flood may write to the disk.
const KEEP_ATTEMPTS_EVERY: Duration = Duration::from_secs(10);
/// How often the server writes the events that no other write took with it: how much of the audit trail a crash can lose.
const KEEP_EVENTS_EVERY: Duration = Duration::from_secs(1);
/// How many records one write covers.
const BATCH: usize = 500;

impl Auth {
    /// Removes the sessions, API tokens and one-time codes that have expired, and returns how many sessions and API tokens. While the
    /// clock is in doubt it removes only those that expired before. Gives back the memory of tokens that are no longer accepted.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn prune(&self) -> Result<usize, AuthError> {
        let (now, settled) = (self.now(), self.0.parts.settled());
        self.0.tokens.tidy(now).await;
        self.store().note_time(now, settled);
        let mut pruned = 0;
        loop {
            let batch = self.store().prune(settled, BATCH).await?;
            pruned += batch;
            if batch < BATCH {
                break;
            }
        }
        loop {
            if self.store().prune_codes(settled, BATCH).await? < BATCH {
                return Ok(pruned);
            }
        }
    }

    /// Removes the events that the audit trail does not keep by the settings, and returns how many. While the clock is in doubt it
    /// removes only those that were too old before.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn prune_events(&self) -> Result<usize, AuthError> {
        let audit = self.limits().audit;
        let bounds = TrailBounds {
            before: self.0.parts.settled().minus(audit.keep),
            at_most: audit.max_events,
        };
        let mut pruned = 0;
        loop {
            let batch = self.store().prune_events(bounds, BATCH).await?;
            pruned += batch;
            if batch < BATCH {
                return Ok(pruned);
            }
        }
    }

    /// Writes the events of the audit trail that wait for a write. A crash loses what waits.
    ///
    /// # Errors
    /// A failure of the store; then the events go on waiting.
    pub async fn keep_events(&self) -> Result<(), AuthError> {
        Ok(self.store().keep_events().await?)
    }

    /// Keeps when API tokens were used last, so far as that is worth a write, and returns of how many.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn keep_api_token_uses(&self) -> Result<usize, AuthError> {
        // One batch each time: what it leaves is for the next.
        Ok(self.store().keep_api_token_uses(BATCH).await?)
    }

    /// Keeps which attempts have failed since the last time, so that a restart does not forget them. A caller calls it when the
    /// server has stopped; while the server runs, its upkeep does.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn keep_attempts(&self) -> Result<(), AuthError> {
        Ok(self.0.throttle.keep().await?)
    }

    /// Makes the next signing key if it is time for it, and drops those whose last token has expired.
    ///
    /// # Errors
    /// [`StartError`]; then the keys are as they were.
    pub async fn tend_keys(&self) -> Result<(), StartError> {
        let _changing = self.0.key_changes.lock().await;
        if let Some(keys) = self.0.keys.tend(&self.0.tokens.keys()).await? {
            self.0.tokens.use_keys(&keys);
        }
        Ok(())
    }

    /// Starts the upkeep. It ends when the last handle is dropped.
    pub(super) fn look_after(&self) {
        self.look_after_every(TEND_EVERY, KEEP_ATTEMPTS_EVERY);
    }

    fn look_after_every(&self, tend: Duration, keep_attempts: Duration) {
        self.every(tend, |auth| async move {
            if let Err(error) = auth.follow_clock().await {
                tracing::error!(%error, "the time could not go back");
            }
            match auth.prune().await {
                Ok(0) => {}
                Ok(pruned) => tracing::debug!(pruned, "expired sessions and API tokens were removed"),
                Err(error) => report(
                    &error,
                    "expired sessions, API tokens and one-time codes could not be removed",
                ),
            }
            if let Err(error) = auth.prune_events().await {
                report(&error, "old events could not be removed from the audit trail");
            }
            if let Err(error) = auth.keep_api_token_uses().await {
                report(&error, "the last uses of API tokens could not be kept");
            }
            if let Err(error) = auth.tend_keys().await {
                tracing::error!(%error, "the signing keys could not be tended");
            }
        });
        self.every(KEEP_EVENTS_EVERY, |auth| async move {
            if let Err(error) = auth.keep_events().await {
                report(&error, "events could not be written to the audit trail yet");
            }
        });
        self.every(keep_attempts, |auth| async move {
            if let Err(error) = auth.keep_attempts().await {
                report(&error, "failed attempts could not be kept");
            }
        });
    }

    fn every<F: Future<Output = ()> + Send>(
        &self,
        period: Duration,
        work: impl Fn(Self) -> F + Send + 'static,
    ) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(auth) = inner.upgrade().map(Self) else {
                    return;
                };
                work(auth).await;
            }
        });
    }
}

/// Writes `error` to the log, unless the store has done so.
fn report(error: &AuthError, what: &'static str) {
    match error {
        AuthError::Store(error) if error.is_logged() => {}
        error => tracing::error!(%error, "{what}"),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{
        auth::{Credentials, Parts},
        clock::{ManualClock, Timestamp},
        config::Config,
        domain::{Client, ClientAddress, KeyRing, Password, RequestContext, Username},
        event::Listeners,
        store::{self, Store},
    };

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const MONTH: Duration = Duration::from_hours(30 * 24);
    const SOON: Duration = Duration::from_millis(5);
    const NEVER: Duration = Duration::from_hours(1);

    /// A server whose keys are due after a month, with its clock.
    async fn server(directory: &tempfile::TempDir) -> (Auth, Arc<dyn Store>, Arc<ManualClock>) {
        let mut config = Config::default();
        config.store.path = directory.path().join("data");
        config.password.bcrypt_cost = 4;
        config.password.hash_threads = 1;
        config.token.rotate_every = Some(MONTH);
        let clock = Arc::new(ManualClock::new(START));
        let store = store::open(&config.store, START, Listeners::default())
            .await
            .unwrap();
        let parts = Parts::new(Arc::clone(&store), Arc::clone(&clock) as _);
        let auth = Auth::new(&config, parts).await.unwrap();
        let (name, password) = (
            Username::parse("ada"),
            Password::parse("correct horse battery".into()),
        );
        let context = RequestContext::default();
        let signed_up = auth.sign_up(name.unwrap(), password.unwrap(), &context);
        signed_up.await.unwrap();
        (auth, store, clock)
    }

    async fn sign_in(auth: &Auth, password: &str) -> bool {
        let address = ClientAddress::new([192, 0, 2, 1].into());
        let context = RequestContext::of_client(Client {
            address: Some(address),
            device: None,
        });
        let claimed = Credentials::new("ada", password.to_owned().into());
        auth.sign_in(claimed, &context).await.is_ok()
    }

    /// Waits until `holds` says so.
    async fn until(holds: impl AsyncFn() -> bool) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(SOON).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("the upkeep does it");
    }

    async fn key_count(store: &Arc<dyn Store>) -> usize {
        let keys: KeyRing<_> = store.key_ring().await.unwrap().keys;
        keys.keys().len()
    }

    #[tokio::test]
    async fn the_upkeep_prunes_and_tends_the_keys() {
        let directory = tempfile::tempdir().unwrap();
        let (auth, store, clock) = server(&directory).await;
        assert!(sign_in(&auth, "correct horse battery").await);
        assert_eq!(store.count().await.unwrap().sessions, Some(1));
        assert_eq!(key_count(&store).await, 1);
        clock.advance(MONTH);
        auth.look_after_every(SOON, NEVER);
        until(async || store.count().await.unwrap().sessions == Some(0)).await;
        until(async || key_count(&store).await == 2).await;
        // Again and again: the old key goes when its last token has expired.
        clock.advance(Duration::from_hours(1));
        until(async || key_count(&store).await == 1).await;
        assert_eq!(store.attempts().await.unwrap(), None, "that is not its time");
    }

    #[tokio::test]
    async fn the_upkeep_keeps_failed_attempts() {
        let directory = tempfile::tempdir().unwrap();
        let (auth, store, _) = server(&directory).await;
        auth.look_after_every(NEVER, SOON);
        for _ in 0..2 {
            let before = store.attempts().await.unwrap();
            assert!(!sign_in(&auth, "wrong password").await);
            until(async || store.attempts().await.unwrap() != before).await;
        }
    }

    #[tokio::test]
    async fn the_upkeep_ends_with_the_last_handle() {
        let directory = tempfile::tempdir().unwrap();
        let (auth, store, clock) = server(&directory).await;
        auth.look_after_every(SOON, SOON);
        drop(auth);
        until(async || Arc::strong_count(&clock) == 1 && Arc::strong_count(&store) == 1).await;
    }
}
