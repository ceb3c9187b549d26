//! Kerberos from end to end.

use std::time::Duration;

use super::*;

const KERBEROS: WindowsProtocol = WindowsProtocol::Kerberos;
const MINUTE: Duration = Duration::from_secs(60);

fn earlier(by: Duration) -> WallTime {
    WallTime::from_unix_secs(START.unix_secs() - i64::try_from(by.as_secs()).expect("small"))
}

#[test]
fn both_ends_agree_on_a_secret_and_only_the_initiator_asks_the_controller() {
    let mut lab = Lab::new();
    lab.acceptor_reaches = false;
    assert_eq!(lab.expect_ok(KERBEROS), Package::Kerberos);
    assert_eq!(lab.asked, 2, "one ticket-granting ticket, one ticket");
}

#[test]
fn the_account_decides_and_the_initiator_sees_why() {
    let mut lab = Lab::new();
    lab.directory.set_disabled(&alpha(), true).expect("there");
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::AccountDisabled(alpha())
    );
    lab.directory.set_disabled(&alpha(), false).expect("there");
    lab.directory.set_locked(&alpha(), true).expect("there");
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::AccountLocked(alpha())
    );
    lab.directory.set_locked(&alpha(), false).expect("there");
    lab.directory.set_password(&alpha(), "new").expect("there");
    let failure = lab.initiator_failure(KERBEROS);
    assert_eq!(failure, WindowsFailure::WrongPassword(alpha()));
    assert_eq!(failure.code(), SecurityCode::LOGON_DENIED);
    lab.restart_alpha_as(&alpha());
    lab.expect_ok(KERBEROS);
    lab.directory.remove_account(&alpha()).expect("there");
    lab.alpha = LogonSession::new(lab.alpha.service().clone(), lab.alpha.computer().clone());
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::NoSuchAccount(alpha())
    );
}

#[test]
fn wrong_passwords_lock_the_account_where_the_domain_says_so() {
    let mut lab = Lab::new();
    lab.directory.set_password(&alpha(), "new").expect("there");
    lab.directory
        .set_lockout_threshold("ADVENTURE", std::num::NonZeroU32::new(2))
        .expect("there");
    for _ in 0..2 {
        assert_eq!(
            lab.initiator_failure(KERBEROS),
            WindowsFailure::WrongPassword(alpha())
        );
    }
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::AccountLocked(alpha())
    );
}

#[test]
fn the_name_of_the_service_leads_to_one_account() {
    let mut lab = Lab::new();
    lab.directory.add_spn(SPN, &alpha()).expect("there");
    let failure = lab.initiator_failure(KERBEROS);
    assert_eq!(failure, WindowsFailure::DuplicateTarget(SPN.to_owned()));
    lab.directory.remove_spn(SPN, &alpha()).expect("there");
    lab.expect_ok(KERBEROS);
    lab.directory.remove_spn(SPN, &beta()).expect("there");
    lab.restart_alpha_as(&alpha());
    let failure = lab.initiator_failure(KERBEROS);
    assert_eq!(failure, WindowsFailure::TargetUnknown(SPN.to_owned()));
    assert_eq!(failure.code(), SecurityCode::TARGET_UNKNOWN);
}

#[test]
fn a_name_registered_to_another_account_gives_a_ticket_nobody_opens() {
    let mut lab = Lab::new();
    lab.directory.remove_spn(SPN, &beta()).expect("there");
    lab.directory.add_spn(SPN, &alpha()).expect("there");
    let failure = lab.acceptor_failure(KERBEROS);
    assert_eq!(failure, WindowsFailure::WrongServiceKey(beta()));
    assert_eq!(failure.code(), SecurityCode::WRONG_PRINCIPAL);
}

#[test]
fn an_acceptor_with_the_old_password_opens_no_new_ticket_until_it_is_started_again() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    lab.directory.set_password(&beta(), "new").expect("there");
    lab.expect_ok(KERBEROS);
    lab.restart_alpha_as(&alpha());
    assert_eq!(
        lab.acceptor_failure(KERBEROS),
        WindowsFailure::WrongServiceKey(beta())
    );
    lab.restart_beta();
    lab.expect_ok(KERBEROS);
}

