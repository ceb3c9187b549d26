//! Backup files: a full backup carries the rows and the end of the log they belong to, a log backup carries log blocks.
//!
//! Layout: magic, version, kind, CRC-32C of the rest, JSON header, log bytes. Everything is checked before it is used.
//! Source: ours (the product's format is Microsoft Tape Format, which is not what this project models).

use serde::{Deserialize, Serialize};

use crate::instance::catalog::RecoveryModel;
use crate::types::{Guid, Lsn, RecoveryPath, RoleSequence};

const MAGIC: &[u8; 8] = b"MLABBAK2";
const HEAD: usize = 8 + 4 + 4;
/// A header beyond this is damage, not data.
const HEADER_BYTES_MAX: usize = 64 << 20;

/// What a backup file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Backup {
    pub database: String,
    pub family: Guid,
    pub kind: BackupKind,
    /// The end of the log that the full backup belongs to on which this one builds (its own, for a full backup).
    pub base: Lsn,
    /// Log from here …
    pub first_lsn: Lsn,
    /// … to here is in the file (for a backup of rows: nothing, both are the end of the log the rows belong to).
    pub last_lsn: Lsn,
    /// Role sequences of the log before `last_lsn` and where each began.
    pub epochs: Vec<(RoleSequence, Lsn)>,
    /// The recovery path of the database up to `last_lsn`.
    #[serde(default)]
    pub path: RecoveryPath,
    /// The recovery model the database was in.
    #[serde(default)]
    pub recovery: RecoveryModel,
    /// The product's year of the instance that took it.
    #[serde(default)]
    pub version: u16,
    pub tables: Vec<String>,
    pub rows: Vec<(String, i64, i64)>,
    #[serde(skip)]
    pub log: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BackupKind {
    #[default]
    Database,
    Differential,
    Log,
}

impl Backup {
    /// The file, or why there can be none.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let header = serde_json::to_vec(self).expect("a backup header is plain data and always serialises");
        let header_len = match u32::try_from(header.len()) {
            Ok(len) if header.len() <= HEADER_BYTES_MAX => len,
            _ => return Err(format!("a backup holds at most {HEADER_BYTES_MAX} bytes of rows")),
        };
        let mut body = Vec::with_capacity(header.len() + self.log.len());
        body.extend_from_slice(&header);
        body.extend_from_slice(&self.log);
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&header_len.to_le_bytes());
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// The backup in `bytes`, or what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Backup, String> {
        let Some((head, body)) = bytes.split_at_checked(HEAD) else {
            return Err(format!(
                "it is {} bytes long, too short for a backup",
                bytes.len()
            ));
        };
        if &head[..8] != MAGIC {
            return Err("it does not begin like a backup".to_owned());
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if crc32c::crc32c(body) != word(8) {
            return Err("its checksum does not match; it is truncated or damaged".to_owned());
        }
        let header_len = word(12) as usize;
        if header_len > HEADER_BYTES_MAX || header_len > body.len() {
            return Err(format!("its header claims {header_len} bytes of {}", body.len()));
        }
        let (header, log) = body.split_at(header_len);
        let mut backup: Backup =
            serde_json::from_slice(header).map_err(|e| format!("its header is damaged: {e}"))?;
        backup.log = log.to_vec();
        Ok(backup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backup() -> Backup {
        Backup {
            database: "Sales".into(),
            family: Guid::from_bytes([7; 16]),
            kind: BackupKind::Log,
            base: Lsn::new(5),
            first_lsn: Lsn::new(10),
            last_lsn: Lsn::new(13),
            epochs: vec![(1, Lsn::ZERO)],
            path: RecoveryPath::born(Guid::from_bytes([7; 16])),
            recovery: RecoveryModel::BulkLogged,
            version: 2016,
            tables: vec!["T".into()],
            rows: vec![("T".into(), 1, 2)],
            log: vec![1, 2, 3],
        }
    }

    #[test]
    fn a_backup_reads_back() {
        assert_eq!(Backup::decode(&backup().encode().unwrap()), Ok(backup()));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_never_a_panic(at in 0usize..200, flip in 1u8.., cut in 0usize..200) {
            let mut bytes = backup().encode().unwrap();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(Backup::decode(&bytes).is_err());
            let bytes = backup().encode().unwrap();
            let cut = cut % bytes.len();
            prop_assert!(Backup::decode(&bytes[..cut]).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Backup::decode(&bytes);
        }
    }
}
