//! Instances in the world that a test goes on with after a scenario's set-up, and how each login ended.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mirrorlab::driver::net::{Net, NetListener, NetRead, NetStream, NetWrite};
use mirrorlab::instance::Instance;
use mirrorlab::sim::launch::{self, WorldStage};
use mirrorlab::sim::oracle::{self, Oracle, Violation};
use mirrorlab::sim::scenario::Library;
use mirrorlab::sim::script::play;
use mirrorlab::sim::stage::Stage;
use mirrorlab::sim::trace::Recorder;
use mirrorlab::sim::world::{ProcessEnv, World, WorldConfig};
use mirrorlab::types::{
    DatabaseName, EncryptionInUse, EndpointEvent, Event, InstanceName, Reply, ServerAddress, Source, Stamped,
    Timestamp, Value,
};

const SEED: u64 = 5;

/// What became of a login, as one side of it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Connected {
        method: String,
        encryption: EncryptionInUse,
    },
    Refused(u32),
}

/// One side of a login that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub on: String,
    /// Whether this side had accepted the connection.
    pub accepted: bool,
    pub outcome: Outcome,
}

struct Logins(Rc<RefCell<Vec<Login>>>);

impl Oracle for Logins {
    fn observe(&mut self, stamped: &Stamped, _: &mut Vec<Violation>) {
        let (Source::Instance(instance), Event::Endpoint(event)) = (&stamped.source, &stamped.event) else {
            return;
        };
        let (accepted, outcome) = match event {
            EndpointEvent::LoggedIn {
                accepted,
                authentication,
                encryption,
                ..
            } => {
                let outcome = Outcome::Connected {
                    method: authentication.clone(),
                    encryption: *encryption,
                };
                (accepted, outcome)
            }
            EndpointEvent::LoginFailed { accepted, number, .. } => (accepted, Outcome::Refused(*number)),
            _ => return,
        };
        self.0.borrow_mut().push(Login {
            on: instance.as_str().to_owned(),
            accepted: *accepted,
            outcome,
        });
    }
}

/// A world after its set-up.
pub struct Rig {
    pub world: World,
    stage: WorldStage<Instance>,
    recorder: Recorder,
    logins: Rc<RefCell<Vec<Login>>>,
}

/// Runs `test` after the set-up of the shared file `extends`, with what `more` adds to it; the oracles must hold.
pub fn with_rig<T: 'static>(extends: &str, more: &str, test: impl AsyncFnOnce(&Rig) -> T + 'static) -> T {
    let mut library = Library::built_in();
    let text = format!(
        "promise = \"P.\"\nrisk = \"R.\"\nextends = \"{extends}\"\nuntil = \"1ms\"\n{more}\n\
         [[expect]]\non = \"alpha\"\nalive = true\n"
    );
    library.insert("test/rig", &text);
    let scenario = library
        .load("test/rig")
        .unwrap_or_else(|e| panic!("{}", e.report()));
    let run = World::run(WorldConfig::new(SEED), async |world| {
        let logins = Rc::default();
        let mut oracles = oracle::all();
        oracles.push(Box::new(Logins(Rc::clone(&logins))));
        let recorder = Recorder::new(oracles);
        for system in launch::systems(&scenario.topology) {
            world.add_system(system).expect("names are unique");
        }
        let boot = launch::boot;
        let topology = scenario.topology.clone();
        let stage = WorldStage::new(world.clone(), SEED, topology, boot, recorder.clone())
            .expect("every system is there");
        let played = play(&scenario, &stage, &recorder).await;
        assert!(played.failures.is_empty(), "{:?}", played.failures);
        let rig = Rig {
            world,
            stage,
            recorder: recorder.clone(),
            logins,
        };
        let result = test(&rig).await;
        let (_, violations) = recorder.finish(&played.end);
        assert!(violations.is_empty(), "{violations:?}");
        result
    });
    run.expect("the world holds")
}

impl Rig {
    /// Copies a file from one system's disk to another's.
    pub fn copy_file(&self, path: &str, from: &str, to: &str) {
        self.stage.copy_file(path, from, to).expect("the file is there");
    }

    /// A program on this system that answers whoever calls at `port`, and speaks another language.
    pub fn put_web_server(&self, on: &str, port: u16) {
        let system = self.world.find_system(on).expect("it is there");
        let serve = async move |env: ProcessEnv| {
            let listener = env.net.listen(None, port).await.expect("the port is free");
            while let Ok((caller, _)) = listener.accept().await {
                let (_read, mut write) = caller.into_split();
                drop(write.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
            }
        };
        let spawned = self.world.spawn(system, "web server", serve);
        spawned.expect("its system is up");
    }

    /// Sends these bytes from one system to a port of another, and waits for the end.
    pub async fn say(&self, from: &str, to: &'static str, port: u16, words: &'static [u8]) {
        let system = self.world.find_system(from).expect("it is there");
        let speak = async move |env: ProcessEnv| {
            let target = ServerAddress::new(to, port);
            let stream = env.net.connect(&target).await.expect("somebody listens");
            let (mut read, mut write) = stream.into_split();
            drop(write.write_all(words).await);
            while let Ok(1..) = read.read(&mut [0; 64]).await {}
        };
        let spawned = self.world.spawn(system, "stranger", speak);
        spawned.expect("its system is up");
        self.pass(Duration::from_secs(1)).await;
    }

    /// The rows of the last answer to a batch that succeeds.
    pub async fn rows(&self, on: &str, batch: &str) -> Vec<Vec<Value>> {
        let replies = self.sql(on, &[batch.to_owned()]).await;
        let last = replies.last().expect("an answer");
        assert_eq!(last.error(), None, "{on}: {batch}");
        last.rows().cloned().collect()
    }

    pub async fn pass(&self, time: Duration) {
        self.stage.sleep_until(self.stage.now() + time).await;
    }

    /// The answers to batches, up to the first that ends in an error.
    pub async fn sql(&self, on: &str, batches: &[String]) -> Vec<Reply> {
        let (replies, problem) = self.stage.batches(&InstanceName::new(on), batches).await;
        assert_eq!(problem, None, "{on}: {batches:?}");
        replies
    }

    /// The number of the error a batch ends in, 0 if it succeeds.
    pub async fn number(&self, on: &str, batch: &str) -> u32 {
        let replies = self.sql(on, &[batch.to_owned()]).await;
        replies[0].error().map_or(0, |error| error.number)
    }

    /// Executes a batch that succeeds.
    pub async fn must(&self, on: &str, batch: &str) {
        for reply in self.sql(on, &[batch.to_owned()]).await {
            assert_eq!(reply.error(), None, "{on}: {batch}");
        }
    }

    pub fn forget_logins(&self) {
        self.logins.borrow_mut().clear();
    }

    /// How the first login on one side ended since they were forgotten last.
    pub fn login(&self, on: &str, accepted: bool) -> Option<Outcome> {
        let logins = self.logins.borrow();
        let first = logins.iter().find(|l| l.on == on && l.accepted == accepted);
        first.map(|l| l.outcome.clone())
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

    /// Whether Sales is mirrored and synchronized on both sides.
    pub fn is_healed(&self) -> bool {
        self.recorder
            .model(|m| m.healed(&DatabaseName::new("Sales")).is_ok())
    }
}

/// `ALTER DATABASE Sales SET PARTNER` to the endpoint of this system.
pub fn set_partner(system: &str) -> String {
    format!("ALTER DATABASE Sales SET PARTNER = 'TCP://{system}.lab.example:7022';")
}