#[test]
fn a_ticket_nobody_answered_to_is_replaced_at_the_next_attempt() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    lab.directory.set_password(&beta(), "new").expect("there");
    lab.restart_beta();
    assert_eq!(
        lab.acceptor_failure(KERBEROS),
        WindowsFailure::WrongServiceKey(beta())
    );
    let asked = lab.asked;
    lab.expect_ok(KERBEROS);
    assert_eq!(
        lab.asked,
        asked + 1,
        "a new ticket, the ticket-granting one is still good"
    );
}

#[test]
fn who_holds_a_ticket_needs_neither_controller_nor_account() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    let asked = lab.asked;
    lab.initiator_reaches = false;
    lab.directory.set_disabled(&alpha(), true).expect("there");
    lab.expect_ok(KERBEROS);
    assert_eq!(lab.asked, asked);
    lab.restart_alpha_as(&alpha());
    let failure = lab.initiator_failure(KERBEROS);
    assert_eq!(failure, WindowsFailure::NoController(NoController));
    assert_eq!(failure.code(), SecurityCode::NO_AUTHENTICATING_AUTHORITY);
}

#[test]
fn a_doubtful_ticket_is_better_than_none() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    let (_, step) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
    assert!(
        matches!(step, Step::Token(_)),
        "shown, and never answered: {step:?}"
    );
    lab.initiator_reaches = false;
    lab.expect_ok(KERBEROS);
}

#[test]
fn tickets_end_after_ten_hours() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    lab.initiator_reaches = false;
    let hours = |n: u32| START + n * 60 * MINUTE;
    let (first, _) = lab.run_at(KERBEROS, KERBEROS, hours(9), hours(9));
    assert!(first.is_ok(), "{first:?}");
    let (first, _) = lab.run_at(KERBEROS, KERBEROS, hours(10), hours(10));
    assert_eq!(first, Err(WindowsFailure::NoController(NoController)));
}

#[test]
fn a_clock_more_than_five_minutes_off_fails_at_who_checks_it() {
    for (off, is_close) in [
        (4 * MINUTE, true),
        (5 * MINUTE, true),
        (5 * MINUTE + MINUTE / 60, false),
    ] {
        for clock in [START + off, earlier(off)] {
            let (first, second) = Lab::new().run_at(KERBEROS, KERBEROS, clock, clock);
            assert_eq!(first.is_ok(), is_close, "initiator at {clock}: {first:?}");
            if !is_close {
                assert_eq!((first, second), (Err(WindowsFailure::ClockSkew), None));
            }
            let (_, second) = Lab::new().run_at(KERBEROS, KERBEROS, START, clock);
            match second {
                Some(Ok(_)) => assert!(is_close, "acceptor at {clock}"),
                Some(Err(failure)) => assert_eq!((failure, is_close), (WindowsFailure::ClockSkew, false)),
                None => panic!("the acceptor is reached"),
            }
        }
    }
}

#[test]
fn an_account_of_another_domain_needs_a_trust() {
    let mut lab = Lab::new();
    lab.restart_alpha_as(&foreign());
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::NoTrust(foreign())
    );
    lab.directory.add_trust("ADVENTURE", "CONTOSO").expect("there");
    lab.expect_ok(KERBEROS);
}

#[test]
fn a_service_of_another_domain_has_to_trust_the_initiators() {
    let mut lab = Lab::new();
    lab.directory.remove_spn(SPN, &beta()).expect("there");
    lab.directory.add_spn(SPN, &foreign()).expect("there");
    let service = lab.directory.credentials(&foreign()).expect("there");
    lab.beta = LogonSession::new(service, lab.beta.computer().clone());
    assert_eq!(
        lab.initiator_failure(KERBEROS),
        WindowsFailure::TargetUnknown(SPN.to_owned())
    );
    lab.directory.add_trust("CONTOSO", "ADVENTURE").expect("there");
    lab.expect_ok(KERBEROS);
}

#[test]
fn a_repeated_request_is_refused() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    let (_, step) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
    let Step::Token(request) = step else {
        panic!("{step:?}")
    };
    let accept = |session: &LogonSession, now| Acceptor::new(KERBEROS, session, [8; 32]).token(&request, now);
    assert!(matches!(accept(&lab.beta, START), Step::Done(_)));
    assert_eq!(accept(&lab.beta, START), Step::Failed(WindowsFailure::Replay));
    assert_eq!(
        accept(&lab.beta, START + 6 * MINUTE),
        Step::Failed(WindowsFailure::ClockSkew)
    );
}

