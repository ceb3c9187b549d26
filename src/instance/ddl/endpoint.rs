//! `CREATE`, `ALTER` and `DROP ENDPOINT … FOR DATABASE_MIRRORING`.
//!
//! Reconfiguring an endpoint restarts it, which its peers take for a hard error: whatever is changed, the ROLE included, a
//! peer would go on with what it was told at its login. Source: documented that it might (*ALTER ENDPOINT*); that it always
//! does is ours.

use super::super::Instance;
use super::super::batch::{StatementResult, Then};
use super::super::catalog::{Endpoint, PrivateKey};
use super::super::options::Edition;
use super::permissions::{BUILT_IN_ENDPOINTS, is_built_in, not_found};
use crate::crypto::certificate;
use crate::endpoint::config::{
    Algorithm, Algorithms, Authentication, Encryption, EndpointConfig, EndpointRole, EndpointState,
    ListenerIp, ListenerPort, WindowsMethod,
};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{self, AlterEndpoint, AlterPayload, CreateEndpoint, CreatePayload};
use crate::types::{ConnectionId, EndpointEvent};

/// What no endpoint's name may begin with. Source: documented that there is one (7869); which is ours.
const RESERVED_PREFIX: &str = "##MS_";

/// Whether it is the endpoint of the dedicated administrator connection.
fn is_admin(endpoint: &str) -> bool {
    BUILT_IN_ENDPOINTS[0].eq_ignore_ascii_case(endpoint)
}

/// Whether an endpoint may be created under this name, whatever endpoints there are.
///
/// Errors: 7869 reserved, 7864 the administrator's, 15530 a built-in one.
pub fn check_new_endpoint(name: &str) -> Result<(), SqlError> {
    if name.to_ascii_uppercase().starts_with(RESERVED_PREFIX) {
        return Err(msg::RESERVED_ENDPOINT_NAME.with(&[&name, &RESERVED_PREFIX]));
    }
    if is_admin(name) {
        return Err(msg::ADMIN_ENDPOINT.error());
    }
    match is_built_in(name) {
        true => Err(msg::NAME_TAKEN.with(&[&"endpoint", &name])),
        false => Ok(()),
    }
}

/// Whether an endpoint of this name may be altered at all.
///
/// Errors: 7864 the administrator's, 40517 another built-in one.
pub fn check_altered_endpoint(name: &str) -> Result<(), SqlError> {
    if is_admin(name) {
        return Err(msg::ADMIN_ENDPOINT.error());
    }
    match is_built_in(name) {
        true => Err(msg::NOT_SUPPORTED.with(&[&"ALTER ENDPOINT of a built-in endpoint"])),
        false => Ok(()),
    }
}

impl Instance {
    pub(super) fn create_endpoint(
        &mut self,
        connection: ConnectionId,
        create: &CreateEndpoint,
    ) -> StatementResult {
        let CreatePayload::DatabaseMirroring { options, role } = &create.payload else {
            return Err(msg::NOT_SUPPORTED.with(&[&"an endpoint that is not FOR DATABASE_MIRRORING"]));
        };
        let name = create.name.as_str();
        check_new_endpoint(name)?;
        if self.catalog.endpoint_named(name).is_some() {
            return Err(msg::NAME_TAKEN.with(&[&"endpoint", &create.name]));
        }
        if self.catalog.endpoint().is_some() {
            return Err(msg::ENDPOINT_TYPE_EXISTS.error());
        }
        let caller = self.caller(connection);
        let owner = match &create.authorization {
            None => caller.to_owned(),
            Some(name) => {
                let login = self.catalog.login(name.as_str());
                let login = login.filter(|l| self.catalog.may_impersonate(caller, &l.name));
                login.ok_or_else(|| not_found("login", name))?.name.clone()
            }
        };
        let default = self.config.options.default_algorithms();
        let config = EndpointConfig {
            name: create.name.text.clone(),
            state: create.state.map(state).unwrap_or_default(),
            port: ListenerPort::try_from(i64::from(create.listener_port))?,
            ip: create.listener_ip.map(ip).unwrap_or_default(),
            authentication: options
                .authentication
                .as_ref()
                .map(authentication)
                .unwrap_or_default(),
            encryption: match options.encryption {
                Some(written) => encryption(written, default),
                None => Encryption::Required(default),
            },
            role: endpoint_role(*role),
        };
        self.check_options(&config)?;
        self.check_certificate(&config)?;
        let id = self.catalog.next_endpoint_id();
        self.catalog.put_endpoint(Endpoint { id, owner, config });
        self.persist(connection, Then::Endpoint { restart: None })
    }

