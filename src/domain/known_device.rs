//! The devices of a user that the server knows: clients that were given a device token at a sign-in and may present it at the
//! next one. A device token is no credential. It lets a client try a password at the expense of that token alone, so no failure
//! of another client in the same network counts against it (the device cookies of OWASP).

use std::cmp::Reverse;

use super::{Device, DeviceTokenHash, Session, SessionId};
use crate::clock::Timestamp;

/// How many devices the server knows of each user.
pub const MAX_DEVICES: usize = 16;

/// The device token of a client that signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceSignIn {
    /// The client is given this one.
    Given(DeviceTokenHash),
    /// The client has presented this one.
    Presented(DeviceTokenHash),
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// The hash of its token.
    pub token: DeviceTokenHash,
    /// The session of its last sign-in.
    pub session: SessionId,
    /// When that session began.
    pub signed_in_at: Timestamp,
    /// Whether a client has ever presented the token. Some clients never do.
    pub came_back: bool,
    /// What the client named itself; `None` if it named nothing.
    pub name: Option<Device>,
}

/// The devices of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownDevices(Vec<KnownDevice>);

impl KnownDevices {
    /// Notes that `session` began with this device token. Returns `false` if there is nothing to note, because the presented
    /// token has ended.
    ///
    /// Of more than [`MAX_DEVICES`], one is forgotten. A token that was never presented goes before all others, and first one of
    /// the clients that have the most of them. So a script that ignores its tokens pushes out no token but its own.
    pub fn note(&mut self, sign_in: DeviceSignIn, session: &Session) -> bool {
        let device = |token, came_back| KnownDevice {
            token,
            session: session.id,
            signed_in_at: session.created_at,
            came_back,
            name: session.client.device.clone(),
        };
        match sign_in {
            DeviceSignIn::Presented(token) => {
                let known = self.0.iter_mut().find(|known| known.token == token);
                known.map(|known| *known = device(token, true)).is_some()
            }
            DeviceSignIn::Given(token) => {
                while self.0.len() >= MAX_DEVICES {
                    self.forget_one(session.created_at);
                }
                self.0.push(device(token, false));
                true
            }
        }
    }

    fn forget_one(&mut self, now: Timestamp) {
        let unused = |name: &Option<Device>| {
            let others = self.0.iter();
            others
                .filter(|other| !other.came_back && other.name == *name)
                .count()
        };
        let rank = |device: &KnownDevice| {
            let alike = if device.came_back { 0 } else { unused(&device.name) };
            // One from the future was noted by a clock that was ahead.
            let is_past = device.signed_in_at <= now;
            (is_past, device.came_back, Reverse(alike), device.signed_in_at)
        };
        let least = (0..self.0.len()).min_by_key(|index| rank(&self.0[*index]));
        least.map(|index| self.0.remove(index));
    }

    /// Forgets every device but the one that signed in last with this session. Returns whether anything changed.
    pub fn forget_all_but(&mut self, session: Option<SessionId>) -> bool {
        let before = self.0.len();
        self.0.retain(|device| Some(device.session) == session);
        self.0.len() < before
    }

    /// The devices, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &KnownDevice> {
        self.0.iter()
    }
}

impl FromIterator<KnownDevice> for KnownDevices {
    fn from_iter<I: IntoIterator<Item = KnownDevice>>(devices: I) -> Self {
        Self(devices.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::UserId;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn token(n: usize) -> DeviceTokenHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        DeviceTokenHash::from_bytes(bytes)
    }

    fn session(client: &str, after: u64) -> Session {
        let (now, hour) = (NOW.plus(Duration::from_secs(after)), Duration::from_hours(1));
        let (mut session, _) = Session::start(UserId::generate(NOW), hour, hour, now);
        session.client.device = Device::parse(client);
        session
    }

    fn knows(devices: &KnownDevices, n: usize) -> bool {
        devices.iter().any(|device| device.token == token(n))
    }

    #[test]
    fn a_script_that_ignores_its_tokens_pushes_out_only_its_own() {
        let mut devices = KnownDevices::default();
        assert!(devices.note(DeviceSignIn::Given(token(1)), &session("Firefox on Linux", 0)));
        assert!(devices.note(DeviceSignIn::Given(token(2)), &session("Chrome on Android", 1)));
        assert!(devices.note(
            DeviceSignIn::Presented(token(2)),
            &session("Chrome on Android", 2)
        ));
        for n in 100..200 {
            devices.note(DeviceSignIn::Given(token(n)), &session("curl", n as u64));
        }
        assert_eq!(devices.iter().count(), MAX_DEVICES);
        assert!(knows(&devices, 1), "although it has not come back yet");
        assert!(knows(&devices, 2));
        assert!(knows(&devices, 199) && !knows(&devices, 100));
    }

    #[test]
    fn of_devices_that_came_back_the_least_recent_is_forgotten() {
        let mut devices = KnownDevices::default();
        for n in 0..MAX_DEVICES {
            devices.note(
                DeviceSignIn::Given(token(n)),
                &session("Firefox on Linux", n as u64),
            );
            devices.note(
                DeviceSignIn::Presented(token(n)),
                &session("Firefox on Linux", 50 - n as u64),
            );
        }
        for n in [100, 101, 102] {
            devices.note(
                DeviceSignIn::Given(token(n)),
                &session("Firefox on Linux", n as u64),
            );
        }
        // The first newcomer takes the place of the least recent device, each further one that of the newcomer before.
        assert!(!knows(&devices, MAX_DEVICES - 1));
        assert!((0..MAX_DEVICES - 1).all(|n| knows(&devices, n)));
        assert!(knows(&devices, 102) && !knows(&devices, 101));
    }

    #[test]
    fn a_device_that_a_wrong_clock_noted_goes_first() {
        let mut devices = KnownDevices::default();
        devices.note(DeviceSignIn::Given(token(0)), &session("curl", 1_000_000));
        devices.note(DeviceSignIn::Presented(token(0)), &session("curl", 1_000_000));
        for n in 1..=MAX_DEVICES {
            devices.note(DeviceSignIn::Given(token(n)), &session("curl", n as u64));
        }
        assert!(!knows(&devices, 0));
        assert!((1..=MAX_DEVICES).all(|n| knows(&devices, n)));
    }

    #[test]
    fn a_token_that_has_ended_does_not_come_back() {
        let mut devices = KnownDevices::default();
        let first = session("curl", 0);
        devices.note(DeviceSignIn::Given(token(1)), &first);
        devices.note(DeviceSignIn::Given(token(2)), &session("curl", 1));
        assert!(devices.forget_all_but(Some(first.id)));
        assert!(!devices.forget_all_but(Some(first.id)));
        assert!(!devices.note(DeviceSignIn::Presented(token(2)), &session("curl", 2)));
        assert!(knows(&devices, 1) && !knows(&devices, 2));
        assert!(devices.forget_all_but(None));
        assert_eq!(devices, KnownDevices::default());
        assert_eq!(format!("{:?}", token(7)), "DeviceTokenHash(…)");
    }
}
