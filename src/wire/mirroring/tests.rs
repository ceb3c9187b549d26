//! Round trips, damage and limits of session messages.

use proptest::prelude::*;

use super::*;
use crate::types::{
    DatabaseName, Guid, Lsn, PartnerRole, PathStep, RecoveryPath, Safety, ServerAddress, SwitchKind,
};
use crate::wire::pages::PageMessage;

fn lsn() -> impl Strategy<Value = Lsn> {
    any::<u64>().prop_map(Lsn::new)
}

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 16]>().prop_map(Guid::from_bytes)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn address() -> impl Strategy<Value = ServerAddress> {
    ("[a-z]{1,12}(\\.[a-z]{1,8})?", 1..=u16::MAX).prop_map(|(host, port)| ServerAddress::new(host, port))
}

fn path() -> impl Strategy<Value = RecoveryPath> {
    let step = (guid(), any::<u32>(), lsn()).prop_map(|(fork, epoch, from)| PathStep { fork, epoch, from });
    prop::collection::vec(step, 0..5).prop_map(RecoveryPath::from_steps)
}

fn log() -> impl Strategy<Value = LogPosition> {
    let epochs = prop::collection::vec((any::<u32>(), lsn()), 0..5);
    (lsn(), lsn(), lsn(), any::<u32>(), epochs).prop_map(|(start, end, hardened, check, epochs)| {
        LogPosition {
            start,
            end,
            hardened,
            check,
            epochs,
        }
    })
}

fn safety() -> impl Strategy<Value = Safety> {
    prop_oneof![Just(Safety::Off), Just(Safety::Full)]
}

fn role() -> impl Strategy<Value = PartnerRole> {
    prop_oneof![Just(PartnerRole::Principal), Just(PartnerRole::Mirror)]
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let witness = prop::option::of(address());
    let suspension = (any::<bool>(), any::<u32>());
    (
        any::<u32>(),
        safety(),
        any::<u32>(),
        witness,
        (any::<u16>(), prop::option::of(1..=u32::MAX)),
        suspension,
    )
        .prop_map(
            |(sequence, safety, safety_sequence, witness, limits, suspension)| Configuration {
                sequence,
                safety,
                safety_sequence,
                witness,
                timeout_seconds: limits.0,
                redo_queue_mb: limits.1,
                suspended: suspension.0,
                suspend_sequence: suspension.1,
            },
        )
}

fn hello() -> impl Strategy<Value = Hello> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let reply_to = prop::option::of(any::<u64>());
    let pending = prop::option::of(any::<u32>());
    const KINDS: [SwitchKind; 3] = [SwitchKind::Automatic, SwitchKind::Manual, SwitchKind::Forced];
    let owner_by = prop::option::of(prop::sample::select(&KINDS[..]));
    let role = (role(), owner_by);
    (reply_to, role, text(), flags, pending, log(), configuration()).prop_map(
        |(
            reply_to,
            (role, owner_by),
            name,
            (synchronized, failover_pending, takeover_forced),
            takeover_pending,
            log,
            configuration,
        )| Hello {
            reply_to,
            role,
            name,
            synchronized,
            takeover_pending,
            takeover_forced,
            failover_pending,
            owner_by,
            log,
            configuration,
        },
    )
}

fn attach() -> impl Strategy<Value = WitnessAttach> {
    let names = (text(), text(), text());
    let numbers = (any::<u32>(), any::<u16>(), any::<u32>());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (names, guid(), role(), safety(), numbers, flags).prop_map(
        |((database, name, partner_name), family, role, safety, numbers, flags)| WitnessAttach {
            invite: flags.0,
            database: DatabaseName::new(database),
            family,
            name,
            partner_name,
            role,
            safety,
            safety_sequence: numbers.0,
            timeout_seconds: numbers.1,
            suspended: flags.2,
            suspend_sequence: numbers.2,
            synchronized: flags.1,
        },
    )
}

