//! The text of device tokens, in the form that [`checked_text`](super::checked_text) has.

use secrecy::SecretString;

use super::checked_text;
use crate::domain::DeviceTokenHash;

/// The beginning of every device token, and of no other token.
pub(crate) const PREFIX: &str = "jwd_";

/// A new random device token, and the hash that the store keeps of it.
pub(crate) fn fresh() -> (SecretString, DeviceTokenHash) {
    let (text, hash) = checked_text::fresh(PREFIX);
    (text, DeviceTokenHash::from_bytes(hash))
}

/// The hash of `text`. Returns `None` unless it has exactly the form of a device token.
pub(crate) fn hash(text: &str) -> Option<DeviceTokenHash> {
    checked_text::hash(PREFIX, text).map(DeviceTokenHash::from_bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::tokens::api_token;

    #[test]
    fn a_device_token_reads_back_and_no_two_are_alike() {
        let ((first, hash_of_first), (second, hash_of_second)) = (fresh(), fresh());
        assert_eq!(hash(first.expose_secret()), Some(hash_of_first));
        assert_eq!(hash(second.expose_secret()), Some(hash_of_second));
        assert_ne!(hash_of_first, hash_of_second);
    }

    #[test]
    fn a_device_token_is_no_api_token_and_the_other_way_round() {
        let (device, api) = (fresh().0, api_token::fresh().0);
        assert_eq!(api_token::hash(device.expose_secret()), None);
        assert_eq!(hash(api.expose_secret()), None);
        let swapped = device.expose_secret().replacen(PREFIX, "jws_", 1);
        assert_eq!(api_token::hash(&swapped), None, "the checksum covers the prefix");
    }
}
