//! NEGOTIATE: which package runs, and when there is no way on.

use super::*;

const NEGOTIATE: WindowsProtocol = WindowsProtocol::Negotiate;

#[test]
fn kerberos_is_used_if_there_is_a_ticket() {
    assert_eq!(Lab::new().expect_ok(NEGOTIATE), Package::Kerberos);
}

#[test]
fn without_a_way_to_a_ticket_ntlm_is_used() {
    let mut lab = Lab::new();
    lab.directory.add_spn(SPN, &alpha()).expect("there");
    assert_eq!(lab.expect_ok(NEGOTIATE), Package::Ntlm, "duplicate name");
    lab.directory.remove_spn(SPN, &alpha()).expect("there");
    lab.directory.remove_spn(SPN, &beta()).expect("there");
    assert_eq!(lab.expect_ok(NEGOTIATE), Package::Ntlm, "missing name");
    lab.directory.add_spn(SPN, &beta()).expect("there");
    lab.initiator_reaches = false;
    lab.restart_alpha_as(&alpha());
    assert_eq!(
        lab.expect_ok(NEGOTIATE),
        Package::Ntlm,
        "no controller for the initiator"
    );
    lab.acceptor_reaches = false;
    assert_eq!(
        lab.acceptor_failure(NEGOTIATE),
        WindowsFailure::NoController(NoController)
    );
}

#[test]
fn an_account_that_is_refused_is_refused() {
    let mut lab = Lab::new();
    lab.directory.set_disabled(&alpha(), true).expect("there");
    assert_eq!(
        lab.initiator_failure(NEGOTIATE),
        WindowsFailure::AccountDisabled(alpha())
    );
    lab.directory.set_disabled(&alpha(), false).expect("there");
    let late = WallTime::from_unix_secs(START.unix_secs() + 301);
    let (first, second) = lab.run_at(NEGOTIATE, NEGOTIATE, late, START);
    assert_eq!((first, second), (Err(WindowsFailure::ClockSkew), None));
}

#[test]
fn a_ticket_the_acceptor_cannot_open_does_not_lead_to_ntlm() {
    let mut lab = Lab::new();
    lab.directory.remove_spn(SPN, &beta()).expect("there");
    lab.directory.add_spn(SPN, &alpha()).expect("there");
    assert_eq!(
        lab.acceptor_failure(NEGOTIATE),
        WindowsFailure::WrongServiceKey(beta())
    );
}

#[test]
fn an_end_that_insists_on_one_package_refuses_the_other() {
    let package = |initiates, accepts| Lab::new().run_at(initiates, accepts, START, START).1;
    let refused = |package| Some(Err(WindowsFailure::NotThePackage(package)));
    assert_eq!(
        package(WindowsProtocol::Ntlm, WindowsProtocol::Kerberos),
        refused(Package::Kerberos)
    );
    assert_eq!(
        package(WindowsProtocol::Kerberos, WindowsProtocol::Ntlm),
        refused(Package::Ntlm)
    );
    assert_eq!(package(NEGOTIATE, WindowsProtocol::Ntlm), refused(Package::Ntlm));
    for insists in [WindowsProtocol::Ntlm, WindowsProtocol::Kerberos] {
        assert!(matches!(package(insists, NEGOTIATE), Some(Ok(_))), "{insists:?}");
    }
}
