//! The text of one-time codes, in the form that [`checked_text`](super::checked_text) has.

use secrecy::SecretString;

use super::checked_text;
use crate::domain::{InvitationHash, ResetCodeHash};

/// The beginning of every invitation, and of no other token.
const INVITATION: &str = "jwi_";
/// The beginning of every reset code, and of no other token.
const RESET: &str = "jwp_";

/// A new random invitation, and the hash that the store keeps of it.
pub(crate) fn fresh_invitation() -> (SecretString, InvitationHash) {
    let (text, hash) = checked_text::fresh(INVITATION);
    (text, InvitationHash::from_bytes(hash))
}

/// The hash of `text`. Returns `None` unless it has exactly the form of an invitation.
pub(crate) fn hash_of_invitation(text: &str) -> Option<InvitationHash> {
    checked_text::hash(INVITATION, text).map(InvitationHash::from_bytes)
}

/// A new random reset code, and the hash that the store keeps of it.
pub(crate) fn fresh_reset_code() -> (SecretString, ResetCodeHash) {
    let (text, hash) = checked_text::fresh(RESET);
    (text, ResetCodeHash::from_bytes(hash))
}

/// The hash of `text`. Returns `None` unless it has exactly the form of a reset code.
pub(crate) fn hash_of_reset_code(text: &str) -> Option<ResetCodeHash> {
    checked_text::hash(RESET, text).map(ResetCodeHash::from_bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::tokens::{api_token, device_token};

    #[test]
    fn a_one_time_code_reads_back_and_no_two_are_alike() {
        let ((first, hash_of_first), (second, hash_of_second)) = (fresh_invitation(), fresh_invitation());
        assert_eq!(hash_of_invitation(first.expose_secret()), Some(hash_of_first));
        assert_eq!(hash_of_invitation(second.expose_secret()), Some(hash_of_second));
        assert_ne!(hash_of_first, hash_of_second);
        let ((first, hash_of_first), (second, hash_of_second)) = (fresh_reset_code(), fresh_reset_code());
        assert_eq!(hash_of_reset_code(first.expose_secret()), Some(hash_of_first));
        assert_eq!(hash_of_reset_code(second.expose_secret()), Some(hash_of_second));
        assert_ne!(hash_of_first, hash_of_second);
    }

    #[test]
    fn a_one_time_code_is_no_token_of_another_kind() {
        let (invitation, reset) = (fresh_invitation().0, fresh_reset_code().0);
        for (text, kind) in [(&invitation, INVITATION), (&reset, RESET)] {
            let text = text.expose_secret();
            assert_eq!(hash_of_invitation(text).is_some(), kind == INVITATION);
            assert_eq!(hash_of_reset_code(text).is_some(), kind == RESET);
            assert!(api_token::hash(text).is_none() && device_token::hash(text).is_none());
            let swapped = text.replacen(kind, if kind == RESET { INVITATION } else { RESET }, 1);
            assert!(hash_of_invitation(&swapped).is_none() && hash_of_reset_code(&swapped).is_none());
        }
    }
}
