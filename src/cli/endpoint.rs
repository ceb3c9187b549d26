//! `mirrorlab endpoint new | set | wizard`: the easy ways to an endpoint, as the T-SQL they would run.
//!
//! `new` and `set` take what the cmdlets New-SqlHADREndpoint and Set-SqlHADREndpoint take, `wizard` what the security
//! wizard asks for. Nothing is run; what has no automated method is refused with the reason. Source: documented, the pages
//! of the cmdlets and of the wizard; options of the cmdlets that were not given stay out of the statement.

use std::io::{self, Write};
use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};

use super::{CLEAN, CliError};
use crate::domain::ServiceAccount;
use crate::error::{Span, SqlError};
use crate::instance::{check_altered_endpoint, check_new_endpoint};
use crate::tsql::{
    Algorithm, AlterEndpoint, AlterPayload, Authentication, CreateEndpoint, CreatePayload, Encryption,
    EndpointRole, EndpointState, IDENTIFIER_CHARS_MAX, ListenerIp, Name, TransportOptions, WindowsMethod,
};

/// The name and port that are conventions, not defaults of CREATE ENDPOINT.
const NAME: &str = "Hadr_endpoint";
const PORT: u16 = 5022;

#[derive(Debug, Subcommand)]
pub(super) enum EndpointCommand {
    /// Create an endpoint as New-SqlHADREndpoint does: stopped, until `set --state started`.
    New {
        #[command(flatten)]
        endpoint: EndpointArgs,
        /// The login that owns it, instead of the caller.
        #[arg(long, value_name = "LOGIN")]
        owner: Option<String>,
        /// Above 32767 only an instance that is told to be lenient takes it.
        #[arg(long, value_name = "N", default_value_t = PORT, value_parser = port())]
        port: u16,
    },
    /// Change an endpoint as Set-SqlHADREndpoint does.
    Set {
        #[command(flatten)]
        endpoint: EndpointArgs,
        /// A new owner. Everyone's permissions on the endpoint go with the old one.
        #[arg(long, value_name = "LOGIN")]
        owner: Option<String>,
        /// Above 32767 only an instance that is told to be lenient takes it.
        #[arg(long, value_name = "N", value_parser = port())]
        port: Option<u16>,
        #[arg(long, value_enum, ignore_case = true)]
        state: Option<State>,
    },
    /// Set an instance up as the security wizard does: a started endpoint with Windows authentication, and a login with
    /// CONNECT for the service account of each other instance.
    Wizard {
        /// The account this instance runs under: DOMAIN\user
        #[arg(long, value_name = "ACCOUNT")]
        service_account: String,
        /// The accounts the other instances run under.
        #[arg(long, value_name = "ACCOUNT")]
        partner_account: Vec<String>,
        #[arg(long, value_name = "NAME", default_value = NAME)]
        name: String,
        #[arg(long, value_name = "N", default_value_t = PORT, value_parser = port())]
        port: u16,
        #[arg(long, value_enum, ignore_case = true, default_value = "all")]
        role: Role,
        /// Do not encrypt what is sent through the endpoint.
        #[arg(long)]
        no_encryption: bool,
        /// Authenticate by certificate.
        #[arg(long, value_name = "NAME")]
        certificate: Option<String>,
    },
}

/// What `new` and `set` share.
#[derive(Debug, Args)]
pub(super) struct EndpointArgs {
    #[arg(default_value = NAME)]
    name: String,
    /// The certificate to authenticate with; needed if the order names one.
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// The one address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    ip_address: Option<IpAddr>,
    #[arg(long, value_enum, ignore_case = true, value_name = "ORDER")]
    authentication_order: Option<Order>,
    #[arg(long, value_enum, ignore_case = true)]
    encryption: Option<Level>,
    #[arg(long, value_enum, ignore_case = true, value_name = "ALGORITHM")]
    encryption_algorithm: Option<AlgorithmOrder>,
}

/// The cmdlet's `AuthenticationOrder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Order {
    Certificate,
    CertificateKerberos,
    CertificateNegotiate,
    CertificateNtlm,
    Kerberos,
    KerberosCertificate,
    Negotiate,
    NegotiateCertificate,
    Ntlm,
    NtlmCertificate,
}

/// The cmdlet's `Encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Level {
    Disabled,
    Supported,
    Required,
}

