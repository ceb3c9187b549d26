//! Every cell of the negotiation tables once as a real connection: two instances in the world, their endpoints, the driver
//! and the views must say what the pure tables of `endpoint::negotiate` say.
//!
//! A cell is an initiator's configuration (alpha) against an acceptor's (beta). The connection that alpha opens is the
//! cell; if it comes up, beta opens its own back, which is the cell with the sides changed. Whether Windows
//! authentication and RC4 can be carried out here is asked of the first cells, so that a table is never weaker than
//! what the endpoints can do.

use std::collections::BTreeMap;
use std::time::Duration;

use mirrorlab::endpoint::config::{Algorithms, Authentication, Encryption, Method, WindowsMethod};
use mirrorlab::endpoint::negotiate::{Terms, negotiate};
use mirrorlab::types::{EncryptionInUse, Value};

use super::rig::{Outcome, Rig, set_partner, with_rig};

/// Longer than a message takes.
const NOTICED_WITHIN: Duration = Duration::from_millis(200);

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

/// What these endpoints can carry out, as the first cells showed: the name a Windows method goes by once it is done, if
/// it can be done.
#[derive(Debug, Default)]
struct Abilities {
    windows: BTreeMap<WindowsMethod, Option<String>>,
    rc4: bool,
}

/// A Windows method that neither side can carry out ends in this.
const OS_CALL_FAILED: u32 = 28031;
const NO_COMPATIBLE: u32 = 28027;
/// RC4 that was agreed and is not there.
const CRYPTOGRAPHY_FAILED: u32 = 9641;

impl Abilities {
    /// What the tables say of a connection between these two.
    fn expected(&self, acceptor: &Setting, initiator: &Setting) -> Outcome {
        let Ok(agreed) = negotiate(&acceptor.terms(), &initiator.terms()) else {
            return Outcome::Refused(NO_COMPATIBLE);
        };
        if agreed.encryption == EncryptionInUse::Rc4 && !self.rc4 {
            return Outcome::Refused(CRYPTOGRAPHY_FAILED);
        }
        let carried_out = agreed.plan.iter().find_map(|method| match method {
            Method::Certificate => Some(method.desc().to_owned()),
            Method::Windows(windows) => self.windows.get(windows).cloned().flatten(),
        });
        match carried_out {
            Some(method) => Outcome::Connected {
                method,
                encryption: agreed.encryption,
            },
            None => Outcome::Refused(OS_CALL_FAILED),
        }
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

    /// Asks the endpoints what they can do.
    async fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::default();
        for windows in WindowsMethod::ALL {
            let setting = Setting {
                authentication: Authentication::Windows(windows),
                encryption: Encryption::default(),
            };
            let carried_out = match self.cell(&setting, &setting).await {
                (Outcome::Connected { method, .. }, _) => Some(method),
                (Outcome::Refused(number), _) => {
                    assert_eq!(number, OS_CALL_FAILED, "{setting:?}");
                    None
                }
            };
            abilities.windows.insert(windows, carried_out);
        }
        let rc4 = Setting {
            authentication: certificate(""),
            encryption: Encryption::Required(Algorithms::Rc4),
        };
        let (there, _) = self.cell(&named(&rc4, "alpha"), &named(&rc4, "beta")).await;
        abilities.rc4 = matches!(there, Outcome::Connected { .. });
        abilities
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
        with_rig("trio_unmirrored", "", async move |rig| {
            let abilities = rig.abilities().await;
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
                assert_eq!(there, abilities.expected(&acceptor, &initiator), "{cell}");
                let is_up = matches!(there, Outcome::Connected { .. });
                let expected_back = is_up.then(|| abilities.expected(&initiator, &acceptor));
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
