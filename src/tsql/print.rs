//! Statements about endpoints, printed so that they read back as themselves.

use std::fmt;

use super::ast::*;
use super::token::is_reserved;

impl Name {
    /// The name as a statement writes it: in brackets unless it is a regular identifier.
    pub fn quoted(&self) -> String {
        let mut chars = self.text.chars();
        let regular = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !is_reserved(&self.text);
        if regular {
            self.text.clone()
        } else {
            format!("[{}]", self.text.replace(']', "]]"))
        }
    }
}

impl fmt::Display for CreateEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE ENDPOINT {}", self.name.quoted())?;
        if let Some(owner) = &self.authorization {
            write!(f, " AUTHORIZATION {}", owner.quoted())?;
        }
        if let Some(state) = self.state {
            write!(f, " STATE = {state}")?;
        }
        write!(f, " AS TCP (LISTENER_PORT = {}", self.listener_port)?;
        if let Some(ip) = self.listener_ip {
            write!(f, ", LISTENER_IP = {ip}")?;
        }
        match &self.payload {
            CreatePayload::DatabaseMirroring { options, role } => {
                let mut list = options.list();
                list.push(format!("ROLE = {role}"));
                write!(f, ") FOR DATABASE_MIRRORING ({})", list.join(", "))
            }
            CreatePayload::ServiceBroker(options) => {
                write!(f, ") FOR SERVICE_BROKER ({})", options.list().join(", "))
            }
            CreatePayload::Tsql => f.write_str(") FOR TSQL ()"),
        }
    }
}

impl fmt::Display for AlterEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER ENDPOINT {}", self.name.quoted())?;
        if let Some(state) = self.state {
            write!(f, " STATE = {state}")?;
        }
        let port = self.listener_port.map(|port| format!("LISTENER_PORT = {port}"));
        let ip = self.listener_ip.map(|ip| format!("LISTENER_IP = {ip}"));
        let tcp: Vec<String> = port.into_iter().chain(ip).collect();
        if !tcp.is_empty() {
            write!(f, " AS TCP ({})", tcp.join(", "))?;
        }
        match &self.payload {
            Some(AlterPayload::DatabaseMirroring { options, role }) => {
                let mut list = options.list();
                list.extend(role.map(|role| format!("ROLE = {role}")));
                write!(f, " FOR DATABASE_MIRRORING ({})", list.join(", "))
            }
            Some(AlterPayload::ServiceBroker(options)) => {
                write!(f, " FOR SERVICE_BROKER ({})", options.list().join(", "))
            }
            Some(AlterPayload::Tsql) => f.write_str(" FOR TSQL ()"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PermissionStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, to, after) = match self.action {
            PermissionAction::Grant {
                with_grant_option: true,
            } => ("GRANT", "TO", " WITH GRANT OPTION"),
            PermissionAction::Grant {
                with_grant_option: false,
            } => ("GRANT", "TO", ""),
            PermissionAction::Deny { cascade } => ("DENY", "TO", if cascade { " CASCADE" } else { "" }),
            PermissionAction::Revoke {
                grant_option_for: true,
                cascade,
            } => (
                "REVOKE GRANT OPTION FOR",
                "FROM",
                if cascade { " CASCADE" } else { "" },
            ),
            PermissionAction::Revoke {
                grant_option_for: false,
                cascade,
            } => ("REVOKE", "FROM", if cascade { " CASCADE" } else { "" }),
        };
        let permissions: Vec<&str> = self.permissions.iter().map(|p| p.name()).collect();
        let principals: Vec<String> = self.principals.iter().map(Name::quoted).collect();
        write!(
            f,
            "{verb} {}{} {to} {}{after}",
            permissions.join(", "),
            self.on,
            principals.join(", ")
        )?;
        match &self.grantor {
            Some(grantor) => write!(f, " AS {}", grantor.quoted()),
            None => Ok(()),
        }
    }
}

/// With a blank before it, so that the server is nothing.
impl fmt::Display for Securable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Securable::Server => Ok(()),
            Securable::Login(name) => write!(f, " ON LOGIN::{}", name.quoted()),
            Securable::Endpoint(name) => write!(f, " ON ENDPOINT::{}", name.quoted()),
        }
    }
}

impl TransportOptions {
    fn list(&self) -> Vec<String> {
        let authentication = self
            .authentication
            .iter()
            .map(|a| format!("AUTHENTICATION = {a}"));
        let encryption = self.encryption.iter().map(|e| format!("ENCRYPTION = {e}"));
        authentication.chain(encryption).collect()
    }
}

impl BrokerOptions {
    fn list(&self) -> Vec<String> {
        let mut list = self.transport.list();
        if let Some(on) = self.message_forwarding {
            list.push(format!(
                "MESSAGE_FORWARDING = {}",
                if on { "ENABLED" } else { "DISABLED" }
            ));
        }
        list.extend(
            self.message_forward_size
                .map(|size| format!("MESSAGE_FORWARD_SIZE = {size}")),
        );
        list
    }
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authentication::Windows(method) => write!(f, "WINDOWS {method}"),
            Authentication::Certificate(name) => write!(f, "CERTIFICATE {}", name.quoted()),
            Authentication::WindowsThenCertificate(method, name) => {
                write!(f, "WINDOWS {method} CERTIFICATE {}", name.quoted())
            }
            Authentication::CertificateThenWindows(name, method) => {
                write!(f, "CERTIFICATE {} WINDOWS {method}", name.quoted())
            }
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, algorithm) = match self {
            Encryption::Disabled => ("DISABLED", None),
            Encryption::Supported(algorithm) => ("SUPPORTED", *algorithm),
            Encryption::Required(algorithm) => ("REQUIRED", *algorithm),
        };
        f.write_str(word)?;
        match algorithm {
            Some(algorithm) => write!(f, " ALGORITHM {algorithm}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ListenerIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenerIp::All => f.write_str("ALL"),
            ListenerIp::Address(std::net::IpAddr::V4(ip)) => write!(f, "({ip})"),
            ListenerIp::Address(std::net::IpAddr::V6(ip)) => write!(f, "('{ip}')"),
        }
    }
}

macro_rules! words {
    ($($kind:ident { $($variant:ident => $word:literal),* })*) => {
        $(impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($kind::$variant => $word),* })
            }
        })*
    };
}
words! {
    EndpointState { Started => "STARTED", Stopped => "STOPPED", Disabled => "DISABLED" }
    EndpointRole { Witness => "WITNESS", Partner => "PARTNER", All => "ALL" }
    WindowsMethod { Ntlm => "NTLM", Kerberos => "KERBEROS", Negotiate => "NEGOTIATE" }
    Algorithm { Aes => "AES", Rc4 => "RC4", AesRc4 => "AES RC4", Rc4Aes => "RC4 AES" }
    RecoveryModel { Full => "FULL", Simple => "SIMPLE", BulkLogged => "BULK_LOGGED" }
}