#[test]
fn every_changed_byte_of_what_is_shown_and_answered_matters() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    let fresh = |lab: &Lab| LogonSession::new(lab.beta.service().clone(), lab.beta.computer().clone());
    let (mut initiator, step) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
    let Step::Token(request) = step else {
        panic!("{step:?}")
    };
    let Step::Done(done) = Acceptor::new(KERBEROS, &fresh(&lab), [8; 32]).token(&request, START) else {
        panic!("accepted");
    };
    let mut unnoticed = 0;
    for at in 0..request.len() {
        let mut changed = request.clone();
        changed[at] ^= 0x40;
        let step = Acceptor::new(KERBEROS, &fresh(&lab), [8; 32]).token(&changed, START);
        unnoticed += usize::from(matches!(step, Step::Done(_)));
    }
    // In clear and of no consequence: the service's name, the key's version, unused options.
    assert!(unnoticed < 80, "{unnoticed} of {}", request.len());
    let reply = done.token.expect("the acceptor proves itself");
    for at in 0..reply.len() {
        let (mut other, step) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
        assert!(
            matches!(step, Step::AskController(_)),
            "the shown ticket is doubtful"
        );
        let Step::Token(_) = other.answered(Err(NoController), START) else {
            panic!("the doubtful ticket is shown");
        };
        let mut changed = reply.clone();
        changed[at] ^= 0x40;
        assert!(
            matches!(other.token(&changed, START), Step::Failed(_)),
            "byte {at}"
        );
    }
    let Step::Done(own) = initiator.token(&reply, START) else {
        panic!("the proof is right")
    };
    assert_eq!(own.secret, done.secret);
    assert!(
        matches!(initiator.token(&reply, START), Step::Failed(_)),
        "it is over"
    );
}

#[test]
fn an_acceptor_without_the_session_key_proves_nothing() {
    let mut lab = Lab::new();
    lab.expect_ok(KERBEROS);
    let show = |lab: &Lab, seed| match Initiator::start(KERBEROS, &lab.alpha, SPN, [seed; 32], START) {
        (initiator, Step::Token(request)) => (initiator, request),
        (_, step) => panic!("{step:?}"),
    };
    let (_, request) = show(&lab, 7);
    let mut elsewhere = Lab::new();
    elsewhere.rng = ChaCha20Rng::from_seed([10; 32]);
    elsewhere.expect_ok(KERBEROS);
    let (mut initiator, _) = show(&elsewhere, 7);
    let Step::Done(done) = Acceptor::new(KERBEROS, &lab.beta, [8; 32]).token(&request, START) else {
        panic!("accepted");
    };
    let reply = done.token.expect("a proof");
    let failure = WindowsFailure::WrongAcceptor(SPN.to_owned());
    assert_eq!(initiator.token(&reply, START), Step::Failed(failure));
}

proptest! {
    #[test]
    fn changed_requests_and_answers_leave_everybody_standing(
        at: prop::sample::Index, bit in 0u8..8, cut: prop::sample::Index,
    ) {
        let mut lab = Lab::new();
        let (mut initiator, mut step) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
        while let Step::AskController(request) = step {
            let mut changed = request.clone();
            changed[at.index(request.len())] ^= 1 << bit;
            let _ = lab.ask(&changed, true, START);
            let _ = lab.ask(&request[..cut.index(request.len())], true, START);
            let answer = lab.ask(&request, true, START).expect("reached");
            let mut changed = answer.clone();
            changed[at.index(answer.len())] ^= 1 << bit;
            let (mut other, _) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
            let _ = other.answered(Ok(&changed), START);
            let (mut other, _) = Initiator::start(KERBEROS, &lab.alpha, SPN, [7; 32], START);
            let _ = other.answered(Ok(&answer[..cut.index(answer.len())]), START);
            step = initiator.answered(Ok(&answer), START);
        }
        prop_assert!(matches!(step, Step::Token(_)), "{step:?}");
    }
}
