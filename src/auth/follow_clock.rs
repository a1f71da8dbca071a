//! A clock that was far ahead and has been put right. ARCHITECTURE.md, "Which clock is believed", has the reasons.

use super::{StartError, handle::Auth};
use crate::tokens::RefreshTokens;

impl Auth {
    /// Goes back to the machine's clock if the time turned out to be more than a day ahead of it, and returns whether it did. Every
    /// session has ended then, for it would live longer. API tokens stay: those made meanwhile are moved back.
    ///
    /// # Errors
    /// A failure of the store: then the time is as it was, and sessions may have ended. The next call tries again.
    pub async fn follow_clock(&self) -> Result<bool, StartError> {
        let clock = &self.0.parts.clock;
        if clock.goes_back_to().is_none() {
            return Ok(false);
        }
        let _changing = self.0.key_changes.lock().await;
        // From here on nothing is minted by the wrong time.
        let _no_minting = self.0.accounts.minting.write().await;
        let from = self.now();
        let Some(to) = clock.goes_back_to() else {
            return Ok(false);
        };
        let (keys, ended) = self.0.keys.go_back(from, to).await?;
        // Ending every session has removed the key of refresh tokens.
        let fresh = RefreshTokens::fresh_key();
        let kept = self.store().refresh_key(fresh.clone()).await;
        self.0.refresh_tokens.use_key(kept.as_ref().unwrap_or(&fresh));
        kept?;
        self.store().go_back(from, to).await?;
        clock.go_back();
        self.0.tokens.use_keys(&keys);
        self.0.throttle.go_back();
        tracing::warn!(
            ended,
            "the time was {} ahead of the system's clock, and has gone back to it: every session has ended; no API token was deleted",
            humantime::format_duration(from.since(to))
        );
        Ok(true)
    }
}
