//! Every cell of the negotiation tables once as a real connection: two instances in the world, their endpoints, the driver
//! and the views must say what the pure tables of `endpoint::negotiate` say.
//!
//! A cell is an initiator's configuration (alpha) against an acceptor's (beta). The connection that alpha opens is the
//! cell; if it comes up, beta opens its own back, which is the cell with the sides changed. Both instances run under one
//! domain account, have their service principal names and each other's certificates, so that every method works.

use std::time::Duration;

use mirrorlab::endpoint::config::{Algorithms, Authentication, Encryption, Method, WindowsMethod};
use mirrorlab::endpoint::negotiate::{Terms, negotiate};
use mirrorlab::types::Value;

use super::rig::{Outcome, Rig, set_partner, with_rig};

/// Longer than a message takes.
const NOTICED_WITHIN: Duration = Duration::from_millis(200);

/// What alpha and beta need beside their account, and their endpoints.
const CERTIFICATES: &str = r#"
[[setup]]
on = "alpha"
sql = '''
CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'Str0ng!Passw0rd';
CREATE CERTIFICATE alpha_cert WITH SUBJECT = 'alpha endpoint', START_DATE = '20250101', EXPIRY_DATE = '20350101';
CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7022)
    FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE alpha_cert, ROLE = ALL);
BACKUP CERTIFICATE alpha_cert TO FILE = 'C:\certs\alpha.cer';
'''

[[setup]]
on = "beta"
sql = '''
CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'Str0ng!Passw0rd';
CREATE CERTIFICATE beta_cert WITH SUBJECT = 'beta endpoint', START_DATE = '20250101', EXPIRY_DATE = '20350101';
CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7022)
    FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE beta_cert, ROLE = ALL);
BACKUP CERTIFICATE beta_cert TO FILE = 'C:\certs\beta.cer';
'''

[[setup]]
copy_file = { path = 'C:\certs\alpha.cer', from = "alpha", to = ["beta"] }

[[setup]]
copy_file = { path = 'C:\certs\beta.cer', from = "beta", to = ["alpha"] }

[[setup]]
on = "alpha"
sql = '''
CREATE LOGIN beta_login WITH PASSWORD = 'Str0ng!Passw0rd';
CREATE USER beta_user FOR LOGIN beta_login;
CREATE CERTIFICATE beta_cert AUTHORIZATION beta_user FROM FILE = 'C:\certs\beta.cer';
GRANT CONNECT ON ENDPOINT::Mirroring TO beta_login;
'''

[[setup]]
on = "beta"
sql = '''
CREATE LOGIN alpha_login WITH PASSWORD = 'Str0ng!Passw0rd';
CREATE USER alpha_user FOR LOGIN alpha_login;
CREATE CERTIFICATE alpha_cert AUTHORIZATION alpha_user FROM FILE = 'C:\certs\alpha.cer';
GRANT CONNECT ON ENDPOINT::Mirroring TO alpha_login;
'''

[[setup]]
wait = { on = "alpha", error_log = 26059 }

[[setup]]
wait = { on = "beta", error_log = 26059 }
"#;

/// What an endpoint is configured to do in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    authentication: Authentication,
    encryption: Encryption,
}

impl Setting {
    fn terms(&self) -> Terms {
        Terms {
            methods: self.authentication.methods(),
            level: self.encryption.level(),
            algorithms: self.encryption.algorithms().to_vec(),
        }
    }

    /// Takes the endpoint down and up with this setting, so that nothing of the cell before is left.
    fn ddl(&self) -> String {
        format!(
            "ALTER ENDPOINT Mirroring STATE = STOPPED; \
             ALTER ENDPOINT Mirroring STATE = STARTED FOR DATABASE_MIRRORING \
             (AUTHENTICATION = {}, ENCRYPTION = {}, ROLE = ALL);",
            self.authentication, self.encryption
        )
    }
}

const NO_COMPATIBLE: u32 = 28027;

/// What the tables say of a connection between these two. Both instances have accounts, names and certificates for every
/// method, so that what was agreed is carried out; NEGOTIATE finds its way to Kerberos.
fn expected(acceptor: &Setting, initiator: &Setting) -> Outcome {
    let Ok(agreed) = negotiate(&acceptor.terms(), &initiator.terms()) else {
        return Outcome::Refused(NO_COMPATIBLE);
    };
    let method = match agreed.plan[0] {
        Method::Windows(WindowsMethod::Negotiate) => Method::Windows(WindowsMethod::Kerberos),
        method => method,
    };
    Outcome::Connected {
        method: method.desc().to_owned(),
        encryption: agreed.encryption,
    }
}

impl Rig {
    /// The connections that are up, the one this instance opened first: method and algorithm.
    async fn connections(&self, on: &str) -> Vec<Vec<Value>> {
        let query = "SELECT is_accept, authentication_method, encryption_algorithm_desc \
                     FROM sys.dm_db_mirroring_connections WHERE login_state = 12 ORDER BY is_accept";
        let replies = self.sql(on, &[query.to_owned()]).await;
        replies[0].rows().cloned().collect()
    }

