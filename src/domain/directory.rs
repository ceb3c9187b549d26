//! What the domain controllers of a run know: domains, accounts, service principal names, trusts.
//!
//! One directory for all domains. Each domain's controller reads all of it and answers for accounts of domains that its
//! own trusts, so no controller ever asks another: a trusted domain whose controller is down goes on being validated
//! (ours, as if its accounts were replicated). Scenarios change it while a run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use thiserror::Error;

use super::account::{AccountName, Secret, Sid, domain_sid, fold};
use super::logon::Credentials;

/// The first relative identifier given to an account. Source: documented (Windows counts from 1000 too).
const FIRST_RID: u32 = 1_103;

/// A change that makes no sense, or a question about something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DirectoryError {
    #[error("the domain {0} already exists")]
    DomainExists(String),
    #[error("there is no domain {0}")]
    NoDomain(String),
    #[error("the account {0} already exists")]
    AccountExists(AccountName),
    #[error("there is no account {0}")]
    NoAccount(AccountName),
    #[error("{0} is no service principal name: write class/host:port")]
    NotASpn(String),
    #[error("the service principal name {0} is not registered to {1}")]
    SpnNotRegistered(String, AccountName),
}

/// Why a service principal name leads to no account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpnError {
    #[error("not registered")]
    Missing,
    #[error("registered to more than one account")]
    Duplicate,
}

/// One user or computer account.
#[derive(Debug, Clone)]
pub struct Account {
    name: AccountName,
    sid: Sid,
    secret: Secret,
    /// Counts the passwords the account has had; tickets name it.
    key_version: u32,
    is_disabled: bool,
    is_locked: bool,
    may_register_spns: bool,
    /// Wrong passwords in a row.
    wrong_passwords: u32,
}

impl Account {
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    pub fn sid(&self) -> Sid {
        self.sid
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    pub fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Whether a service that runs under it may register its own names. True unless changed.
    pub fn may_register_spns(&self) -> bool {
        self.may_register_spns
    }
}

#[derive(Debug, Clone)]
struct Domain {
    netbios: String,
    dns: String,
    sid: [u32; 3],
    next_rid: u32,
    /// Under which the domain's own tickets are sealed.
    ticket_key: TicketKey,
    lockout_threshold: Option<NonZeroU32>,
    accounts: BTreeMap<String, Account>,
}

#[derive(Clone)]
struct TicketKey([u8; 32]);

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
    }
}

/// Everything the domains of a run hold.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By folded NetBIOS name.
    domains: BTreeMap<String, Domain>,
    /// By folded name; more than one account is the well-known mistake.
    spns: BTreeMap<String, BTreeSet<AccountName>>,
    /// (who trusts, who is trusted), folded NetBIOS names.
    trusts: BTreeSet<(String, String)>,
}

impl Directory {
    /// Adds a domain without accounts, known by its NetBIOS and its DNS name. `rng` gives the key of its tickets.
    pub fn add_domain(
        &mut self,
        netbios: &str,
        dns: &str,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), DirectoryError> {
        if self.domains.contains_key(&fold(netbios)) {
            return Err(DirectoryError::DomainExists(netbios.to_owned()));
        }
        let mut ticket_key = [0; 32];
        rng.fill_bytes(&mut ticket_key);
        let domain = Domain {
            netbios: netbios.to_owned(),
            dns: dns.to_owned(),
            sid: domain_sid(dns),
            next_rid: FIRST_RID,
            ticket_key: TicketKey(ticket_key),
            lockout_threshold: None,
            accounts: BTreeMap::new(),
        };
        self.domains.insert(fold(netbios), domain);
        Ok(())
    }

    /// Adds a user or computer account (`name` ends with `$`) and gives it the next SID of its domain.
    pub fn add_account(&mut self, name: &AccountName, password: &str) -> Result<Sid, DirectoryError> {
        let domain = self.domain_mut(name.domain())?;
        if domain.accounts.contains_key(&fold(name.name())) {
            return Err(DirectoryError::AccountExists(name.clone()));
        }
        let sid = Sid::new(domain.sid, domain.next_rid);
        domain.next_rid += 1;
        let account = Account {
            name: AccountName::new(domain.netbios.clone(), name.name()),
            sid,
            secret: Secret::new(name, &domain.dns, password),
            key_version: 1,
            is_disabled: false,
            is_locked: false,
            may_register_spns: true,
            wrong_passwords: 0,
        };
        domain.accounts.insert(fold(name.name()), account);
        Ok(sid)
    }