    pub(super) fn alter_endpoint(
        &mut self,
        connection: ConnectionId,
        alter: &AlterEndpoint,
    ) -> StatementResult {
        let name = &alter.name;
        check_altered_endpoint(name.as_str())?;
        let default = self.config.options.default_algorithms();
        let endpoint = self.catalog.endpoint_named(name.as_str()).cloned();
        let mut endpoint =
            endpoint.ok_or_else(|| msg::CANNOT_FIND.with(&[&"endpoint", name]).at(name.span))?;
        let before = endpoint.config.clone();
        let config = &mut endpoint.config;
        if let Some(new) = alter.state {
            config.state = state(new);
        }
        if let Some(port) = alter.listener_port {
            config.port = ListenerPort::try_from(i64::from(port))?;
        }
        if let Some(new) = alter.listener_ip {
            config.ip = ip(new);
        }
        match &alter.payload {
            None => {}
            Some(AlterPayload::DatabaseMirroring { options, role }) => {
                if let Some(new) = &options.authentication {
                    config.authentication = authentication(new);
                }
                if let Some(new) = options.encryption {
                    config.encryption = encryption(new, default);
                }
                if let Some(new) = role {
                    config.role = endpoint_role(*new);
                }
            }
            Some(_) => return Err(msg::CANNOT_CHANGE_PROTOCOL.error()),
        }
        let names_certificate = matches!(
            &alter.payload,
            Some(AlterPayload::DatabaseMirroring { options, .. }) if options.authentication.is_some()
        );
        self.check_options(config)?;
        if names_certificate || config.state == EndpointState::Started && config.state != before.state {
            self.check_certificate(config)?;
        }
        let change = describe(&before, config);
        let restarted = *config != before;
        self.catalog.put_endpoint(endpoint);
        self.emit(EndpointEvent::Altered { change, restarted });
        let restart = restarted.then(|| msg::ENDPOINT_DISABLED_OR_STOPPED.error());
        self.persist(connection, Then::Endpoint { restart })
    }

    pub(super) fn drop_endpoint(&mut self, connection: ConnectionId, name: &str) -> StatementResult {
        if is_built_in(name) {
            return Err(msg::BUILT_IN_ENDPOINT.with(&[&name]));
        }
        if self.catalog.endpoint_named(name).is_none() {
            return Err(msg::CANNOT_FIND.with(&[&"endpoint", &name]));
        }
        self.catalog.drop_endpoint();
        self.emit(EndpointEvent::Altered {
            change: "DROP".to_owned(),
            restarted: true,
        });
        self.persist(
            connection,
            Then::Endpoint {
                restart: Some(msg::ENDPOINT_NOT_CONFIGURED.error()),
            },
        )
    }

    /// What the configuration as a whole must hold, certificates apart: a port in range (7810) and not the instance's own
    /// (7874), a role the edition has (7878), no RC4 in FIPS mode (28078).
    fn check_options(&self, config: &EndpointConfig) -> Result<(), SqlError> {
        let options = &self.config.options;
        let (port, max) = (config.port.number(), options.port_max());
        if port > max {
            return Err(msg::VALUE_OUT_OF_RANGE.with(&[&port, &"LISTENER_PORT", &ListenerPort::MIN, &max]));
        }
        if options.edition == Edition::Express && config.role != EndpointRole::Witness {
            let role = format!("ROLE = {}", config.role);
            return Err(msg::EDITION_LACKS.with(&[&role, &options.edition]));
        }
        if options.fips && config.encryption.algorithms().contains(&Algorithm::Rc4) {
            return Err(msg::RC4_NOT_IN_FIPS.error());
        }
        match port == self.config.client_port {
            true => Err(msg::BINDING_TAKEN.with(&[&config.port])),
            false => Ok(()),
        }
    }

