//! What `sys.dm_db_mirroring_connections` shows at every step of every login that these tests play.
//!
//! Source: derived, the page of the view; that a live connection shows the algorithm that is used, or none, is ours.

use super::*;

/// The rows of both sides as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<ConnectionRow>);

impl Rows {
    /// Holds a row against the page, and against the one before of the same connection.
    pub(super) fn observe(&mut self, row: ConnectionRow) {
        let (is_online, is_over) = (row.state == 4, row.state == 5);
        assert_eq!(row.login_state == 12 && !is_over, is_online, "{row:?}");
        assert!(row.login_state != 13 || is_over, "{row:?}");
        assert!(row.login_time.is_none() || is_online || is_over, "{row:?}");
        assert!(row.login_time.is_some() || !is_online, "{row:?}");
        let is_open = matches!(row.state, 3 | 4);
        assert!(row.connect_time.is_some() || !is_open, "{row:?}");
        assert_eq!(row.receives_posted == 1, is_open, "{row:?}");
        match row.authentication_method {
            Some("CERTIFICATE") => assert_eq!(row.remote_user_name, None, "{row:?}"),
            Some("NTLM" | "KERBEROS") => assert_eq!(row.peer_certificate_id, None, "{row:?}"),
            Some(other) => panic!("{other} is no method of a login: {row:?}"),
            None => assert_eq!(
                (
                    &row.principal_name,
                    &row.remote_user_name,
                    row.peer_certificate_id
                ),
                (&None, &None, None),
                "{row:?}"
            ),
        }
        let algorithm = (row.encryption_algorithm, row.encryption_algorithm_desc);
        assert!(
            [(0, "NONE"), (1, "RC4"), (2, "AES")].contains(&algorithm),
            "{row:?}"
        );
        match self
            .0
            .iter_mut()
            .find(|old| old.connection_id == row.connection_id)
        {
            Some(old) => {
                for (before, now) in counters(old).into_iter().zip(counters(&row)) {
                    assert!(before <= now, "{old:?} {row:?}");
                }
                assert_eq!(
                    (old.is_accept, old.transport_stream_id),
                    (row.is_accept, row.transport_stream_id)
                );
                assert!(old.state <= row.state, "{old:?} {row:?}");
                *old = row;
            }
            None => self.0.push(row),
        }
    }
}

fn counters(row: &ConnectionRow) -> [u64; 6] {
    [
        row.total_bytes_sent,
        row.total_bytes_received,
        row.total_fragments_sent,
        row.total_fragments_received,
        row.total_sends,
        row.total_receives,
    ]
}
