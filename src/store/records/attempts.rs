//! The failed attempts of one place as a record: 12 bytes, big endian. The number of failures in a row, a `u32`, and a moment in
//! seconds, a `u64`. Its length is its version: another form has another length.

use super::format::{fixed, unreadable};
use crate::{clock::Timestamp, domain::FailedAttempts, store::error::StoreError};

pub(crate) struct AttemptsRecord;

impl AttemptsRecord {
    pub(crate) fn write(attempts: FailedAttempts) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&attempts.failures.to_be_bytes());
        bytes[4..].copy_from_slice(&attempts.at.as_secs().to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<FailedAttempts, StoreError> {
        let (failures, at) = bytes
            .split_at_checked(4)
            .ok_or_else(|| unreadable("a record of attempts"))?;
        Ok(FailedAttempts {
            failures: u32::from_be_bytes(fixed(failures, "number of failures")?),
            at: Timestamp::from_secs(u64::from_be_bytes(fixed(at, "moment")?)),
        })
    }
}
