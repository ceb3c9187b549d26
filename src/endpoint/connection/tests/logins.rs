//! Logins that succeed, and the messages that follow them.

use super::*;

#[test]
fn a_login_passes_through_the_documented_states() {
    let pair = Pair::connected(endpoints());
    assert!(pair.both_online());
    assert_eq!(
        pair.states(Side::Initiator),
        [
            "WAIT LOGIN NEGOTIATE",
            "ONE ISC",
            "WAIT VALIDATION",
            "WAIT ARBITRATION",
            "ONLINE"
        ]
    );
    assert_eq!(
        pair.states(Side::Acceptor),
        [
            "WAIT LOGIN NEGOTIATE",
            "ONE ASC",
            "WAIT ISC Confirm",
            "WAIT VALIDATION",
            "WAIT ARBITRATION",
            "ONLINE"
        ]
    );
    let text = "Login to Database Mirroring: 'peer_login_300' by CERTIFICATE. [CLIENT: 10.0.0.1:50000]";
    assert_eq!(pair.log(Side::Acceptor), [(28046, text.to_owned())]);
    assert_eq!(pair.log(Side::Initiator), []);
}

#[test]
fn both_sides_know_each_other_afterwards() {
    let pair = Pair::connected(endpoints());
    let logged_in = pair.acceptor.logged_in().expect("online");
    assert_eq!(logged_in.peer.arbitration_id, Guid::from_bytes([1; 16]));
    assert_eq!(logged_in.peer.server_name, "HOST_1");
    assert_eq!(logged_in.peer.role, EndpointRole::All);
    assert_eq!(logged_in.peer.address, Some("TCP://host1:7022".parse().unwrap()));
    assert_eq!(logged_in.encryption, EncryptionInUse::Aes);
    let row = pair.acceptor.row();
    assert_eq!((row.state, row.login_state, row.encryption_algorithm), (4, 12, 2));
    assert_eq!(row.peer_certificate_id, Some(300));
    assert_eq!(row.principal_name.as_deref(), Some("peer_login_300"));
    assert_eq!(row.authentication_method, Some("CERTIFICATE"));
    assert!(row.is_accept && row.remote_user_name.is_none());
    assert!(row.connect_time.is_some() && row.login_time.is_some());
    let far = pair.initiator.row();
    assert_eq!(
        (far.total_bytes_sent, far.total_fragments_sent),
        (row.total_bytes_received, row.total_fragments_received)
    );
    assert_eq!(far.peer_arbitration_id, Some(Guid::from_bytes([2; 16])));
    assert_ne!(far.connection_id, row.connection_id);
}

#[test]
fn messages_arrive_in_order_and_only_sealed_ones_are_hidden() {
    use Encryption::{Disabled, Required, Supported};
    let aes = Algorithms::Aes;
    for (encryptions, in_use) in [
        ((Disabled, Disabled), EncryptionInUse::None),
        ((Disabled, Supported(aes)), EncryptionInUse::None),
        ((Supported(aes), Supported(aes)), EncryptionInUse::Aes),
        (
            (Required(aes), Required(Algorithms::AesRc4)),
            EncryptionInUse::Aes,
        ),
        (
            (Supported(Algorithms::AesRc4), Required(Algorithms::Rc4)),
            EncryptionInUse::Rc4,
        ),
    ] {
        let mut pair = Pair::connected(with_encryption(encryptions.0, encryptions.1));
        assert!(pair.both_online());
        assert_eq!(pair.initiator.logged_in().unwrap().encryption, in_use);
        let now = pair.now;
        for text in ["first message", "second message"] {
            pair.initiator.send(now, text.as_bytes());
            pair.acceptor.send(now, text.as_bytes());
        }
        pair.run(|_, _, bytes| bytes);
        for side in [Side::Initiator, Side::Acceptor] {
            assert_eq!(
                pair.messages(side),
                [b"first message".to_vec(), b"second message".to_vec()]
            );
            let shows = pair.sent(side).iter().any(|bytes| contains(bytes, b"message"));
            assert_eq!(shows, in_use == EncryptionInUse::None, "{encryptions:?}");
        }
    }
}

#[test]
fn a_login_survives_any_fragmentation() {
    let mut pair = Pair::new(endpoints());
    let now = pair.now;
    pair.initiator.on_connected(now);
    for _ in 0..20 {
        for (side, other) in [
            (Side::Initiator, Side::Acceptor),
            (Side::Acceptor, Side::Initiator),
        ] {
            while let Some(output) = pair.side(side).poll() {
                match output {
                    ConnectionOutput::Send(bytes) => {
                        bytes
                            .iter()
                            .for_each(|byte| pair.side(other).receive(now, &[*byte]));
                    }
                    ConnectionOutput::Arbitrate(_) => {
                        pair.side(side).resolve_arbitration(now, ArbitrationVerdict::Keep);
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(pair.both_online());
}

#[test]
fn the_largest_message_fits_and_a_larger_one_ends_the_connection() {
    let mut pair = Pair::connected(endpoints());
    let now = pair.now;
    pair.initiator.send(now, &vec![7; MESSAGE_BYTES_MAX]);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.messages(Side::Acceptor)[0].len(), MESSAGE_BYTES_MAX);
    pair.initiator.send(now, &vec![7; MESSAGE_BYTES_MAX + 1]);
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.error(Side::Initiator), 28040);
}
