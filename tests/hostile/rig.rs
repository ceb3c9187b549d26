//! Mirrored instances in the world, systems that belong to an attacker, and what he has got hold of.

use std::cell::Cell;
use std::time::Duration;

use mirrorlab::crypto::certificate::{self, Generated};
use mirrorlab::domain::{AccountName, Credentials, LogonSession};
use mirrorlab::driver::disk::{Disk, DiskFile};
use mirrorlab::driver::store::user_file;
use mirrorlab::endpoint::config::{
    Authentication, Encryption, EndpointConfig, EndpointRole, EndpointState, ListenerIp, ListenerPort,
    WindowsMethod,
};
use mirrorlab::endpoint::local::{LocalEndpoint, OwnCertificate, TrustedCertificate, WindowsSide};
use mirrorlab::instance::Instance;
use mirrorlab::sim::launch::{self, WorldStage};
use mirrorlab::sim::oracle;
use mirrorlab::sim::scenario::Library;
use mirrorlab::sim::script::play;
use mirrorlab::sim::stage::Stage;
use mirrorlab::sim::trace::Recorder;
use mirrorlab::sim::world::{World, WorldConfig};
use mirrorlab::types::{DatabaseName, Guid, InstanceName, Reply, ServerAddress, Timestamp, Value, WallTime};

use crate::foe::{self, Foe, Plan, Report};

pub const ENDPOINT: u16 = 7022;
pub const CLIENT: u16 = 1433;

/// The attacker's systems.
pub const FOES: [&str; 4] = ["foe", "fiend", "rogue", "villain"];

const FROM: i64 = 1_735_689_600;
const TO: i64 = 2_051_222_400;

pub struct Rig {
    pub world: World,
    pub stage: WorldStage<Instance>,
    recorder: Recorder,
    rows: Cell<u32>,
    foes: Cell<u8>,
    /// An oracle that cannot know what the attacker, or the test, does on purpose.
    misled: Cell<&'static str>,
}

/// `trio`: alpha and beta mirror Sales, gamma is the witness, and beta lets a stolen certificate in.
pub fn with_trio(test: impl AsyncFnOnce(&Rig)) {
    with_rig("trio", "", async |rig| {
        rig.let_in("beta", &stolen().der).await;
        test(rig).await;
    });
}

/// A pair without a witness, as the shared file `extends` sets it up, that lets the stolen certificate in at beta.
pub fn with_pair(extends: &str, test: impl AsyncFnOnce(&Rig)) {
    with_rig(extends, "", async |rig| {
        rig.let_in("beta", &stolen().der).await;
        test(rig).await;
    });
}

/// The same by a Windows method; everybody runs as `LAB\sql`, the attacker included.
pub fn with_windows(method: &str, test: impl AsyncFnOnce(&Rig)) {
    let endpoint = |on| {
        format!(
            "[[setup]]\non = \"{on}\"\nsql = \"CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 7022) \
             FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS {method}, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);\"\n"
        )
    };
    let partner = |on, of| {
        format!(
            "[[setup]]\non = \"{on}\"\nsql = \"ALTER DATABASE Sales SET PARTNER = 'TCP://{of}.lab.example:7022';\"\n"
        )
    };
    let wait = |on| format!("[[setup]]\nwait = {{ on = \"{on}\", state = \"SYNCHRONIZED\" }}\n");
    let more = [
        endpoint("alpha"),
        endpoint("beta"),
        partner("beta", "alpha"),
        partner("alpha", "beta"),
        wait("alpha"),
        wait("beta"),
    ];
    with_rig("one_account", &more.concat(), test);
}

/// Runs `test` after the set-up of the shared file `extends`; the oracles must hold to the end.
pub fn with_rig(extends: &str, more: &str, test: impl AsyncFnOnce(&Rig)) {
    let mut library = Library::built_in();
    let systems = FOES.map(|name| format!("[[system]]\nname = \"{name}\"\n"));
    let text = format!(
        "promise = \"P.\"\nrisk = \"R.\"\nextends = \"{extends}\"\nuntil = \"1s\"\n{}\n{more}\n[[expect]]\nhealed = true\n",
        systems.concat()
    );
    library.insert("test/rig", &text);
    let scenario = library
        .load("test/rig")
        .unwrap_or_else(|e| panic!("{}", e.report()));
    World::run(WorldConfig::new(5), async |world| {
        let recorder = Recorder::new(oracle::all());
        for system in launch::systems(&scenario.topology) {
            world.add_system(system).expect("names are unique");
        }
        let boot = launch::boot;
        let topology = scenario.topology.clone();
        let stage = WorldStage::new(world.clone(), 5, topology, boot, recorder.clone())
            .expect("every system is there");
        let played = play(&scenario, &stage, &recorder).await;
        assert!(played.failures.is_empty(), "{:?}", played.failures);
        let rig = Rig {
            world,
            stage,
            recorder,
            rows: Cell::new(0),
            foes: Cell::new(0),
            misled: Cell::new(""),
        };
        test(&rig).await;
        rig.assert_served().await;
        let (_, mut violations) = rig.recorder.finish(&played.end);
        violations.retain(|v| v.oracle != rig.misled.get());
        assert!(violations.is_empty(), "{violations:?}");
    })
    .expect("the world holds");
}

