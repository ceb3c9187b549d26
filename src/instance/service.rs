//! As whom an instance runs: its service account, and the domain its system is a member of.

use std::collections::BTreeSet;

use crate::domain::{Credentials, LogonSession, ServiceAccount, Sid};
use crate::error::msg;
use crate::types::ServerAddress;

use super::Instance;
use super::catalog::{Login, LoginKind, SERVICE_LOGIN_ID, ServerRole};

/// What Windows gives a service at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub account: ServiceAccount,
    /// What it authenticates to others with; `None` for an account that is nobody on the network.
    pub session: Option<LogonSession>,
    /// The security identifier of the account behind `session`.
    pub sid: Option<Sid>,
    /// The account of the system itself, by which it asks the controller of its domain.
    pub computer: Option<Credentials>,
    /// Where the controller of the system's domain is asked; `None` without one.
    pub controller: Option<ServerAddress>,
}

impl Default for Service {
    /// Local System on a system of no domain.
    fn default() -> Self {
        Service {
            account: ServiceAccount::LocalSystem,
            session: None,
            sid: None,
            computer: None,
            controller: None,
        }
    }
}

impl Instance {
    /// The service account is an administrator of its own instance, so that instances under one account need nothing to
    /// be set up for each other. Source: documented, *Set Up Login Accounts*.
    pub(super) fn enter_service_login(&mut self) {
        let service = &self.config.service;
        let (Some(session), Some(sid)) = (&service.session, service.sid) else {
            return;
        };
        let name = session.service().account.to_string();
        let sid = sid.to_bytes().to_vec();
        if self
            .catalog
            .logins()
            .any(|l| l.kind == LoginKind::Windows && l.sid == sid)
        {
            return;
        }
        self.catalog.put_login(Login {
            name,
            id: SERVICE_LOGIN_ID,
            kind: LoginKind::Windows,
            disabled: false,
            created: self.now.wall,
            sid,
            roles: BTreeSet::from([ServerRole::Sysadmin]),
            certificate: None,
            modified: None,
            default_database: None,
            default_language: None,
        });
    }

    /// Say what the service account means for an endpoint that names Windows authentication.
    pub(super) fn advise_on_account(&mut self) {
        let names_windows = self
            .catalog
            .endpoint()
            .is_some_and(|e| e.config.authentication.windows().is_some());
        if !names_windows {
            return;
        }
        let service = &self.config.service;
        let advice = match (&service.session, &service.account) {
            (None, account) => msg::WINDOWS_IMPOSSIBLE.with(&[account]),
            (Some(session), ServiceAccount::NetworkService) => {
                msg::NETWORK_SERVICE_ADVISED.with(&[&session.service().account])
            }
            (Some(_), _) => return,
        };
        self.log_error(&advice);
    }
}
