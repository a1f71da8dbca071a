//! What HTTP needs beside the verbs: the limits of request bodies and the public URL. Both can be replaced while the server
//! runs.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crate::{auth::Auth, config::Config};

/// The HTTP interface of an [`Auth`]. Cheap to clone: every clone is a handle of the same one.
#[derive(Clone)]
pub struct Api {
    auth: Auth,
    settings: CurrentSettings,
}

/// The settings that apply now. Cheap to clone: every clone is a handle of the same ones.
#[derive(Clone)]
pub(super) struct CurrentSettings(Arc<RwLock<Arc<ApiSettings>>>);

impl CurrentSettings {
    pub(super) fn new(settings: ApiSettings) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(settings))))
    }

    pub(super) fn get(&self) -> Arc<ApiSettings> {
        // A panic cannot leave the pointer half replaced.
        let settings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&settings)
    }

    fn replace(&self, settings: ApiSettings) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
    }
}

/// The settings that only HTTP needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiSettings {
    /// The limits of request bodies.
    pub body: BodyLimits,
    /// The URL under which clients reach the server; `None` if it is unknown.
    pub public_url: Option<String>,
    /// Whether `/admin` is among the routes.
    pub administration: bool,
}

/// How much of a request body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest body, in bytes.
    pub size: usize,
    /// The longest time that one may take to arrive.
    pub time: Duration,
}

impl From<&Config> for ApiSettings {
    fn from(config: &Config) -> Self {
        Self {
            body: BodyLimits {
                size: config.server.max_body,
                time: config.server.body_timeout,
            },
            public_url: config.public_url(),
            administration: config.admin.enabled,
        }
    }
}

impl Api {
    /// The interface of `auth`, with these settings: those of a [`Config`], for example.
    #[must_use]
    pub fn new(auth: Auth, settings: impl Into<ApiSettings>) -> Self {
        Self {
            auth,
            settings: CurrentSettings::new(settings.into()),
        }
    }

    /// The verbs that the routes call.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The settings that apply now.
    #[must_use]
    pub fn settings(&self) -> Arc<ApiSettings> {
        self.settings.get()
    }

    /// The handle of the settings that apply now, for what does not need the verbs.
    pub(super) fn current(&self) -> &CurrentSettings {
        &self.settings
    }

    /// Replaces the settings, for every clone and from the next request on. A request that has begun keeps the settings that
    /// it began with.
    pub fn replace_settings(&self, settings: ApiSettings) {
        self.settings.replace(settings);
    }
}