    /// A certificate must exist, have its key under the master key and be in date (28055). Asked where one is named and
    /// where the endpoint starts; an endpoint whose certificate went bad can still be stopped and given another port.
    fn check_certificate(&self, config: &EndpointConfig) -> Result<(), SqlError> {
        let Some(name) = config.authentication.certificate() else {
            return Ok(());
        };
        let found = self.catalog.certificate(name);
        let found = found.ok_or_else(|| msg::CANNOT_FIND.with(&[&"certificate", &name]))?;
        let in_date = certificate::parse(&found.der).is_ok_and(|f| f.check_dates(self.now.wall).is_ok());
        if !matches!(found.private_key, Some(PrivateKey::MasterKey(_))) || !in_date {
            return Err(msg::CERTIFICATE_UNSUITABLE.with(&[&name]));
        }
        Ok(())
    }
}

/// What changed, as DDL: `STATE = STOPPED, LISTENER_PORT = 7033`.
fn describe(before: &EndpointConfig, after: &EndpointConfig) -> String {
    let mut changes = Vec::new();
    let mut note = |changed: bool, text: String| {
        if changed {
            changes.push(text);
        }
    };
    note(before.state != after.state, format!("STATE = {}", after.state));
    note(
        before.port != after.port,
        format!("LISTENER_PORT = {}", after.port),
    );
    note(
        before.ip != after.ip,
        format!(
            "LISTENER_IP = {}",
            after.ip.address().map_or("ALL".into(), |a| a.to_string())
        ),
    );
    note(
        before.authentication != after.authentication,
        format!("AUTHENTICATION = {}", after.authentication),
    );
    note(
        before.encryption != after.encryption,
        format!("ENCRYPTION = {}", after.encryption),
    );
    note(before.role != after.role, format!("ROLE = {}", after.role));
    if changes.is_empty() {
        "nothing new".to_owned()
    } else {
        changes.join(", ")
    }
}

fn state(state: ast::EndpointState) -> EndpointState {
    match state {
        ast::EndpointState::Started => EndpointState::Started,
        ast::EndpointState::Stopped => EndpointState::Stopped,
        ast::EndpointState::Disabled => EndpointState::Disabled,
    }
}

fn ip(ip: ast::ListenerIp) -> ListenerIp {
    match ip {
        ast::ListenerIp::All => ListenerIp::All,
        ast::ListenerIp::Address(address) => ListenerIp::Address(address),
    }
}

fn windows(method: ast::WindowsMethod) -> WindowsMethod {
    match method {
        ast::WindowsMethod::Ntlm => WindowsMethod::Ntlm,
        ast::WindowsMethod::Kerberos => WindowsMethod::Kerberos,
        ast::WindowsMethod::Negotiate => WindowsMethod::Negotiate,
    }
}

fn authentication(authentication: &ast::Authentication) -> Authentication {
    match authentication {
        ast::Authentication::Windows(w) => Authentication::Windows(windows(*w)),
        ast::Authentication::Certificate(c) => Authentication::Certificate(c.text.clone()),
        ast::Authentication::WindowsThenCertificate(w, c) => {
            Authentication::WindowsThenCertificate(windows(*w), c.text.clone())
        }
        ast::Authentication::CertificateThenWindows(c, w) => {
            Authentication::CertificateThenWindows(c.text.clone(), windows(*w))
        }
    }
}

fn algorithms(algorithm: Option<ast::Algorithm>, default: Algorithms) -> Algorithms {
    match algorithm {
        None => default,
        Some(ast::Algorithm::Aes) => Algorithms::Aes,
        Some(ast::Algorithm::Rc4) => Algorithms::Rc4,
        Some(ast::Algorithm::AesRc4) => Algorithms::AesRc4,
        Some(ast::Algorithm::Rc4Aes) => Algorithms::Rc4Aes,
    }
}

/// An absent algorithm is the version's default, in ALTER as in CREATE. Source: ours for ALTER, the page is silent.
fn encryption(encryption: ast::Encryption, default: Algorithms) -> Encryption {
    match encryption {
        ast::Encryption::Disabled => Encryption::Disabled,
        ast::Encryption::Supported(a) => Encryption::Supported(algorithms(a, default)),
        ast::Encryption::Required(a) => Encryption::Required(algorithms(a, default)),
    }
}

fn endpoint_role(role: ast::EndpointRole) -> EndpointRole {
    match role {
        ast::EndpointRole::Partner => EndpointRole::Partner,
        ast::EndpointRole::Witness => EndpointRole::Witness,
        ast::EndpointRole::All => EndpointRole::All,
    }
}