    /// Plays one cell: alpha calls beta. The outcome there, and on the way back if there was one.
    async fn cell(&self, initiator: &Setting, acceptor: &Setting) -> (Outcome, Option<Outcome>) {
        self.must("alpha", &initiator.ddl()).await;
        self.must("beta", &acceptor.ddl()).await;
        self.forget_logins();
        assert_eq!(self.number("beta", &set_partner("alpha")).await, 0);
        let answer = self.number("alpha", &set_partner("beta")).await;
        // Who gives up first does not wait for the other to notice.
        self.pass(NOTICED_WITHIN).await;
        let there = self.login("beta", true).expect("alpha reached beta's endpoint");
        let back = self.login("alpha", true);
        let both = [Some(&there), back.as_ref()];
        let are_up = both.iter().all(|o| matches!(o, Some(Outcome::Connected { .. })));
        assert_eq!(answer, if are_up { 0 } else { 1418 }, "{there:?}, {back:?}");
        if let (true, Some(back)) = (are_up, &back) {
            let rows = |opened: &Outcome, accepted: &Outcome| vec![row(false, opened), row(true, accepted)];
            assert_eq!(self.connections("alpha").await, rows(&there, back));
            assert_eq!(self.connections("beta").await, rows(back, &there));
        }
        for instance in ["alpha", "beta"] {
            let off = "ALTER DATABASE Sales SET PARTNER OFF;";
            let number = self.number(instance, off).await;
            assert!([0, 1416].contains(&number), "{off} on {instance}: {number}");
        }
        (there, back)
    }
}

fn row(is_accept: bool, outcome: &Outcome) -> Vec<Value> {
    match outcome {
        Outcome::Connected { method, encryption } => vec![
            Value::Bool(is_accept),
            Value::from(method.as_str()),
            Value::from(encryption.desc()),
        ],
        Outcome::Refused(number) => unreachable!("refused with {number}, which has no row"),
    }
}

fn certificate(name: &str) -> Authentication {
    Authentication::Certificate(name.to_owned())
}

/// The setting with the certificate of this instance in it.
fn named(setting: &Setting, instance: &str) -> Setting {
    let certificate = || format!("{instance}_cert");
    let authentication = match &setting.authentication {
        Authentication::Windows(w) => Authentication::Windows(*w),
        Authentication::Certificate(_) => Authentication::Certificate(certificate()),
        Authentication::WindowsThenCertificate(w, _) => {
            Authentication::WindowsThenCertificate(*w, certificate())
        }
        Authentication::CertificateThenWindows(_, w) => {
            Authentication::CertificateThenWindows(certificate(), *w)
        }
    };
    Setting {
        authentication,
        encryption: setting.encryption,
    }
}

/// Every pair of `settings`, alpha and beta, each row in a world of its own.
fn every_pair(settings: &[Setting]) {
    for initiator in settings {
        let (initiator, acceptors) = (named(initiator, "alpha"), settings.to_vec());
        with_rig("one_account", CERTIFICATES, async move |rig| {
            for acceptor in &acceptors {
                let acceptor = named(acceptor, "beta");
                let (there, back) = rig.cell(&initiator, &acceptor).await;
                let cell = format!(
                    "acceptor {}, {} <- initiator {}, {}",
                    acceptor.authentication,
                    acceptor.encryption,
                    initiator.authentication,
                    initiator.encryption
                );
                assert_eq!(there, expected(&acceptor, &initiator), "{cell}");
                let is_up = matches!(there, Outcome::Connected { .. });
                let expected_back = is_up.then(|| expected(&initiator, &acceptor));
                assert_eq!(back, expected_back, "the way back of {cell}");
            }
        });
    }
}

fn authentications() -> Vec<Authentication> {
    let windows = WindowsMethod::ALL;
    let mut all: Vec<Authentication> = windows.map(Authentication::Windows).to_vec();
    all.push(certificate(""));
    all.extend(windows.map(|w| Authentication::WindowsThenCertificate(w, String::new())));
    all.extend(windows.map(|w| Authentication::CertificateThenWindows(String::new(), w)));
    all
}

fn encryptions() -> Vec<Encryption> {
    let mut all = vec![Encryption::Disabled];
    all.extend(Algorithms::ALL.map(Encryption::Supported));
    all.extend(Algorithms::ALL.map(Encryption::Required));
    all
}

#[test]
fn every_authentication_with_every_other() {
    let with = |authentication| Setting {
        authentication,
        encryption: Encryption::default(),
    };
    every_pair(&authentications().into_iter().map(with).collect::<Vec<_>>());
}

#[test]
fn every_encryption_with_every_other() {
    let with = |encryption| Setting {
        authentication: certificate(""),
        encryption,
    };
    every_pair(&encryptions().into_iter().map(with).collect::<Vec<_>>());
}

/// Both orders at once: who accepts decides about methods and algorithms alike, and who initiates about neither.
#[test]
fn every_order_of_methods_with_every_order_of_algorithms() {
    let negotiate = WindowsMethod::Negotiate;
    let methods = [
        Authentication::Windows(negotiate),
        certificate(""),
        Authentication::WindowsThenCertificate(negotiate, String::new()),
        Authentication::CertificateThenWindows(String::new(), negotiate),
    ];
    let levels = [
        Encryption::Disabled,
        Encryption::Required(Algorithms::Rc4),
        Encryption::Required(Algorithms::AesRc4),
        Encryption::Supported(Algorithms::Rc4Aes),
    ];
    let settings: Vec<Setting> = methods
        .iter()
        .flat_map(|authentication| {
            levels.map(|encryption| Setting {
                authentication: authentication.clone(),
                encryption,
            })
        })
        .collect();
    every_pair(&settings);
}