/// A certificate with its private key that the attacker has stolen.
pub fn stolen() -> Generated {
    made(9)
}

fn made(seed: u8) -> Generated {
    let (from, to) = (WallTime::from_unix_secs(FROM), WallTime::from_unix_secs(TO));
    certificate::generate(&[seed; 32], "stolen", from, to).expect("generated")
}

impl Rig {
    /// `on` trusts this certificate, and its login may connect.
    pub async fn let_in(&self, on: &str, der: &[u8]) {
        let path = r"C:\certs\stolen.cer";
        let system = self.world.find_system(on).expect("there");
        let (disk, _) = self.world.disk(system).handle();
        let file = disk.create(&user_file(path)).expect("new");
        file.write_all_at(der, 0).expect("written");
        file.sync().expect("synced");
        disk.sync_dir().expect("synced");
        self.must(
            on,
            "CREATE LOGIN stolen WITH PASSWORD = 'Str0ng!Passw0rd'; CREATE USER stolen FOR LOGIN stolen;",
        )
        .await;
        self.must(
            on,
            &format!("CREATE CERTIFICATE stolen AUTHORIZATION stolen FROM FILE = '{path}';"),
        )
        .await;
        self.must(on, "GRANT CONNECT ON ENDPOINT::Mirroring TO stolen;")
            .await;
    }

    /// A file of this system.
    pub fn read(&self, on: &str, path: &str) -> Vec<u8> {
        let system = self.world.find_system(on).expect("there");
        let (disk, _) = self.world.disk(system).handle();
        let file = disk.open(&user_file(path)).expect("there");
        let mut bytes = vec![0; usize::try_from(file.len().expect("known")).expect("small")];
        file.read_exact_at(&mut bytes, 0).expect("readable");
        bytes
    }

    /// An attacker on his first system who shows the stolen certificate to beta; each has another identity.
    pub fn insider(&self) -> Foe {
        self.insider_at("beta")
    }

    /// The same at another instance, which must let him in.
    pub fn insider_at(&self, target: &str) -> Foe {
        self.certified(target, stolen())
    }

    /// The same with a certificate nobody knows.
    pub fn outsider(&self) -> Foe {
        self.certified("beta", made(77))
    }

    fn certified(&self, target: &str, own: Generated) -> Foe {
        let trusted = TrustedCertificate {
            certificate_id: 300,
            name: target.into(),
            der: self.read(target, &format!(r"C:\certs\{target}.cer")),
            owner_user: target.into(),
            login: Some(target.into()),
            connect: true,
        };
        let own = OwnCertificate {
            name: "stolen".into(),
            der: own.der,
            private_key_pkcs8: Some(own.private_key_pkcs8),
        };
        let authentication = Authentication::Certificate("stolen".into());
        let local = LocalEndpoint {
            own_certificate: Some(own),
            trusted: vec![trusted],
            ..self.nobody(authentication)
        };
        Foe {
            target: ServerAddress::new(format!("{target}.lab.example"), ENDPOINT),
            ..self.foe(local)
        }
    }

    /// An attacker who has the password of the service account.
    pub fn windows(&self, method: WindowsMethod) -> Foe {
        let credentials =
            |name: &str| Credentials::new(AccountName::new("LAB", name), "lab.example", "Str0ng!Passw0rd");
        let windows = WindowsSide {
            account: r"LAB\sql".into(),
            session: Some(LogonSession::new(credentials("sql"), credentials("FOE$"))),
            dns_suffix: "lab.example".into(),
            logins: Vec::new(),
        };
        let authentication = Authentication::Windows(method);
        let local = LocalEndpoint {
            windows,
            ..self.nobody(authentication)
        };
        self.foe(local)
    }

    /// An attacker who offers certificate and NTLM, in this order, and has neither; whom an endpoint takes for one of two methods.
    pub fn torn(&self) -> Foe {
        let authentication = Authentication::CertificateThenWindows("stolen".into(), WindowsMethod::Ntlm);
        self.foe(self.nobody(authentication))
    }

    fn nobody(&self, authentication: Authentication) -> LocalEndpoint {
        self.foes.set(self.foes.get().wrapping_add(1));
        LocalEndpoint {
            config: EndpointConfig {
                name: "Mirroring".into(),
                state: EndpointState::Started,
                port: ListenerPort::try_from(i64::from(ENDPOINT)).expect("in range"),
                ip: ListenerIp::All,
                authentication,
                encryption: Encryption::default(),
                role: EndpointRole::All,
            },
            arbitration_id: Guid::from_bytes([self.foes.get(); 16]),
            server_name: "FOE".into(),
            address: None,
            version: 2022,
            own_certificate: None,
            master_key_open: true,
            fips_mode: false,
            trusted: Vec::new(),
            windows: WindowsSide::default(),
        }
    }