/// The cmdlet's `EncryptionAlgorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AlgorithmOrder {
    #[value(name = "None")]
    Nothing,
    #[value(name = "RC4")]
    Rc4,
    #[value(name = "Aes")]
    Aes,
    #[value(name = "AesRC4")]
    AesRc4,
    #[value(name = "RC4Aes")]
    Rc4Aes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum State {
    Started,
    Stopped,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Role {
    Partner,
    Witness,
    All,
}

/// Why there is no statement to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "certificates across instances have no automated method; on every instance: CREATE MASTER KEY, CREATE CERTIFICATE, \
         CREATE ENDPOINT … AUTHENTICATION = CERTIFICATE, BACKUP CERTIFICATE; copy each file to every other instance by a safe \
         way; there CREATE LOGIN, CREATE USER, CREATE CERTIFICATE … AUTHORIZATION user FROM FILE, GRANT CONNECT ON ENDPOINT"
    )]
    CertificatesAcrossInstances,
    #[error(
        "an instance that runs under {0} cannot be set up this way: Windows authentication between instances needs a domain \
         user account (DOMAIN\\user). Create an endpoint that authenticates by certificate by hand first"
    )]
    NoDomainAccount(String),
    #[error("the authentication order names a certificate: say which with --certificate NAME")]
    CertificateMissing,
    #[error(
        "the authentication order names a certificate: say which with --certificate NAME. The cmdlet may leave out one that the \
         endpoint has already; what is printed here is written without asking the instance, which alone knows its name"
    )]
    CertificateUnknown,
    #[error(
        "a certificate is named, but the authentication order has none: add it to the order or leave --certificate out"
    )]
    CertificateUnused,
    #[error("--encryption-algorithm {0} does not go with --encryption {1}")]
    AlgorithmAgainstEncryption(&'static str, &'static str),
    #[error(
        "an algorithm alone cannot be changed: ALGORITHM belongs to ENCRYPTION = SUPPORTED or REQUIRED, so give --encryption as well"
    )]
    AlgorithmAlone,
    #[error("there is nothing to change: give an option (7863)")]
    Nothing,
    #[error("an instance would refuse the endpoint's name: {0}")]
    Name(SqlError),
    #[error("'{0}' is not a name: it has 1 to {IDENTIFIER_CHARS_MAX} characters")]
    BadName(String),
}

fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(i64::from(crate::tsql::LISTENER_PORT_MIN)..)
}

/// Prints the script.
pub(super) fn endpoint(command: &EndpointCommand) -> Result<u8, CliError> {
    let script = script(command)?;
    let mut out = io::stdout().lock();
    for batch in script {
        writeln!(out, "{batch};\nGO")?;
    }
    out.flush()?;
    Ok(CLEAN)
}

/// The statements, one a batch.
fn script(command: &EndpointCommand) -> Result<Vec<String>, Refusal> {
    match command {
        EndpointCommand::New {
            endpoint,
            owner,
            port,
        } => {
            check_new_endpoint(&endpoint.name).map_err(Refusal::Name)?;
            let create = CreateEndpoint {
                name: name(&endpoint.name)?,
                authorization: owner.as_deref().map(name).transpose()?,
                state: None,
                listener_port: *port,
                listener_ip: endpoint.ip_address.map(ListenerIp::Address),
                payload: CreatePayload::DatabaseMirroring {
                    options: TransportOptions {
                        authentication: endpoint.authentication()?,
                        encryption: endpoint.encryption(Some(Level::Required))?,
                    },
                    role: EndpointRole::All,
                },
            };
            Ok(vec![create.to_string()])
        }
        EndpointCommand::Set {
            endpoint,
            owner,
            port,
            state,
        } => set(endpoint, owner.as_deref(), *port, *state),
        EndpointCommand::Wizard {
            certificate: Some(_), ..
        } => Err(Refusal::CertificatesAcrossInstances),
        EndpointCommand::Wizard {
            service_account,
            partner_account,
            name,
            port,
            role,
            no_encryption,
            certificate: None,
        } => wizard(
            service_account,
            partner_account,
            name,
            *port,
            *role,
            *no_encryption,
        ),
    }
}