    /// Removes an account and its service principal names.
    pub fn remove_account(&mut self, name: &AccountName) -> Result<(), DirectoryError> {
        let domain = self.domain_mut(name.domain())?;
        match domain.accounts.remove(&fold(name.name())) {
            None => return Err(DirectoryError::NoAccount(name.clone())),
            Some(_) => self.spns.retain(|_, accounts| {
                accounts.remove(name);
                !accounts.is_empty()
            }),
        }
        Ok(())
    }

    /// Gives an account another name in its domain. SID, password and service principal names stay, and so do the keys: they
    /// are made anew with the next password.
    pub fn rename_account(&mut self, name: &AccountName, to: &str) -> Result<(), DirectoryError> {
        let domain = self.domain_mut(name.domain())?;
        let renamed = AccountName::new(domain.netbios.clone(), to);
        if !domain.accounts.contains_key(&fold(name.name())) {
            return Err(DirectoryError::NoAccount(name.clone()));
        }
        if domain.accounts.contains_key(&fold(to)) {
            return Err(DirectoryError::AccountExists(renamed));
        }
        if let Some(mut account) = domain.accounts.remove(&fold(name.name())) {
            account.name = renamed.clone();
            domain.accounts.insert(fold(to), account);
        }
        for holders in self.spns.values_mut() {
            if holders.remove(name) {
                holders.insert(renamed.clone());
            }
        }
        Ok(())
    }

    /// Changes the password. Whoever runs with the old one finds out at the next logon.
    pub fn set_password(&mut self, name: &AccountName, password: &str) -> Result<(), DirectoryError> {
        let dns = self.domain_mut(name.domain())?.dns.clone();
        let account = self.account_mut(name)?;
        account.secret = Secret::new(&account.name, &dns, password);
        account.key_version += 1;
        account.wrong_passwords = 0;
        Ok(())
    }

    pub fn set_disabled(&mut self, name: &AccountName, is_disabled: bool) -> Result<(), DirectoryError> {
        self.account_mut(name)?.is_disabled = is_disabled;
        Ok(())
    }

    /// Lets services that run under the account register their names, or no longer.
    pub fn set_may_register_spns(&mut self, name: &AccountName, may: bool) -> Result<(), DirectoryError> {
        self.account_mut(name)?.may_register_spns = may;
        Ok(())
    }

    /// Locks an account out or unlocks it.
    pub fn set_locked(&mut self, name: &AccountName, is_locked: bool) -> Result<(), DirectoryError> {
        let account = self.account_mut(name)?;
        account.is_locked = is_locked;
        account.wrong_passwords = 0;
        Ok(())
    }

    /// How many wrong passwords in a row lock an account of the domain; `None`, the default, never.
    pub fn set_lockout_threshold(
        &mut self,
        domain: &str,
        threshold: Option<NonZeroU32>,
    ) -> Result<(), DirectoryError> {
        self.domain_mut(domain)?.lockout_threshold = threshold;
        Ok(())
    }

    /// Registers `spn` (`MSSQLSvc/host:port`) to an account, also if another has it: lookups then fail.
    pub fn add_spn(&mut self, spn: &str, name: &AccountName) -> Result<(), DirectoryError> {
        let is_spn = spn
            .split_once('/')
            .is_some_and(|(class, host)| !class.is_empty() && !host.is_empty());
        if !is_spn {
            return Err(DirectoryError::NotASpn(spn.to_owned()));
        }
        let name = self.account_mut(name)?.name.clone();
        self.spns.entry(fold(spn)).or_default().insert(name);
        Ok(())
    }

    pub fn remove_spn(&mut self, spn: &str, name: &AccountName) -> Result<(), DirectoryError> {
        let missing = || DirectoryError::SpnNotRegistered(spn.to_owned(), name.clone());
        let accounts = self.spns.get_mut(&fold(spn)).ok_or_else(missing)?;
        if !accounts.remove(name) {
            return Err(missing());
        }
        if accounts.is_empty() {
            self.spns.remove(&fold(spn));
        }
        Ok(())
    }

    /// Lets accounts of `trusted` into `trusting`; not the other way.
    pub fn add_trust(&mut self, trusting: &str, trusted: &str) -> Result<(), DirectoryError> {
        self.domain_mut(trusting)?;
        self.domain_mut(trusted)?;
        self.trusts.insert((fold(trusting), fold(trusted)));
        Ok(())
    }

    pub fn remove_trust(&mut self, trusting: &str, trusted: &str) -> Result<(), DirectoryError> {
        self.domain_mut(trusting)?;
        self.domain_mut(trusted)?;
        self.trusts.remove(&(fold(trusting), fold(trusted)));
        Ok(())
    }