    fn foe(&self, local: LocalEndpoint) -> Foe {
        Foe {
            system: FOES[0],
            local,
            seed: [self.foes.get(); 32],
            target: ServerAddress::new("beta.lab.example", ENDPOINT),
        }
    }

    /// This oracle is not asked.
    pub fn misleads(&self, oracle: &'static str) {
        self.misled.set(oracle);
    }

    /// Carries an attack out to its end.
    pub async fn attack(&self, foe: Foe, plan: Plan) -> Report {
        self.begin(foe, plan).await.expect("the attacker lives")
    }

    /// Begins an attack; what comes out is what became of it.
    pub fn begin(&self, foe: Foe, plan: Plan) -> tokio::sync::oneshot::Receiver<Report> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let system = self.world.find_system(foe.system).expect("one of his systems");
        self.world
            .spawn(system, foe.system, move |env| async move {
                let report = foe::act(env, foe, plan).await;
                drop(tell.send(report));
            })
            .expect("its system is up");
        told
    }

    pub async fn pass(&self, time: Duration) {
        self.world.run_for(time).await;
    }

    /// Executes a batch that succeeds; the rows of its last answer.
    pub async fn must(&self, on: &str, batch: &str) -> Vec<Vec<Value>> {
        let (replies, lost) = self
            .stage
            .batches(&InstanceName::new(on), &[batch.to_owned()])
            .await;
        assert_eq!(
            (lost, replies.last().and_then(Reply::error)),
            (None, None),
            "{on}: {batch}"
        );
        replies
            .last()
            .map_or_else(Vec::new, |reply| reply.rows().cloned().collect())
    }

    /// The session that beta has with alpha.
    pub async fn session(&self) -> Guid {
        let query = "SELECT mirroring_guid FROM sys.database_mirroring WHERE mirroring_guid IS NOT NULL";
        let rows = self.must("beta", query).await;
        Guid::parse(&rows[0][0].to_string()).expect("a guid")
    }

    /// What is on record of the session at its partners and at its witness, as far as commits do not change it.
    pub async fn session_at_all(&self) -> [Vec<Vec<Value>>; 3] {
        const PARTNER: &str = "SELECT mirroring_guid, mirroring_state, mirroring_role, mirroring_role_sequence, \
             mirroring_safety_level, mirroring_safety_sequence, mirroring_partner_name, mirroring_partner_instance, \
             mirroring_witness_name, mirroring_witness_state, mirroring_connection_timeout \
             FROM sys.database_mirroring WHERE mirroring_guid IS NOT NULL";
        const WITNESS: &str = "SELECT * FROM sys.database_mirroring_witnesses";
        let on_record = [
            self.must("alpha", PARTNER).await,
            self.must("beta", PARTNER).await,
            self.must("gamma", WITNESS).await,
        ];
        assert!(on_record.iter().all(|rows| rows.len() == 1), "{on_record:?}");
        on_record
    }

    /// The one number that a query comes to.
    pub async fn number(&self, on: &str, query: &str) -> i64 {
        match self.must(on, query).await.first().map(Vec::as_slice) {
            Some([Value::Int(number)]) => *number,
            other => panic!("{query}: {other:?}"),
        }
    }

    /// The pair is synchronized, and a commit is answered.
    pub async fn assert_served(&self) {
        self.recorder
            .model(|m| m.healed(&DatabaseName::new("Sales")))
            .unwrap_or_else(|is| panic!("{is}"));
        self.rows.set(self.rows.get() + 1);
        let id = 1_000_000 + self.rows.get();
        let begun = self.world.now();
        self.must(
            "alpha",
            &format!("USE Sales; INSERT INTO Ledger (id, value) VALUES ({id}, 1);"),
        )
        .await;
        let took = self.world.now().since(begun);
        assert!(took < Duration::from_millis(500), "a commit took {took:?}");
    }

    /// The lines of an instance's error log since `since`, numbers in front.
    pub fn log(&self, on: &str, since: Timestamp) -> Vec<String> {
        self.recorder.model(|model| {
            let lines = model.error_log(&InstanceName::new(on), since);
            lines
                .iter()
                .map(|(number, text)| format!("{number} {text}"))
                .collect()
        })
    }

    /// The log of beta names whoever did this, and the number of what he did.
    pub fn assert_named(&self, since: Timestamp, report: &Report, number: u32) {
        self.assert_named_at(since, &report.from, number);
    }

    /// The same of whoever called from this address.
    pub fn assert_named_at(&self, since: Timestamp, from: &str, number: u32) {
        let lines = self.log("beta", since);
        let names = |line: &&String| line.contains(from) && line.contains(&format!("rror {number},"));
        let transport = |line: &&String| line.contains(from) && line.contains(&format!("Error: {number},"));
        assert!(
            lines.iter().any(|line| names(&line) || transport(&line)),
            "no {number} for {from}: {lines:?}"
        );
    }
}
