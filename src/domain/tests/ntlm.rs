//! NTLM from end to end.

use super::*;

const NTLM: WindowsProtocol = WindowsProtocol::Ntlm;

#[test]
fn both_ends_agree_on_a_secret_and_the_acceptor_learns_the_account() {
    assert_eq!(Lab::new().expect_ok(NTLM), Package::Ntlm);
}

#[test]
fn the_account_decides_and_only_the_acceptor_sees_why() {
    let mut lab = Lab::new();
    lab.directory.set_disabled(&alpha(), true).expect("there");
    assert_eq!(
        lab.acceptor_failure(NTLM),
        WindowsFailure::AccountDisabled(alpha())
    );
    lab.directory.set_disabled(&alpha(), false).expect("there");
    lab.directory.set_locked(&alpha(), true).expect("there");
    assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::AccountLocked(alpha()));
    lab.directory.set_locked(&alpha(), false).expect("there");
    lab.expect_ok(NTLM);
    lab.directory.remove_account(&alpha()).expect("there");
    let failure = lab.acceptor_failure(NTLM);
    assert_eq!(failure, WindowsFailure::NoSuchAccount(alpha()));
    assert_eq!(failure.code(), SecurityCode::LOGON_DENIED);
    assert_eq!(failure.account(), Some(&alpha()));
}

#[test]
fn a_service_with_the_old_password_is_refused_until_it_is_started_again() {
    let mut lab = Lab::new();
    lab.directory.set_password(&alpha(), "new").expect("there");
    assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::WrongPassword(alpha()));
    lab.restart_alpha_as(&alpha());
    lab.expect_ok(NTLM);
    lab.directory.set_password(&beta(), "new").expect("there");
    lab.expect_ok(NTLM);
}

#[test]
fn an_account_of_another_domain_needs_a_trust_of_the_acceptors_domain() {
    let mut lab = Lab::new();
    lab.restart_alpha_as(&foreign());
    assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::NoTrust(foreign()));
    lab.directory.add_trust("CONTOSO", "ADVENTURE").expect("there");
    assert_eq!(lab.acceptor_failure(NTLM), WindowsFailure::NoTrust(foreign()));
    lab.directory.add_trust("ADVENTURE", "CONTOSO").expect("there");
    lab.expect_ok(NTLM);
}

#[test]
fn only_the_acceptor_needs_the_controller() {
    let mut lab = Lab::new();
    lab.initiator_reaches = false;
    lab.expect_ok(NTLM);
    lab.acceptor_reaches = false;
    let failure = lab.acceptor_failure(NTLM);
    assert_eq!(failure, WindowsFailure::NoController(NoController));
    assert_eq!(failure.code(), SecurityCode::NO_AUTHENTICATING_AUTHORITY);
}

#[test]
fn a_system_that_is_no_member_gets_no_answer() {
    let mut lab = Lab::new();
    let computer = AccountName::computer("ADVENTURE", "beta");
    lab.directory.set_password(&computer, "reset").expect("there");
    assert_eq!(
        lab.acceptor_failure(NTLM),
        WindowsFailure::NoSecureChannel(computer)
    );
}

#[test]
fn a_computer_account_authenticates_like_any_other() {
    let mut lab = Lab::new();
    lab.restart_alpha_as(&AccountName::computer("ADVENTURE", "alpha"));
    lab.expect_ok(NTLM);
}

#[test]
fn every_changed_byte_of_every_message_ends_the_exchange() {
    let lab = Lab::new();
    for message in 0..3 {
        let length = tampered(&lab, message, None).1;
        for at in 0..length {
            let (outcome, _) = tampered(&lab, message, Some(at));
            assert!(outcome.is_err(), "message {message} byte {at}: {outcome:?}");
        }
    }
}

/// Runs an exchange with one byte of one message changed; the acceptor's outcome and the message's length.
fn tampered(lab: &Lab, message: usize, at: Option<usize>) -> (Outcome, usize) {
    let mut directory = lab.directory.clone();
    let mut length = 0;
    let mut pass = |number: usize, mut token: Vec<u8>| {
        if number == message {
            length = token.len();
            if let Some(at) = at {
                token[at] ^= 0x40;
            }
        }
        token
    };
    let mut acceptor = Acceptor::new(NTLM, &lab.beta, [2; 32]);
    let (mut initiator, step) = Initiator::start(NTLM, &lab.alpha, SPN, [1; 32], START);
    let Step::Token(negotiate) = step else {
        panic!("{step:?}")
    };
    let outcome = match acceptor.token(&pass(0, negotiate), START) {
        Step::Token(challenge) => match initiator.token(&pass(1, challenge), START) {
            Step::Done(Done {
                token: Some(token), ..
            }) => acceptor.token(&pass(2, token), START),
            other => other,
        },
        other => other,
    };
    let outcome = match outcome {
        Step::AskController(request) => {
            let mut rng = ChaCha20Rng::from_seed([4; 32]);
            let answer = Controller::new("ADVENTURE").answer(&mut directory, &request, START, &mut rng);
            acceptor.answered(Ok(&answer), START)
        }
        other => other,
    };
    match outcome {
        Step::Done(done) => (Ok(done), length),
        Step::Failed(failure) => (Err(failure), length),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_of_another_package_or_direction_are_told_apart() {
    let lab = Lab::new();
    let (mut initiator, step) = Initiator::start(NTLM, &lab.alpha, SPN, [1; 32], START);
    let Step::Token(mut negotiate) = step else {
        panic!("{step:?}")
    };
    assert_eq!(
        initiator.token(&negotiate, START),
        Step::Failed(WindowsFailure::WrongDirection)
    );
    negotiate[1] = 2;
    let mut acceptor = Acceptor::new(NTLM, &lab.beta, [2; 32]);
    assert_eq!(
        acceptor.token(&negotiate, START),
        Step::Failed(WindowsFailure::NotThePackage(Package::Ntlm))
    );
    assert!(
        matches!(acceptor.token(&negotiate, START), Step::Failed(_)),
        "it is over"
    );
    assert!(
        matches!(acceptor.answered(Ok(&[]), START), Step::Failed(_)),
        "it is over"
    );
}
