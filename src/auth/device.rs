//! Device tokens, by which a client that has signed in before is known again: see [`known_device`](crate::domain::KnownDevice).

use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{DeviceSignIn, DeviceTokenHash},
    tokens::device_token,
};

/// What a client has to do with device tokens. By default, nothing.
#[derive(Debug, Default)]
pub struct DeviceClaim {
    presented: Option<(SecretString, DeviceTokenHash)>,
    keeps_one: bool,
}

impl DeviceClaim {
    /// A client that presents `token`, if it has one. A text that is no device token is the same as none.
    #[must_use]
    pub fn presenting(token: Option<SecretString>) -> Self {
        let presented = token.and_then(|text| {
            let hash = device_token::hash(text.expose_secret())?;
            Some((text, hash))
        });
        Self {
            presented,
            keeps_one: false,
        }
    }

    /// The same for a client that keeps the device token that it is given.
    #[must_use]
    pub fn keeping_one(self) -> Self {
        Self {
            keeps_one: true,
            ..self
        }
    }

    /// The hash of the token that the client presents.
    pub(super) fn hash(&self) -> Option<DeviceTokenHash> {
        self.presented.as_ref().map(|(_, hash)| *hash)
    }

    /// The device token of the client's new session: the presented one if that `is_known`, else a new one for a client that
    /// keeps it.
    pub(super) fn settle(&self, is_known: bool) -> Option<(SecretString, DeviceSignIn)> {
        match &self.presented {
            Some((text, hash)) if is_known => Some((text.clone(), DeviceSignIn::Presented(*hash))),
            _ => {
                let (text, hash) = self.renew()?;
                Some((text, DeviceSignIn::Given(hash)))
            }
        }
    }

    /// A new device token, for a client that keeps it.
    pub(super) fn renew(&self) -> Option<(SecretString, DeviceTokenHash)> {
        self.keeps_one.then(device_token::fresh)
    }
}
