//! Windows authentication: NTLM, Kerberos or what NEGOTIATE makes of them, between two service accounts.
//!
//! The packages themselves are `domain`'s. What this file adds: the service principal name the acceptor is asked for by,
//! the login an account has here, found by its SID, and keys derived from the packages' secret. Source: documented,
//! *Transport Security* (the credentials of the service account, login and CONNECT in `master`); the form of the
//! principal name is field knowledge; the derivation is ours.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::{
    self, Acceptor, Done, Initiator, LogonSession, NoController, Package, WindowsIdentity, WindowsProtocol,
};
use crate::types::{ServerAddress, WallTime};

use super::super::config::{Method, WindowsMethod};
use super::super::error::LoginError;
use super::super::local::{LocalEndpoint, Side};
use super::{Mechanism, Principal, Step};

/// The name by which Kerberos knows the endpoint on `port` of a host. Source: field, *Transport Security*.
pub fn service_principal_name(fqdn: &str, port: u16) -> String {
    format!("MSSQLSvc/{}:{port}", fqdn.to_lowercase())
}

/// One side of a Windows exchange.
pub struct WindowsExchange {
    running: Running,
    local: Arc<LocalEndpoint>,
    /// Of the acceptor, where this side is the initiator.
    target: String,
    done: Option<Finished>,
}

enum Running {
    /// Begun, and the first step not taken yet.
    Begun(Initiator, domain::Step),
    Initiator(Initiator),
    Acceptor(Acceptor),
    Over,
}

struct Finished {
    secret: [u8; 32],
    peer: Option<WindowsIdentity>,
    package: Package,
}

impl fmt::Debug for WindowsExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowsExchange")
            .field("target", &self.target)
            .field("done", &self.done.is_some())
            .finish_non_exhaustive()
    }
}

impl WindowsExchange {
    /// `far` is the server network address the initiator connected to.
    ///
    /// # Errors
    /// If the service account is nobody on the network.
    pub fn begin(
        method: WindowsMethod,
        side: Side,
        local: &Arc<LocalEndpoint>,
        far: &str,
        seed: [u8; 32],
        wall: WallTime,
    ) -> Result<Self, LoginError> {
        let session = usable_session(local)?;
        let protocol = protocol(method);
        let target = match side {
            Side::Initiator => target(far, &local.windows.dns_suffix),
            Side::Acceptor => String::new(),
        };
        let running = match side {
            Side::Initiator => {
                let (initiator, step) = Initiator::start(protocol, session, &target, seed, wall);
                Running::Begun(initiator, step)
            }
            Side::Acceptor => Running::Acceptor(Acceptor::new(protocol, session, seed)),
        };
        Ok(WindowsExchange {
            running,
            local: Arc::clone(local),
            target,
            done: None,
        })
    }

    fn went(&mut self, step: domain::Step) -> Result<Step, LoginError> {
        match step {
            domain::Step::AskController(request) => Ok(Step::AskController(request)),
            domain::Step::Token(token) => Ok(Step::Continue(token)),
            domain::Step::Done(Done {
                token,
                secret,
                peer,
                package,
            }) => {
                self.running = Running::Over;
                self.done = Some(Finished {
                    secret,
                    peer,
                    package,
                });
                Ok(Step::Finished(token))
            }
            domain::Step::Failed(failure) => {
                self.running = Running::Over;
                Err(LoginError::Windows(failure))
            }
        }
    }
}

impl Mechanism for WindowsExchange {
    fn step(&mut self, wall: WallTime, token: Option<&[u8]>) -> Result<Step, LoginError> {
        let running = std::mem::replace(&mut self.running, Running::Over);
        let step = match (running, token) {
            (Running::Begun(initiator, step), None) => {
                self.running = Running::Initiator(initiator);
                step
            }
            (Running::Initiator(mut initiator), Some(token)) => {
                let step = initiator.token(token, wall);
                self.running = Running::Initiator(initiator);
                step
            }
            (Running::Acceptor(mut acceptor), Some(token)) => {
                let step = acceptor.token(token, wall);
                self.running = Running::Acceptor(acceptor);
                step
            }
            _ => return Err(LoginError::Exchange("it is over".to_owned())),
        };
        self.went(step)
    }

