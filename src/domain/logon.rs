//! The accounts under which a service runs, and what the operating system remembers for it while it runs.
//!
//! A [`LogonSession`] begins when a service starts and keeps the password it was started with: if the account's password
//! is changed meanwhile, the service goes on with the old one until it is started again. Tickets live as long. Source: documented (Windows
//! services log on once, at start).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{AccountName, Secret};
use super::kerberos::Cache;

/// An account and the password somebody holds for it, right or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub account: AccountName,
    /// The DNS name of the account's domain.
    pub dns_domain: String,
    pub secret: Secret,
}

impl Credentials {
    pub fn new(account: AccountName, dns_domain: impl Into<String>, password: impl Into<String>) -> Self {
        let dns_domain = dns_domain.into();
        Credentials {
            secret: Secret::new(&account, &dns_domain, password),
            account,
            dns_domain,
        }
    }
}

/// One running service as its system's security authority sees it. Clones are the same session.
///
/// `service` is whom it authenticates as and accepts for (Network Service: the computer account); `computer` is the
/// account by which its system asks the domain controller.
#[derive(Clone)]
pub struct LogonSession(Arc<Inner>);

struct Inner {
    service: Credentials,
    computer: Credentials,
    /// Shared by all exchanges of the service, like the system's ticket cache.
    cache: Mutex<Cache>,
}

impl LogonSession {
    pub fn new(service: Credentials, computer: Credentials) -> Self {
        LogonSession(Arc::new(Inner {
            service,
            computer,
            cache: Mutex::default(),
        }))
    }

    /// What is remembered of Kerberos. Held for one call, never across two.
    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn service(&self) -> &Credentials {
        &self.0.service
    }

    pub fn computer(&self) -> &Credentials {
        &self.0.computer
    }

    /// The NetBIOS name of the system: its computer account without the `$`.
    pub fn computer_name(&self) -> &str {
        let name = self.computer().account.name();
        name.strip_suffix('$').unwrap_or(name)
    }

    /// The DNS name of the system.
    pub fn dns_name(&self) -> String {
        format!(
            "{}.{}",
            self.computer_name().to_lowercase(),
            self.computer().dns_domain
        )
    }
}

impl fmt::Debug for LogonSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "LogonSession({} on {})",
            self.service().account,
            self.computer().account
        )
    }
}

/// Two sessions are equal if they were started with the same credentials.
impl PartialEq for LogonSession {
    fn eq(&self, other: &Self) -> bool {
        (self.service(), self.computer()) == (other.service(), other.computer())
    }
}

impl Eq for LogonSession {}