fn set(
    endpoint: &EndpointArgs,
    owner: Option<&str>,
    port: Option<u16>,
    state: Option<State>,
) -> Result<Vec<String>, Refusal> {
    let options = TransportOptions {
        authentication: endpoint.authentication().map_err(|refusal| match refusal {
            Refusal::CertificateMissing => Refusal::CertificateUnknown,
            other => other,
        })?,
        encryption: endpoint.encryption(None)?,
    };
    let name_of = name(&endpoint.name)?;
    check_altered_endpoint(&endpoint.name).map_err(Refusal::Name)?;
    let mut batches = Vec::new();
    let alter = AlterEndpoint {
        name: name_of.clone(),
        state: state.map(State::ddl),
        listener_port: port,
        listener_ip: endpoint.ip_address.map(ListenerIp::Address),
        payload: (options != TransportOptions::default())
            .then_some(AlterPayload::DatabaseMirroring { options, role: None }),
    };
    if alter.state.is_some() || port.is_some() || alter.listener_ip.is_some() || alter.payload.is_some() {
        batches.push(alter.to_string());
    }
    // Last: who has given it away may not alter it any more.
    if let Some(owner) = owner {
        batches.push(format!(
            "ALTER AUTHORIZATION ON ENDPOINT::{} TO {}",
            name_of.quoted(),
            name(owner)?.quoted()
        ));
    }
    match batches.is_empty() {
        true => Err(Refusal::Nothing),
        false => Ok(batches),
    }
}

fn wizard(
    service_account: &str,
    partner_accounts: &[String],
    endpoint: &str,
    port: u16,
    role: Role,
    no_encryption: bool,
) -> Result<Vec<String>, Refusal> {
    let own = domain_account(service_account)?;
    let name_of = name(endpoint)?;
    check_new_endpoint(endpoint).map_err(Refusal::Name)?;
    let create = CreateEndpoint {
        name: name_of.clone(),
        authorization: None,
        state: Some(EndpointState::Started),
        listener_port: port,
        listener_ip: Some(ListenerIp::All),
        payload: CreatePayload::DatabaseMirroring {
            options: TransportOptions {
                authentication: Some(Authentication::Windows(WindowsMethod::Negotiate)),
                encryption: Some(match no_encryption {
                    true => Encryption::Disabled,
                    false => Encryption::Required(None),
                }),
            },
            role: role.ddl(),
        },
    };
    let mut batches = vec![create.to_string()];
    let mut known = vec![own];
    for account in partner_accounts {
        let account = domain_account(account)?;
        // The same account everywhere needs no login: it is the instance's own.
        if known.iter().any(|other| other.eq_ignore_ascii_case(&account)) {
            continue;
        }
        let login = name(&account)?.quoted();
        batches.push(format!("CREATE LOGIN {login} FROM WINDOWS"));
        batches.push(format!(
            "GRANT CONNECT ON ENDPOINT::{} TO {login}",
            name_of.quoted()
        ));
        known.push(account);
    }
    Ok(batches)
}

/// `DOMAIN\user`, the domain in upper case as the wizard wants it.
fn domain_account(account: &str) -> Result<String, Refusal> {
    match ServiceAccount::parse(account) {
        Ok(ServiceAccount::Domain(account)) => {
            Ok(format!("{}\\{}", account.domain().to_uppercase(), account.name()))
        }
        _ => Err(Refusal::NoDomainAccount(account.to_owned())),
    }
}

fn name(text: &str) -> Result<Name, Refusal> {
    if text.is_empty() || text.chars().count() > IDENTIFIER_CHARS_MAX {
        return Err(Refusal::BadName(
            text.chars().take(IDENTIFIER_CHARS_MAX).collect(),
        ));
    }
    let span = Span {
        start: 0,
        end: 0,
        line: 1,
        column: 1,
    };
    Ok(Name {
        text: text.to_owned(),
        span,
    })
}

