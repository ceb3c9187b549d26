//! Endpoints that are not compatible, or not started.

use super::*;

#[test]
fn incompatible_endpoints_part_without_a_word() {
    let (a, mut b) = endpoints();
    b.config.authentication = Authentication::Windows(WindowsMethod::Negotiate);
    let encryption = |i, a| with_encryption(i, a);
    let cases = [
        (a, b),
        encryption(Encryption::Disabled, Encryption::default()),
        encryption(Encryption::default(), Encryption::Disabled),
        encryption(
            Encryption::Supported(Algorithms::Aes),
            Encryption::Supported(Algorithms::Rc4),
        ),
    ];
    for case in cases {
        let pair = Pair::connected(case);
        assert_eq!(pair.error(Side::Acceptor), 28027);
        assert_eq!(
            pair.failure(Side::Acceptor).subclass(),
            AuditSubclass::NegotiateFailure
        );
        assert_eq!(pair.error(Side::Initiator), 28028, "it only sees the end");
        assert!(pair.sent(Side::Acceptor).is_empty());
        let log = pair.log(Side::Acceptor);
        assert_eq!(log[0].0, 28047);
        assert!(
            log[0].1.contains("Error 28027") && log[0].1.contains("10.0.0.1"),
            "{log:?}"
        );
        assert_eq!(pair.log(Side::Initiator)[0].0, 9642);
    }
}

#[test]
fn windows_needs_a_domain_account() {
    let (mut a, mut b) = endpoints();
    a.config.authentication = Authentication::Windows(WindowsMethod::Ntlm);
    b.config.authentication = Authentication::Windows(WindowsMethod::Negotiate);
    let pair = Pair::connected((a, b));
    let error = &pair.failure(Side::Initiator).error;
    assert_eq!(error.number, 28031);
    assert!(
        error.text.contains("LocalSystem is nobody on the network"),
        "{error}"
    );
    assert_eq!(pair.error(Side::Acceptor), 28031);
}

#[test]
fn rc4_is_carried_out_with_a_warning_and_not_in_fips_mode() {
    let rc4 = Encryption::Required(Algorithms::Rc4);
    let pair = Pair::connected(with_encryption(rc4, rc4));
    assert!(pair.both_online());
    for side in [Side::Initiator, Side::Acceptor] {
        let warned = pair.log(side).iter().any(|(number, _)| *number == 33128);
        assert!(warned, "{side:?} {:?}", pair.log(side));
    }
    let pair = Pair::connected(endpoints());
    assert!(
        pair.log(Side::Acceptor)
            .iter()
            .all(|(number, _)| *number != 33128)
    );
    // Either side's mode is enough; the other's peer only goes away.
    for (initiator, acceptor, errors) in [(true, false, (28078, 28028)), (false, true, (28028, 28078))] {
        let (mut a, mut b) = with_encryption(rc4, rc4);
        (a.fips_mode, b.fips_mode) = (initiator, acceptor);
        let (_, seen) = refused((a, b));
        assert_eq!(seen, errors);
    }
    let (mut a, b) = endpoints();
    a.fips_mode = true;
    assert!(Pair::connected((a, b)).both_online(), "AES is welcome");
}

#[test]
fn the_second_method_is_tried_when_the_first_cannot_be_carried_out() {
    let (mut a, mut b) = endpoints();
    let windows_first = |c: &str| Authentication::WindowsThenCertificate(WindowsMethod::Negotiate, c.into());
    a.config.authentication = windows_first("HOST_1_cert");
    b.config.authentication = windows_first("HOST_2_cert");
    let pair = Pair::connected((a.clone(), b.clone()));
    assert!(pair.both_online());
    // The initiator cannot begin with Windows, says so and waits until the acceptor has noticed.
    let states = pair.states(Side::Initiator);
    assert_eq!(
        states[1..4],
        ["WAIT REJECT", "TWO ISC", "WAIT VALIDATION"],
        "{states:?}"
    );
    let states = pair.states(Side::Acceptor);
    assert_eq!(
        states[1..4],
        ["ONE ASC", "TWO ASC", "WAIT ISC Confirm"],
        "{states:?}"
    );
    assert_eq!(pair.log(Side::Initiator)[0].0, 9642);
    let (number, text) = &pair.log(Side::Acceptor)[0];
    assert_eq!(*number, 28047);
    assert!(text.contains("Error 28031"), "{text}");
    assert_eq!(pair.log(Side::Acceptor)[1].0, 28046);
    // The acceptor's certificate is missing: it rejects, and Windows is no way out.
    b.config.authentication = Authentication::CertificateThenWindows("gone".into(), WindowsMethod::Negotiate);
    b.own_certificate = None;
    let pair = Pair::connected((a, b));
    assert_eq!(pair.error(Side::Initiator), 28031);
    let states = pair.states(Side::Initiator);
    assert_eq!(states[1..3], ["ONE ISC", "ERROR"], "{states:?}");
}

#[test]
fn an_endpoint_that_is_not_started_shakes_no_hands() {
    for state in [EndpointState::Stopped, EndpointState::Disabled] {
        let (a, mut b) = endpoints();
        b.config.state = state;
        let pair = Pair::connected((a, b));
        assert_eq!(
            (pair.error(Side::Acceptor), pair.error(Side::Initiator)),
            (9666, 28028)
        );
        let (mut a, b) = endpoints();
        a.config.state = state;
        let pair = Pair::connected((a, b));
        assert_eq!(pair.error(Side::Initiator), 9666);
    }
}
