//! Starting a session: what the mirror checks, and the answers an instance gives for sessions it does not have.
//!
//! `SET PARTNER` on the mirror only makes it wait. The same on the principal makes it send `Open` over its own connection;
//! the mirror judges it, connects back, records the session and answers `Opened`; then the principal records it too and
//! its statement succeeds. Source: documented (order and numbers); which fact has which number where the manual names
//! several is ours.

use crate::error::{Message as CatalogueEntry, SqlError, message, msg};
use crate::log::Log;
use crate::types::{DatabaseName, Guid, ServerAddress};
use crate::wire::mirroring::{Body, Message, Open};

/// Whether a waiting copy of `family` with this log can be the mirror of what `open` describes; if not, the number of
/// the message that the principal's statement ends with.
pub fn judge(open: &Open, family: Guid, log: &Log) -> Result<(), u32> {
    if open.family != family {
        return Err(msg::REMOTE_UNRELATED.number);
    }
    if log.end() < open.log.start {
        return Err(msg::REMOTE_NOT_RECOVERED_ENOUGH.number);
    }
    if log.end() < open.backed_up {
        return Err(msg::REMOTE_LACKS_LOG_CHAIN.number);
    }
    match log.common_point(open.log.start, &open.log.epochs, open.log.end) {
        Some(common) if common == log.end() => Ok(()),
        _ => Err(msg::REMOTE_NOT_IN_RANGE.number),
    }
}

/// The answer to an `Open` that cannot be: no such database (1448), not restoring (1464), mirrored already (1410, with
/// somebody else 1460), and so on.
pub fn refuse(open: &Message, number: u32) -> Message {
    answer(open, Body::OpenRefused { number })
}

/// The answer of a partner or a witness to a message of a session it does not have, if it deserves one.
pub fn no_session(message: &Message) -> Option<Message> {
    match message.body {
        Body::NoSession | Body::Removed | Body::OpenRefused { .. } => None,
        _ => Some(answer(message, Body::NoSession)),
    }
}

fn answer(to: &Message, body: Body) -> Message {
    Message {
        session: to.session,
        role_sequence: to.role_sequence,
        link: to.link,
        body,
    }
}

/// The error a principal's statement ends with, from the number the mirror refused with.
pub(super) fn refusal(number: u32, database: &DatabaseName, partner: &ServerAddress) -> SqlError {
    if number == msg::PARTNER_OF_OTHER_VERSION.number {
        return msg::PARTNER_OF_OTHER_VERSION.with(&[database, partner]);
    }
    const ABOUT_DATABASE: [CatalogueEntry; 9] = [
        msg::REMOTE_LACKS_LOG_CHAIN,
        msg::REMOTE_UNRELATED,
        msg::REMOTE_NOT_RECOVERED_ENOUGH,
        msg::REMOTE_ALREADY_MIRRORED,
        msg::REMOTE_NOT_IN_RANGE,
        msg::REMOTE_NOT_RESTORING,
        msg::REMOTE_MISSING,
        msg::REMOTE_MIRRORED_ELSEWHERE,
        msg::REMOTE_NOT_RECOVERING,
    ];
    match message(number) {
        Some(entry) if ABOUT_DATABASE.contains(entry) => entry.with(&[database]),
        _ => msg::PARTNER_NOT_FOUND.with(&[partner]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogRecord;
    use crate::types::{Lsn, RecoveryPath, Safety, TransactionId};
    use crate::wire::mirroring::{Configuration, LogPosition};

    const FAMILY: Guid = Guid::from_bytes(*b"family of sales!");

    fn log(start: u64, sequences: &[u32]) -> Log {
        let mut log = Log::new(Lsn::new(start));
        for (i, sequence) in sequences.iter().enumerate() {
            let transaction = TransactionId(i as u64);
            log.append(*sequence, vec![LogRecord::Commit { transaction }])
                .unwrap();
        }
        log
    }

    fn open(log: &Log) -> Open {
        Open {
            database: DatabaseName::new("sales"),
            family: FAMILY,
            name: "alpha".into(),
            log: LogPosition {
                start: log.start(),
                end: log.end(),
                hardened: log.hardened(),
                check: 0,
                epochs: log.epochs(),
            },
            epoch_base: 0,
            backed_up: log.backup().map_or(Lsn::ZERO, |point| point.log),
            path: RecoveryPath::born(FAMILY),
            configuration: Configuration {
                sequence: 1,
                safety: Safety::Full,
                safety_sequence: 1,
                witness: None,
                timeout_seconds: 10,
                redo_queue_mb: None,
                suspended: false,
                suspend_sequence: 1,
            },
        }
    }

    #[test]
    fn a_copy_that_is_a_prefix_can_be_the_mirror() {
        let principal = open(&log(0, &[1, 1, 1]));
        assert_eq!(judge(&principal, FAMILY, &log(0, &[1])), Ok(()));
        assert_eq!(judge(&principal, FAMILY, &log(0, &[1, 1, 1])), Ok(()));
        let restored = log(0, &[1]).end().get();
        assert_eq!(judge(&principal, FAMILY, &log(restored, &[])), Ok(()));
    }

    #[test]
    fn each_misfit_has_its_number() {
        let principal = open(&log(1_000, &[1, 1]));
        assert_eq!(judge(&principal, Guid::NIL, &log(1_000, &[])), Err(1407));
        assert_eq!(judge(&principal, FAMILY, &log(0, &[1])), Err(1408));
        let mut chained = open(&log(0, &[1, 1, 1]));
        chained.backed_up = log(0, &[1, 1]).end();
        assert_eq!(judge(&chained, FAMILY, &log(0, &[1, 1])), Ok(()));
        assert_eq!(judge(&chained, FAMILY, &log(0, &[1])), Err(1478));
        assert_eq!(judge(&principal, FAMILY, &log(1_000, &[1, 1, 1])), Err(1412));
        assert_eq!(judge(&principal, FAMILY, &log(1_000, &[1, 2])), Err(1412));
        assert_eq!(judge(&principal, FAMILY, &log(9_000, &[])), Err(1412));
    }

    #[test]
    fn an_unknown_refusal_is_a_general_one() {
        let database = DatabaseName::new("sales");
        let partner = ServerAddress::new("beta", 7022);
        assert_eq!(refusal(1448, &database, &partner).number, 1448);
        assert_eq!(refusal(102, &database, &partner).number, 1418);
        assert_eq!(refusal(0, &database, &partner).number, 1418);
    }
}