    fn answered(&mut self, wall: WallTime, answer: Result<&[u8], NoController>) -> Result<Step, LoginError> {
        let step = match &mut self.running {
            Running::Initiator(initiator) => initiator.answered(answer, wall),
            Running::Acceptor(acceptor) => acceptor.answered(answer, wall),
            Running::Begun(..) | Running::Over => {
                return Err(LoginError::Exchange("nobody was asked".to_owned()));
            }
        };
        self.went(step)
    }

    fn method(&self, agreed: Method) -> Method {
        match &self.done {
            Some(done) => Method::Windows(match done.package {
                Package::Ntlm => WindowsMethod::Ntlm,
                Package::Kerberos => WindowsMethod::Kerberos,
            }),
            None => agreed,
        }
    }

    fn export(&self, label: &'static str, context: &[u8], secret: &mut [u8]) -> Result<(), LoginError> {
        let unfinished = || LoginError::Exchange("it is not finished".to_owned());
        let done = self.done.as_ref().ok_or_else(unfinished)?;
        for (counter, block) in (0u32..).zip(secret.chunks_mut(32)) {
            let mut mac =
                <Hmac<Sha256> as KeyInit>::new_from_slice(&done.secret).expect("a key of any length will do");
            mac.update(&counter.to_be_bytes());
            mac.update(&(label.len() as u64).to_be_bytes());
            mac.update(label.as_bytes());
            mac.update(context);
            block.copy_from_slice(&mac.finalize().into_bytes()[..block.len()]);
        }
        Ok(())
    }

    fn peer(&self) -> Option<Principal> {
        let done = self.done.as_ref()?;
        let Some(identity) = &done.peer else {
            // The initiator knows the acceptor as the service it asked for, and nothing more.
            return Some(Principal {
                name: self.target.clone(),
                has_login: true,
                connect: true,
                certificate_id: None,
                certificate: None,
                remote_user: None,
            });
        };
        let account = identity.account.to_string();
        let sid = identity.sid.to_bytes();
        let login = self.local.windows.logins.iter().find(|l| l.sid == sid);
        Some(Principal {
            name: login.map_or_else(|| account.clone(), |l| l.name.clone()),
            has_login: login.is_some(),
            connect: login.is_some_and(|l| l.connect),
            certificate_id: None,
            certificate: None,
            remote_user: Some(account),
        })
    }
}

const fn protocol(method: WindowsMethod) -> WindowsProtocol {
    match method {
        WindowsMethod::Ntlm => WindowsProtocol::Ntlm,
        WindowsMethod::Kerberos => WindowsProtocol::Kerberos,
        WindowsMethod::Negotiate => WindowsProtocol::Negotiate,
    }
}

fn usable_session(local: &LocalEndpoint) -> Result<&LogonSession, LoginError> {
    let nobody = || LoginError::NobodyOnTheNetwork(local.windows.account.clone());
    local.windows.session.as_ref().ok_or_else(nobody)
}

/// A host without dots is one of this system's own domain. An IP address stays one, and nobody registers those.
fn target(far: &str, dns_suffix: &str) -> String {
    let Ok(address) = far.parse::<ServerAddress>() else {
        return far.to_owned();
    };
    let host = address.host();
    let is_whole = host.contains(['.', ':']) || dns_suffix.is_empty();
    match is_whole {
        true => service_principal_name(host, address.port()),
        false => service_principal_name(&format!("{host}.{dns_suffix}"), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_asked_for_by_its_full_name() {
        let spn = "MSSQLSvc/beta.lab.example:7022";
        assert_eq!(target("TCP://beta:7022", "lab.example"), spn);
        assert_eq!(target("TCP://BETA.Lab.Example:7022", "other.example"), spn);
        assert_eq!(
            target("TCP://10.0.0.2:7022", "lab.example"),
            "MSSQLSvc/10.0.0.2:7022"
        );
        assert_eq!(target("TCP://beta:7022", ""), "MSSQLSvc/beta:7022");
    }
}