    pub fn account(&self, name: &AccountName) -> Option<&Account> {
        self.domain(name.domain())?.accounts.get(&fold(name.name()))
    }

    pub fn account_by_sid(&self, sid: Sid) -> Option<&Account> {
        let accounts = self.domains.values().flat_map(|d| d.accounts.values());
        accounts.into_iter().find(|a| a.sid == sid)
    }

    /// The account and its present password, to run a service with.
    pub fn credentials(&self, name: &AccountName) -> Option<Credentials> {
        let domain = self.domain(name.domain())?;
        let account = domain.accounts.get(&fold(name.name()))?;
        Some(Credentials {
            account: account.name.clone(),
            dns_domain: domain.dns.clone(),
            secret: account.secret.clone(),
        })
    }

    /// The accounts a service principal name is registered to.
    pub fn spn_accounts(&self, spn: &str) -> impl Iterator<Item = &AccountName> {
        self.spns.get(&fold(spn)).into_iter().flatten()
    }

    /// The account a service principal name leads to.
    pub fn service(&self, spn: &str) -> Result<&Account, SpnError> {
        let mut accounts = self.spn_accounts(spn);
        match (accounts.next(), accounts.next()) {
            (None, _) => Err(SpnError::Missing),
            (Some(_), Some(_)) => Err(SpnError::Duplicate),
            (Some(name), None) => self.account(name).ok_or(SpnError::Missing),
        }
    }

    /// Whether accounts of `trusted` are let into `trusting`. Every domain trusts itself.
    pub fn trusts(&self, trusting: &str, trusted: &str) -> bool {
        let (trusting, trusted) = (fold(trusting), fold(trusted));
        self.domains.contains_key(&trusted) && trusting == trusted
            || self.trusts.contains(&(trusting, trusted))
    }

    pub fn has_domain(&self, netbios: &str) -> bool {
        self.domain(netbios).is_some()
    }

    pub(super) fn is_same_domain(&self, one: &str, other: &str) -> bool {
        self.has_domain(one) && fold(one) == fold(other)
    }

    /// The DNS name of a domain.
    pub fn dns_name(&self, netbios: &str) -> Option<&str> {
        self.domain(netbios).map(|d| d.dns.as_str())
    }

    /// The NetBIOS name of the domain with this DNS name.
    pub fn netbios_name(&self, dns: &str) -> Option<&str> {
        let mut domains = self.domains.values();
        domains
            .find(|d| fold(&d.dns) == fold(dns))
            .map(|d| d.netbios.as_str())
    }

    pub(super) fn ticket_key(&self, netbios: &str) -> Option<&[u8; 32]> {
        self.domain(netbios).map(|d| &d.ticket_key.0)
    }

    /// Counts a wrong password and locks the account where the domain wants that.
    pub(super) fn note_wrong_password(&mut self, name: &AccountName) {
        let threshold = self.domain(name.domain()).and_then(|d| d.lockout_threshold);
        if let Ok(account) = self.account_mut(name) {
            account.wrong_passwords = account.wrong_passwords.saturating_add(1);
            if threshold.is_some_and(|t| account.wrong_passwords >= t.get()) {
                account.is_locked = true;
            }
        }
    }

    pub(super) fn note_right_password(&mut self, name: &AccountName) {
        if let Ok(account) = self.account_mut(name) {
            account.wrong_passwords = 0;
        }
    }

    fn domain(&self, netbios: &str) -> Option<&Domain> {
        self.domains.get(&fold(netbios))
    }

    fn domain_mut(&mut self, netbios: &str) -> Result<&mut Domain, DirectoryError> {
        let missing = || DirectoryError::NoDomain(netbios.to_owned());
        self.domains.get_mut(&fold(netbios)).ok_or_else(missing)
    }

