//! What the throttle counts with: the table, the rules that apply now, the store and the clock.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{
    buckets::Buckets,
    budgets::Budgets,
    lately::Lately,
    places::{InLine, KINDS, Kind, PLACES_EACH, place},
    table::SharedTable,
};
use crate::{
    clock::Clock,
    config::ThrottleConfig,
    domain::{FailedAttempts, LONGEST_LINE, LinePolicy, Network, forgive, random},
    store::{KeptAttempts, Store, StoreError},
};

/// How many changed places one write carries: few enough that no other write waits long.
const KEEP_BATCH: usize = 1000;

pub(super) struct Counters {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) table: SharedTable,
    pub(super) budgets: Budgets,
    pub(super) lately: Lately,
    /// Held while places are written, so that no older state of a place follows a newer one.
    keeping: tokio::sync::Mutex<()>,
    hash_key: [u8; 16],
    rules: RwLock<Arc<Rules>>,
}

/// How much each client, account and caller may fail.
pub(super) struct Rules {
    config: ThrottleConfig,
    pub(super) accounts: LinePolicy,
    pub(super) addresses: Buckets,
    /// How the accounts that are known at an address take turns.
    pub(super) address_turns: LinePolicy,
    pub(super) foreign_tokens: Buckets,
}

impl Counters {
    /// Goes on from what `store` has kept.
    pub(super) async fn load(
        config: &ThrottleConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let kept = store.attempts().await?.unwrap_or_else(|| KeptAttempts {
            hash_key: random(),
            places: Vec::new(),
        });
        let table = SharedTable::new(KINDS * PLACES_EACH);
        let (now, settled) = (clock.now(), clock.settled());
        let at_the_latest = now.plus(longest_memory(config));
        for (place, attempts) in kept.places {
            // A clock that was wrong noted what lies further ahead, and would shut people out until then.
            if attempts.are_forgotten(settled) || attempts.at > at_the_latest {
                // The store forgets it as well when the table is kept the next time.
                table.lock().mark_changed(place);
            } else {
                table.lock().restore(place, attempts);
            }
        }
        Ok(Self {
            budgets: Budgets::new(config, Arc::clone(&clock)),
            lately: Lately::default(),
            keeping: tokio::sync::Mutex::new(()),
            hash_key: kept.hash_key,
            rules: RwLock::new(Arc::new(rules(config, &table, &clock))),
            table,
            store,
            clock,
        })
    }

    /// Writes what has changed since the last time to the store.
    ///
    /// # Errors
    /// A failure of the store; what was not written is written the next time.
    pub(super) async fn keep(&self) -> Result<(), StoreError> {
        let _keeping = self.keeping.lock().await;
        loop {
            let changed = self.table.lock().take_changed(KEEP_BATCH);
            if changed.is_empty() {
                return Ok(());
            }
            // What changes from here on waits for the next time: else a flood would be written without a pause.
            let is_last = changed.len() < KEEP_BATCH;
            let kept = KeptAttempts {
                hash_key: self.hash_key,
                places: changed.clone(),
            };
            if let Err(error) = self.store.keep_attempts(kept).await {
                let mut table = self.table.lock();
                for (place, _) in changed {
                    table.mark_changed(place);
                }
                return Err(error);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The rules that apply now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        // A panic cannot leave the pointer half replaced.
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies the rules of `config` from the next attempt on. What was counted stays counted.
    pub(super) fn apply(&self, config: &ThrottleConfig) {
        let rules = Arc::new(rules(config, &self.table, &self.clock));
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.budgets.apply(config);
    }

    /// Forgets what a clock that was ahead noted: it would shut users out until then.
    pub(super) fn go_back(&self) {
        let config = self.rules().config;
        let at_the_latest = self.clock.now().plus(longest_memory(&config));
        self.table.lock().forget_after(at_the_latest);
        // The buckets count from the moment at which they were made.
        self.apply(&config);
    }

    /// The place of this kind for a name and a network.
    pub(super) fn place(&self, kind: Kind, name: &str, network: Option<Network>) -> u32 {
        place(&self.hash_key, kind, name, network)
    }

    /// Changes a line and a place in it, and notes of which account the failure is.
    pub(super) fn in_line<T>(
        &self,
        at: InLine,
        change: impl FnOnce(&mut FailedAttempts, &mut FailedAttempts) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut table = self.table.lock();
        let (mut line, mut place, mut own) = (table.at(at.line), table.at(at.place), table.at(at.own));
        if line.are_forgotten(now) {
            line = FailedAttempts::default();
        }
        let before = line.failures;
        let outcome = change(&mut line, &mut place);
        if line.failures > before {
            own.failed(now);
        } else if line.failures < before {
            own.failures = own.failures.saturating_sub(1);
        }
        table.put(at.line, line);
        table.put(at.place, place);
        table.put(at.own, own);
        outcome
    }

    /// Takes back an account's own failures from its line. Those of another account stay: else a client that made an account
    /// whose name shares the line could take back all its guesses by a sign-in to that account.
    pub(super) fn forgive(&self, at: InLine) {
        let (now, rules) = (self.clock.now(), self.rules());
        let mut table = self.table.lock();
        let mut line = table.at(at.line);
        forgive(&mut line, table.at(at.own).failures, &rules.accounts, now);
        table.put(at.line, line);
        table.put(at.place, FailedAttempts::default());
        table.put(at.own, FailedAttempts::default());
    }
}

fn rules(config: &ThrottleConfig, table: &SharedTable, clock: &Arc<dyn Clock>) -> Rules {
    let buckets = |hold, refill| Buckets::new(table.clone(), hold, refill, Arc::clone(clock));
    Rules {
        config: *config,
        accounts: config.account(),
        addresses: buckets(config.address_failures, config.address_refill),
        address_turns: config.address_turns(),
        foreign_tokens: buckets(config.foreign_tokens, config.foreign_token_refill),
    }
}

/// How far ahead of the clock a moment may be that is remembered: the end of a line or the moment when a bucket is full.
pub(super) fn longest_memory(config: &ThrottleConfig) -> Duration {
    let accounts = config.account_delay.max(config.account_long_delay);
    let line = LONGEST_LINE + accounts.max(config.address_refill);
    let addresses = config
        .address_refill
        .saturating_mul(config.address_failures.get());
    let callers = config
        .foreign_token_refill
        .saturating_mul(config.foreign_tokens.get());
    line.max(addresses).max(callers)
}