impl EndpointArgs {
    fn authentication(&self) -> Result<Option<Authentication>, Refusal> {
        let certificate = self.certificate.as_deref().map(name).transpose()?;
        let Some(order) = self.authentication_order else {
            return Ok(certificate.map(Authentication::Certificate));
        };
        let windows = match order {
            Order::Certificate => None,
            Order::CertificateKerberos | Order::Kerberos | Order::KerberosCertificate => {
                Some(WindowsMethod::Kerberos)
            }
            Order::CertificateNegotiate | Order::Negotiate | Order::NegotiateCertificate => {
                Some(WindowsMethod::Negotiate)
            }
            Order::CertificateNtlm | Order::Ntlm | Order::NtlmCertificate => Some(WindowsMethod::Ntlm),
        };
        let needs_certificate = !matches!(order, Order::Kerberos | Order::Negotiate | Order::Ntlm);
        let windows_first = matches!(
            order,
            Order::KerberosCertificate | Order::NegotiateCertificate | Order::NtlmCertificate
        );
        Ok(Some(match (windows, certificate) {
            (_, None) if needs_certificate => return Err(Refusal::CertificateMissing),
            (_, Some(_)) if !needs_certificate => return Err(Refusal::CertificateUnused),
            (Some(method), Some(certificate)) if windows_first => {
                Authentication::WindowsThenCertificate(method, certificate)
            }
            (Some(method), Some(certificate)) => Authentication::CertificateThenWindows(certificate, method),
            (None, Some(certificate)) => Authentication::Certificate(certificate),
            (method, None) => Authentication::Windows(method.unwrap_or(WindowsMethod::Negotiate)),
        }))
    }

    /// `level` is what an algorithm without `--encryption` belongs to, if there is such a level.
    fn encryption(&self, level: Option<Level>) -> Result<Option<Encryption>, Refusal> {
        let algorithm = match self.encryption_algorithm {
            None | Some(AlgorithmOrder::Nothing) => None,
            Some(AlgorithmOrder::Rc4) => Some(Algorithm::Rc4),
            Some(AlgorithmOrder::Aes) => Some(Algorithm::Aes),
            Some(AlgorithmOrder::AesRc4) => Some(Algorithm::AesRc4),
            Some(AlgorithmOrder::Rc4Aes) => Some(Algorithm::Rc4Aes),
        };
        let nothing = self.encryption_algorithm == Some(AlgorithmOrder::Nothing);
        let level = match (self.encryption, algorithm) {
            (Some(level), _) => level,
            (None, None) if !nothing => return Ok(None),
            (None, None) => return Err(Refusal::AlgorithmAlone),
            (None, Some(_)) => level.ok_or(Refusal::AlgorithmAlone)?,
        };
        match (level, algorithm) {
            (Level::Disabled, Some(algorithm)) => {
                Err(Refusal::AlgorithmAgainstEncryption(words(algorithm), "Disabled"))
            }
            (Level::Disabled, None) => Ok(Some(Encryption::Disabled)),
            (Level::Supported, _) if nothing => Err(Refusal::AlgorithmAgainstEncryption("None", "Supported")),
            (Level::Required, _) if nothing => Err(Refusal::AlgorithmAgainstEncryption("None", "Required")),
            (Level::Supported, algorithm) => Ok(Some(Encryption::Supported(algorithm))),
            (Level::Required, algorithm) => Ok(Some(Encryption::Required(algorithm))),
        }
    }
}

const fn words(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes => "Aes",
        Algorithm::Rc4 => "RC4",
        Algorithm::AesRc4 => "AesRC4",
        Algorithm::Rc4Aes => "RC4Aes",
    }
}

impl State {
    const fn ddl(self) -> EndpointState {
        match self {
            State::Started => EndpointState::Started,
            State::Stopped => EndpointState::Stopped,
            State::Disabled => EndpointState::Disabled,
        }
    }
}

impl Role {
    const fn ddl(self) -> EndpointRole {
        match self {
            Role::Partner => EndpointRole::Partner,
            Role::Witness => EndpointRole::Witness,
            Role::All => EndpointRole::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::tsql::{Statement, parse};

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(subcommand)]
        command: EndpointCommand,
    }

    fn told(line: &str) -> Result<Vec<String>, Refusal> {
        let words = std::iter::once("endpoint").chain(line.split(' '));
        let alone = Alone::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
        script(&alone.command)
    }