    fn account_mut(&mut self, name: &AccountName) -> Result<&mut Account, DirectoryError> {
        let domain = self.domain_mut(name.domain())?;
        let account = domain.accounts.get_mut(&fold(name.name()));
        account.ok_or_else(|| DirectoryError::NoAccount(name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        directory.add_domain("A", "a.example", &mut rng).expect("new");
        directory.add_domain("B", "b.example", &mut rng).expect("new");
        directory
    }

    #[test]
    fn accounts_get_their_own_sids_in_order() {
        let mut directory = directory();
        let (one, two) = (AccountName::new("a", "one"), AccountName::new("A", "two"));
        let first = directory.add_account(&one, "x").expect("added");
        let second = directory.add_account(&two, "x").expect("added");
        assert!(first < second, "{first} {second}");
        assert_eq!(directory.account_by_sid(second).map(Account::name), Some(&two));
        assert_eq!(
            directory.add_account(&AccountName::new("A", "ONE"), "y"),
            Err(DirectoryError::AccountExists(AccountName::new("A", "one")))
        );
        let nowhere = AccountName::new("C", "one");
        assert_eq!(
            directory.add_account(&nowhere, "y"),
            Err(DirectoryError::NoDomain("C".to_owned()))
        );
    }

    #[test]
    fn a_name_registered_twice_leads_nowhere_until_one_is_removed() {
        let mut directory = directory();
        let (one, two) = (AccountName::new("A", "one"), AccountName::new("A", "two"));
        for name in [&one, &two] {
            directory.add_account(name, "x").expect("added");
        }
        let spn = "MSSQLSvc/alpha.a.example:5022";
        assert!(matches!(directory.service(spn), Err(SpnError::Missing)));
        directory.add_spn(spn, &one).expect("added");
        directory
            .add_spn("mssqlsvc/ALPHA.a.example:5022", &two)
            .expect("added");
        assert!(matches!(directory.service(spn), Err(SpnError::Duplicate)));
        directory.remove_spn(spn, &one).expect("removed");
        assert_eq!(directory.service(spn).map(Account::name), Ok(&two));
        assert!(directory.remove_spn(spn, &one).is_err());
        directory.remove_account(&two).expect("removed");
        assert!(matches!(directory.service(spn), Err(SpnError::Missing)));
        assert!(directory.add_spn("alpha", &one).is_err());
    }

    #[test]
    fn a_trust_goes_one_way() {
        let mut directory = directory();
        assert!(directory.trusts("A", "a"));
        assert!(!directory.trusts("C", "C"));
        directory.add_trust("A", "B").expect("added");
        assert!(directory.trusts("a", "b"));
        assert!(!directory.trusts("B", "A"));
        directory.remove_trust("A", "B").expect("removed");
        assert!(!directory.trusts("A", "B"));
    }

    #[test]
    fn wrong_passwords_in_a_row_lock_where_the_domain_says_so() {
        let mut directory = directory();
        let one = AccountName::new("A", "one");
        directory.add_account(&one, "x").expect("added");
        let locked = |d: &Directory| d.account(&one).expect("there").is_locked();
        for _ in 0..10 {
            directory.note_wrong_password(&one);
        }
        assert!(!locked(&directory));
        directory
            .set_lockout_threshold("A", NonZeroU32::new(2))
            .expect("set");
        directory.note_right_password(&one);
        directory.note_wrong_password(&one);
        directory.note_right_password(&one);
        directory.note_wrong_password(&one);
        assert!(!locked(&directory));
        directory.note_wrong_password(&one);
        assert!(locked(&directory));
        directory.set_locked(&one, false).expect("unlocked");
        assert!(!locked(&directory));
    }

    #[test]
    fn a_renamed_account_is_the_same_account() {
        let mut directory = directory();
        let (one, two) = (AccountName::new("A", "one"), AccountName::new("A", "two"));
        let sid = directory.add_account(&one, "x").expect("added");
        directory.add_account(&two, "x").expect("added");
        directory.add_spn("MSSQLSvc/host:7022", &one).expect("added");
        let before = directory.credentials(&one).expect("there");
        assert_eq!(
            directory.rename_account(&one, "TWO"),
            Err(DirectoryError::AccountExists(two))
        );
        directory.rename_account(&one, "three").expect("free");
        assert_eq!(
            directory.rename_account(&one, "four"),
            Err(DirectoryError::NoAccount(one))
        );
        let three = AccountName::new("A", "three");
        let service = directory.service("MSSQLSvc/host:7022").expect("its name moved");
        assert_eq!((service.name(), service.sid()), (&three, sid));
        let after = directory.credentials(&three).expect("there");
        assert_eq!(after.secret, before.secret);
    }

    #[test]
    fn a_changed_password_changes_the_credentials_given_from_then_on() {
        let mut directory = directory();
        let one = AccountName::new("A", "one");
        directory.add_account(&one, "x").expect("added");
        let before = directory.credentials(&one).expect("there");
        directory.set_password(&one, "y").expect("changed");
        let after = directory.credentials(&one).expect("there");
        assert_ne!(before.secret, after.secret);
        assert_eq!(directory.account(&one).map(Account::key_version), Some(2));
    }
}
