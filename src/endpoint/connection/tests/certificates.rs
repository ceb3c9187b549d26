//! The checklist of certificate authentication.

use super::*;

#[test]
fn own_certificate_missing_or_out_of_date_or_its_key_closed() {
    let (mut a, b) = endpoints();
    a.own_certificate = None;
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers, (28036, 28031));
    assert!(pair.failure(Side::Initiator).error.text.contains("9762"));

    let (mut a, b) = endpoints();
    a.master_key_open = false;
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers.0, 28037);
    assert!(pair.failure(Side::Initiator).error.text.contains("15581"));

    for (from, to, code) in [
        (START - YEAR, START, "28023"),
        (START + YEAR, START + 2 * YEAR, "28022"),
    ] {
        let own = certificate(1, "HOST_1", from, to);
        let (_, mut b) = endpoints();
        b.trusted = vec![trust(300, &own.der)];
        let (pair, numbers) = refused((local(1, own, &[good(2).der]), b));
        assert_eq!(numbers.0, 28036);
        assert!(pair.failure(Side::Initiator).error.text.contains(code));
    }

    let (a, mut b) = endpoints();
    b.own_certificate = None;
    assert_eq!(refused((a, b)).1, (28028, 28036));
}

#[test]
fn a_private_key_of_another_certificate_is_not_usable() {
    let (mut a, b) = endpoints();
    let own = a.own_certificate.as_mut().unwrap();
    own.private_key_pkcs8 = Some(good(9).private_key_pkcs8);
    assert_eq!(refused((a, b)).1.0, 28037);
}

#[test]
fn peer_certificate_not_imported() {
    let (a, mut b) = endpoints();
    b.trusted = vec![trust(300, &good(7).der)];
    let (pair, numbers) = refused((a, b));
    assert_eq!(numbers, (28028, 28035));
    let failure = pair.failure(Side::Acceptor);
    assert!(
        failure.error.text.contains("certificate not found"),
        "{}",
        failure.error
    );
    assert_eq!(failure.subclass(), AuditSubclass::AuthorizationFailure);
    assert_eq!(pair.log(Side::Acceptor)[0].0, 28047);
    // The initiator checks the acceptor alike.
    let (mut a, b) = endpoints();
    a.trusted.clear();
    assert_eq!(refused((a, b)).1, (28035, 28028));
}

/// Both certificates expire while the clocks run: sessions that are up stay, new logins fail.
#[test]
fn certificates_expire_by_the_clock() {
    let (mut a, mut b) = endpoints();
    let own = certificate(1, "HOST_1", START, START + 2_000);
    a.own_certificate.as_mut().unwrap().der = own.der.clone();
    b.trusted = vec![trust(300, &own.der)];
    let mut pair = Pair::connected((a.clone(), b.clone()));
    assert!(pair.both_online());
    let late = at(1_000 * 1_000 + 1_000);
    pair.now = late;
    pair.initiator.send(late, b"still here");
    pair.run(|_, _, bytes| bytes);
    assert_eq!(pair.messages(Side::Acceptor).len(), 1);
    // The initiator's own clock is behind, so that only the acceptor sees the expiry.
    let mut pair = Pair::new((a, b));
    pair.initiator.on_connected(pair.now);
    pair.acceptor.login_deadline = late.at + LOGIN_DEADLINE;
    for _ in 0..4 {
        while let Some(output) = pair.initiator.poll() {
            if let ConnectionOutput::Send(bytes) = output {
                pair.acceptor.receive(late, &bytes);
            }
        }
        while let Some(output) = pair.acceptor.poll() {
            match output {
                ConnectionOutput::Send(bytes) => pair.initiator.receive(at(0), &bytes),
                other => pair.seen.push((Side::Acceptor, other)),
            }
        }
    }
    let error = &pair.failure(Side::Acceptor).error;
    assert_eq!(error.number, 28035);
    assert!(error.text.contains("expired at"), "{error}");
}

#[test]
fn a_namesake_with_other_bytes_is_told_apart() {
    let (a, mut b) = endpoints();
    // Same subject and serial number (same seed), other dates: other bytes.
    let namesake = certificate(1, "HOST_1", START, START + YEAR + 1);
    b.trusted = vec![trust(300, &namesake.der)];
    assert_eq!(refused((a, b)).1, (28028, 28045));
}

#[test]
fn login_missing_or_without_connect() {
    for (login, connect, user) in [
        (Some("peer_login"), false, "peer_login"),
        (None, true, "peer_user_300"),
    ] {
        let (a, mut b) = endpoints();
        b.trusted[0].login = login.map(str::to_owned);
        b.trusted[0].connect = connect;
        let (pair, numbers) = refused((a, b));
        assert_eq!(numbers, (28028, 28034));
        let log = pair.log(Side::Acceptor);
        assert_eq!(log[0].0, 28048, "the user is known");
        assert!(log[0].1.contains(user) && log[0].1.contains("28034"), "{log:?}");
        assert_eq!(pair.failure(Side::Acceptor).user.as_deref(), Some(user));
    }
}

/// Whatever the reason, the acceptor has sent as many frames of the same lengths, and then nothing.
#[test]
fn a_refused_peer_learns_no_reason() {
    let sent_lengths = |change: fn(&mut LocalEndpoint)| {
        let (a, mut b) = endpoints();
        change(&mut b);
        let (pair, _) = refused((a, b));
        assert_eq!(pair.failure(Side::Initiator).error.number, 28028);
        pair.sent(Side::Acceptor)
            .iter()
            .map(|bytes| bytes.len())
            .collect::<Vec<_>>()
    };
    let not_imported = sent_lengths(|b| b.trusted.clear());
    let no_connect = sent_lengths(|b| b.trusted[0].connect = false);
    let no_login = sent_lengths(|b| b.trusted[0].login = None);
    let expired = sent_lengths(|b| b.trusted[0].der = certificate(1, "HOST_1", START, START + 9).der);
    assert_eq!(not_imported.len(), 2, "an answer and one token");
    assert_eq!(no_connect, not_imported);
    assert_eq!(no_login, not_imported);
    assert_eq!(expired, not_imported);
}