fn page() -> impl Strategy<Value = PageMessage> {
    let rows = prop::collection::vec(any::<(i64, i64)>(), 0..=crate::wire::pages::ROWS_MAX);
    prop_oneof![
        (any::<u64>(), text(), any::<i64>(), lsn()).prop_map(|(request, table, range, at)| {
            let page = crate::types::PageKey { table, range };
            PageMessage::Request { request, page, at }
        }),
        (any::<u64>(), lsn(), rows).prop_map(|(request, lsn, rows)| PageMessage::Image {
            request,
            lsn,
            rows
        }),
        any::<u64>().prop_map(|request| PageMessage::Failed { request }),
        any::<u32>().prop_map(|suspend_sequence| PageMessage::AllHere { suspend_sequence }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let denial = prop_oneof![
        Just(Denial::PrincipalConnected),
        Just(Denial::NotSynchronized),
        Just(Denial::OtherRecord)
    ];
    prop_oneof![
        (
            text(),
            guid(),
            text(),
            log(),
            any::<u32>(),
            (lsn(), path()),
            configuration()
        )
            .prop_map(
                |(database, family, name, log, epoch_base, (backed_up, path), configuration)| Body::Open(
                    Box::new(Open {
                        database: DatabaseName::new(database),
                        family,
                        name,
                        log,
                        epoch_base,
                        backed_up,
                        path,
                        configuration,
                    })
                )
            ),
        (text(), log()).prop_map(|(name, log)| Body::Opened { name, log }),
        any::<u32>().prop_map(|number| Body::OpenRefused { number }),
        Just(Body::Removed),
        Just(Body::NoSession),
        Just(Body::Unavailable),
        Just(Body::Probe),
        hello().prop_map(Body::Hello),
        (lsn(), configuration()).prop_map(|(from, configuration)| Body::Start { from, configuration }),
        configuration().prop_map(|configuration| Body::StartSuspended { configuration }),
        (any::<u32>(), prop::option::of(any::<(u32, u8, u8)>())).prop_map(|(suspend_sequence, error)| {
            let error = error.map(|(number, state, severity)| MirrorError {
                number,
                state,
                severity,
            });
            Body::Suspended {
                suspend_sequence,
                error,
            }
        }),
        Just(Body::Resume),
        log().prop_map(|log| Body::ResumeFrom { log }),
        (lsn(), lsn(), any::<u32>()).prop_map(|(end, mine, check)| Body::TakeOver { end, mine, check }),
        (lsn(), lsn()).prop_map(|(hardened, redone)| Body::Started { hardened, redone }),
        any::<u32>().prop_map(|to| Body::Supersede { to }),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|frame| Body::Block { frame }),
        (any::<u8>(), 0..5_000usize).prop_map(|(byte, length)| Body::Block {
            frame: vec![byte; length]
        }),
        lsn().prop_map(|to| Body::Discarded { to }),
        page().prop_map(Body::Page),
        lsn().prop_map(|lsn| Body::HardenedUpTo { lsn }),
        lsn().prop_map(|lsn| Body::RedoneUpTo { lsn }),
        lsn().prop_map(|at| Body::Synchronize { at }),
        Just(Body::Synchronized),
        configuration().prop_map(|configuration| Body::Configure { configuration }),
        any::<u32>().prop_map(|sequence| Body::Configured { sequence }),
        address().prop_map(|address| Body::ProposeWitness { address }),
        any::<bool>().prop_map(|reached| Body::WitnessReached { reached }),
        lsn().prop_map(|end| Body::FailoverPrepare { end }),
        Just(Body::FailoverRefused),
        lsn().prop_map(|end| Body::FailoverDone { end }),
        attach().prop_map(|attach| Body::WitnessAttach(Box::new(attach))),
        (any::<u64>(), any::<bool>()).prop_map(|(request, synchronized)| Body::SyncState {
            request,
            synchronized
        }),
        (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(request, to, forced)| Body::TakeoverRequest {
            request,
            to,
            forced
        }),
        (any::<u64>(), denial).prop_map(|(request, denial)| Body::TakeoverDenied { request, denial }),
        (any::<u64>(), text(), any::<bool>()).prop_map(|(answers, owner, synchronized)| {
            Body::WitnessReport {
                answers,
                owner,
                synchronized,
            }
        }),
        any::<u32>().prop_map(|number| Body::WitnessRefused { number }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (guid(), any::<u32>(), any::<u64>(), body()).prop_map(|(session, role_sequence, link, body)| Message {
        session,
        role_sequence,
        link,
        body,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn messages_round_trip(message in message()) {
        let bytes = message.encode().unwrap();
        prop_assert!(bytes.starts_with(&MAGIC));
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn a_message_cut_short_or_prolonged_is_refused(message in message(), cut in any::<prop::sample::Index>()) {
        let mut bytes = message.encode().unwrap();
        prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(Message::decode(&bytes).is_err());
    }

    #[test]
    fn damaged_bytes_decode_to_an_error_or_to_what_they_say(
        message in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = message.encode().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(decoded) = Message::decode(&bytes) {
            let again = decoded.encode().unwrap();
            prop_assert_eq!(Message::decode(&again), Ok(decoded));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut marked = MAGIC.to_vec();
        marked.extend_from_slice(&bytes);
        prop_assert!(Message::decode(&bytes).is_err() || bytes.starts_with(&MAGIC));
        let _ = Message::decode(&marked);
    }
}

#[test]
fn limits_hold_in_both_directions() {
    let message = |body| Message {
        session: Guid::NIL,
        role_sequence: 1,
        link: 1,
        body,
    };
    let frame = vec![0; BLOCK_FRAME_BYTES_MAX + 1];
    let too_long = message(Body::Block { frame }).encode();
    assert!(matches!(too_long, Err(MessageError::TooLong { .. })));
    let frame = vec![0; BLOCK_FRAME_BYTES_MAX];
    let largest = message(Body::Block { frame }).encode().unwrap();
    assert!(largest.len() <= MESSAGE_BYTES_MAX);
    assert!(Message::decode(&largest).is_ok());
    let oversized = vec![0; MESSAGE_BYTES_MAX + 1];
    assert!(matches!(
        Message::decode(&oversized),
        Err(MessageError::TooLong { .. })
    ));
}