    /// Every statement reads back as itself.
    fn script_of(line: &str) -> String {
        let batches = told(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for batch in &batches {
            let statements = parse(batch).unwrap_or_else(|error| panic!("{batch}: {error}"));
            assert_eq!(statements.len(), 1, "{batch}");
            match &statements[0].node {
                Statement::CreateEndpoint(create) => assert_eq!(create.to_string(), *batch),
                Statement::AlterEndpoint(alter) => assert_eq!(alter.to_string(), *batch),
                Statement::Permission(permission) => assert_eq!(permission.to_string(), *batch),
                Statement::AlterAuthorization { .. } | Statement::CreateLogin(_) => {}
                other => panic!("{other:?}"),
            }
        }
        batches.join("\n")
    }

    #[test]
    fn the_defaults_are_those_of_the_tools() {
        assert_eq!(
            script_of("new"),
            "CREATE ENDPOINT Hadr_endpoint AS TCP (LISTENER_PORT = 5022) FOR DATABASE_MIRRORING (ROLE = ALL)"
        );
        assert_eq!(
            script_of("set --state Started"),
            "ALTER ENDPOINT Hadr_endpoint STATE = STARTED"
        );
        let wizard = script_of(
            "wizard --service-account adv\\one --partner-account adv\\two --partner-account ADV\\ONE",
        );
        assert_eq!(
            wizard,
            "CREATE ENDPOINT Hadr_endpoint STATE = STARTED AS TCP (LISTENER_PORT = 5022, LISTENER_IP = ALL) \
             FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS NEGOTIATE, ENCRYPTION = REQUIRED, ROLE = ALL)\n\
             CREATE LOGIN [ADV\\two] FROM WINDOWS\n\
             GRANT CONNECT ON ENDPOINT::Hadr_endpoint TO [ADV\\two]"
        );
    }

    #[test]
    fn every_order_and_every_algorithm_is_a_statement() {
        let mut seen = std::collections::BTreeSet::new();
        for order in Order::value_variants() {
            let word = order.to_possible_value().expect("it has a name");
            let plain = format!("new e --authentication-order {}", word.get_name());
            let named = format!("{plain} --certificate k");
            match told(&plain) {
                Ok(_) => assert_eq!(told(&named), Err(Refusal::CertificateUnused)),
                Err(error) => {
                    assert_eq!(error, Refusal::CertificateMissing, "{plain}");
                    let set = told(&plain.replacen("new", "set", 1));
                    assert_eq!(set, Err(Refusal::CertificateUnknown), "{plain}");
                    assert!(seen.insert(script_of(&named)), "{named}");
                    continue;
                }
            }
            assert!(seen.insert(script_of(&plain)), "{plain}");
        }
        for level in ["Disabled", "Supported", "Required"] {
            for algorithm in ["None", "RC4", "Aes", "AesRC4", "RC4Aes"] {
                let line = format!("set e --encryption {level} --encryption-algorithm {algorithm}");
                match (level == "Disabled") == (algorithm == "None") {
                    true => assert!(seen.insert(script_of(&line)), "{line}"),
                    false => assert!(
                        matches!(told(&line), Err(Refusal::AlgorithmAgainstEncryption(..))),
                        "{line}"
                    ),
                }
            }
        }
        assert_eq!(seen.len(), 10 + 9);
    }

    #[test]
    fn names_and_addresses_are_written_so_that_they_read_back() {
        assert_eq!(
            script_of("new my]e --port 7022 --owner ADV\\dba --ip-address fd00::1"),
            "CREATE ENDPOINT [my]]e] AUTHORIZATION [ADV\\dba] AS TCP (LISTENER_PORT = 7022, LISTENER_IP = ('fd00::1')) \
             FOR DATABASE_MIRRORING (ROLE = ALL)"
        );
        assert_eq!(
            script_of("set e --owner sa --port 7033 --ip-address 10.0.75.1 --certificate k"),
            "ALTER ENDPOINT e AS TCP (LISTENER_PORT = 7033, LISTENER_IP = (10.0.75.1)) \
             FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE k)\n\
             ALTER AUTHORIZATION ON ENDPOINT::e TO sa"
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        assert_eq!(told("set e"), Err(Refusal::Nothing));
        assert_eq!(
            told("set e --encryption-algorithm Aes"),
            Err(Refusal::AlgorithmAlone)
        );
        assert_eq!(
            told("wizard --service-account ADV\\one --certificate k"),
            Err(Refusal::CertificatesAcrossInstances)
        );
        let accounts = [
            "LocalSystem",
            "NetworkService",
            "NTSERVICE\\MSSQLSERVER",
            ".\\sql",
            "sql",
            "\\x",
            "ADV\\",
        ];
        for account in accounts {
            let line = format!("wizard --service-account {account}");
            assert_eq!(
                told(&line),
                Err(Refusal::NoDomainAccount(account.into())),
                "{account}"
            );
        }
        let long = "x".repeat(129);
        assert!(matches!(told(&format!("new {long}")), Err(Refusal::BadName(_))));
    }
}
