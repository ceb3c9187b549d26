//! What systems ask their controller apart from logons.

use super::*;

fn ask(lab: &mut Lab, query: &Query) -> Result<Answer, WindowsFailure> {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let (channel, request) = Channel::ask(lab.beta.computer(), &mut rng, query);
    let answer = lab.ask(&request, true, START).expect("reached");
    channel.read(&answer)
}

#[test]
fn accounts_are_found_where_the_domain_is_trusted() {
    let mut lab = Lab::new();
    let sid = lab.directory.account(&alpha()).expect("there").sid();
    let found = WindowsIdentity {
        account: alpha(),
        sid,
    };
    assert_eq!(ask(&mut lab, &Query::Lookup(alpha())), Ok(Answer::Found(found)));
    let missing = AccountName::new("ADVENTURE", "nobody");
    assert_eq!(
        ask(&mut lab, &Query::Lookup(missing.clone())),
        Err(WindowsFailure::NoSuchAccount(missing))
    );
    assert_eq!(
        ask(&mut lab, &Query::Lookup(foreign())),
        Err(WindowsFailure::NoTrust(foreign()))
    );
}

#[test]
fn a_name_is_registered_once_and_only_by_who_may() {
    let mut lab = Lab::new();
    let register = |account: AccountName, port: u16| Query::RegisterSpn {
        spn: format!("MSSQLSvc/beta.adventure-works.com:{port}"),
        account,
    };
    assert_eq!(ask(&mut lab, &register(beta(), 5022)), Ok(Answer::SpnRegistered));
    assert_eq!(ask(&mut lab, &register(beta(), 7022)), Ok(Answer::SpnRegistered));
    assert_eq!(
        ask(&mut lab, &register(alpha(), 7022)),
        Err(WindowsFailure::SpnRefused(alpha()))
    );
    lab.directory
        .set_may_register_spns(&alpha(), false)
        .expect("there");
    assert_eq!(
        ask(&mut lab, &register(alpha(), 7023)),
        Err(WindowsFailure::SpnRefused(alpha()))
    );
}
