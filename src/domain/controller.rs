//! The domain controller: a function from request bytes to answer bytes over the directory.
//!
//! It answers for its own domain: for member systems of it, and about accounts of domains it trusts. To what it does not
//! understand it answers with nothing to read. Source: documented where the parts say so; what it replicates, ours
//! (`directory`).

use rand_chacha::ChaCha20Rng;

use super::account::{AccountName, WindowsIdentity};
use super::directory::{Account, Directory};
use super::kerberos;
use super::ntlm;
use super::query::{Answer, Asked, QUERY, Query, Refusal, Validation};
use crate::types::WallTime;

/// The controller of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// The NetBIOS name of its domain.
    domain: String,
}

impl Controller {
    pub fn new(domain: impl Into<String>) -> Self {
        Controller {
            domain: domain.into(),
        }
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The answer to one request, whatever its bytes; empty if it is none.
    ///
    /// `now` is the clock of the controller's system. The directory changes: wrong passwords are counted, names
    /// registered.
    pub fn answer(
        &mut self,
        directory: &mut Directory,
        request: &[u8],
        now: WallTime,
        rng: &mut ChaCha20Rng,
    ) -> Vec<u8> {
        match request.split_first() {
            Some((&QUERY, question)) => self.answer_query(directory, question).unwrap_or_default(),
            _ => kerberos::answer(&self.domain, directory, request, now, rng),
        }
    }

    /// `None` for a system that is no member of the domain or has another password.
    fn answer_query(&self, directory: &mut Directory, question: &[u8]) -> Option<Vec<u8>> {
        let asked = Asked::decode(question).ok()?;
        if !directory.is_same_domain(asked.computer.domain(), &self.domain) {
            return None;
        }
        let computer = directory.account(&asked.computer)?;
        if computer.is_disabled() {
            return None;
        }
        let nt_hash = *computer.secret().nt();
        let answer = match asked.open(&nt_hash)? {
            Query::Validate(validation) => self.validate(directory, &validation),
            Query::Lookup(account) => self
                .known(directory, &account)
                .map(|a| Answer::Found(identity(a))),
            Query::RegisterSpn { spn, account } => self.register(directory, &spn, &account),
        };
        Some(asked.answer(&nt_hash, &answer))
    }

    /// The account, if its domain is trusted here.
    fn known<'a>(&self, directory: &'a Directory, name: &AccountName) -> Result<&'a Account, Refusal> {
        if !directory.trusts(&self.domain, name.domain()) {
            return Err(Refusal::NoTrust);
        }
        directory.account(name).ok_or(Refusal::NoSuchAccount)
    }

    fn validate(&self, directory: &mut Directory, asked: &Validation) -> Result<Answer, Refusal> {
        let account = self.known(directory, &asked.account)?;
        if account.is_locked() {
            return Err(Refusal::Locked);
        }
        let nt_hash = account.secret().nt();
        let checked = ntlm::check_response(
            nt_hash,
            &asked.account,
            &asked.server_challenge,
            &asked.nt_response,
        );
        let Some(base_key) = checked else {
            directory.note_wrong_password(&asked.account);
            return Err(Refusal::WrongPassword);
        };
        if account.is_disabled() {
            return Err(Refusal::Disabled);
        }
        let identity = identity(account);
        directory.note_right_password(&asked.account);
        Ok(Answer::Validated { identity, base_key })
    }

    fn register(&self, directory: &mut Directory, spn: &str, name: &AccountName) -> Result<Answer, Refusal> {
        let account = self.known(directory, name)?;
        let is_elsewhere = directory.spn_accounts(spn).any(|holder| holder != name);
        if is_elsewhere || !account.may_register_spns() {
            return Err(Refusal::SpnRefused);
        }
        match directory.add_spn(spn, name) {
            Ok(()) => Ok(Answer::SpnRegistered),
            Err(_) => Err(Refusal::SpnRefused),
        }
    }
}

fn identity(account: &Account) -> WindowsIdentity {
    WindowsIdentity {
        account: account.name().clone(),
        sid: account.sid(),
    }
}
