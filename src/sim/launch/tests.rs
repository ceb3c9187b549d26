//! The stage over the world: files, faults and batches reach where they should.

use super::*;
use crate::instance::io::{Input, Output};
use crate::sim::runner::{Verdict, run, run_twice};
use crate::sim::scenario::Library;
use crate::types::{Event, Guid, InstanceEvent, Now};

/// An instance that only tells that it was started.
struct Mute {
    server_name: String,
    told: bool,
}

impl Core for Mute {
    fn handle(&mut self, _: Now, input: Input<'_>) {
        self.told = !matches!(input, Input::Start { .. });
    }

    fn poll(&mut self) -> Option<Output> {
        let tell = !std::mem::replace(&mut self.told, true);
        let server_name = self.server_name.clone();
        tell.then(|| {
            Output::Emit(
                InstanceEvent::Started {
                    server_name,
                    instance: Guid::NIL,
                }
                .into(),
            )
        })
    }
}

fn mute(_: &Topology, spec: &InstanceSpec, _seed: [u8; 32]) -> Mute {
    Mute {
        server_name: spec.server_name(),
        told: true,
    }
}

fn scenario(body: &str) -> Scenario {
    let mut library = Library::default();
    let head = "promise = \"P.\"\nrisk = \"R.\"\nuntil = \"60s\"\n[[system]]\nname = \"one\"\n\
                [[instance]]\nname = \"left\"\nsystem = \"one\"\n\
                [[instance]]\nname = \"right\"\nsystem = \"one\"\nclient_port = 1434\n\
                [[instance]]\nname = \"far\"\n";
    library.insert("test/case", &format!("{head}{body}"));
    library
        .load("test/case")
        .unwrap_or_else(|e| panic!("{}", e.report()))
}

const LAUNCH: EventDriven<Mute> = EventDriven { boot: mute };

/// The same on both kernels.
const LAUNCHES: [&dyn Launch; 2] = [&LAUNCH, &SecondOpinion { boot: mute }];

#[test]
fn power_loss_takes_all_instances_of_a_system_and_brings_them_back() {
    let scenario = scenario(
        "[[step]]\nat = \"10s\"\nfault = { kind = \"power_loss\", system = \"one\", lasts = \"20s\" }\n\
         [[expect]]\nat = \"15s\"\non = \"left\"\nalive = false\n\
         [[expect]]\nat = \"15s\"\non = \"right\"\nalive = false\n\
         [[expect]]\nat = \"15s\"\non = \"far\"\nalive = true\n\
         [[expect]]\non = \"right\"\nalive = true\n",
    );
    for launch in LAUNCHES {
        let run = run_twice(launch, &scenario, 3);
        assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
        let starts = run
            .trace
            .events()
            .iter()
            .filter(|e| matches!(&e.event, Event::Instance(InstanceEvent::Started { .. })));
        assert_eq!(starts.count(), 5);
    }
}

#[test]
fn killed_paused_and_restarted_instances_are_told_apart() {
    let scenario = scenario(
        "[[step]]\nat = \"1s\"\nfault = { kind = \"kill\", instance = \"left\" }\n\
         [[step]]\nat = \"2s\"\nfault = { kind = \"pause\", instance = \"far\", lasts = \"1s\" }\n\
         [[step]]\nat = \"3s\"\nfault = { kind = \"restart\", instance = \"right\" }\n\
         [[expect]]\nat = \"5s\"\non = \"left\"\nalive = false\n\
         [[expect]]\non = \"right\"\nalive = true\n",
    );
    for launch in LAUNCHES {
        let run = run(launch, &scenario, 1);
        assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
        let felt: Vec<_> = run.faults.values().map(|count| count.took_effect).collect();
        assert_eq!(felt, [1, 1, 1]);
    }
}

#[test]
fn a_cut_nobody_talks_through_is_vacuous_on_both_kernels() {
    let scenario = scenario(
        "[[step]]\nat = \"1s\"\nfault = { kind = \"cut\", from = \"far\", to = [\"one\"], lasts = \"1s\" }\n\
         [[expect]]\non = \"far\"\nalive = true\n",
    );
    for launch in LAUNCHES {
        let run = run(launch, &scenario, 1);
        assert_eq!(run.verdict, Verdict::Vacuous, "{:?}", run.failures);
    }
}

#[test]
fn turmoil_refuses_what_it_cannot_do_by_name() {
    let refusal = |fault: &str| {
        let step =
            format!("[[step]]\nat = \"1s\"\nfault = {fault}\n[[expect]]\non = \"far\"\nalive = true\n");
        let scenario = scenario(&step);
        let [event, turmoil] = LAUNCHES.map(|launch| launch.refusal(&scenario));
        assert_eq!(event, None);
        turmoil
    };
    let text =
        refusal("{ kind = \"clock_step\", system = \"far\", by = \"1h\" }").expect("it has no such fault");
    assert!(text.contains("`clock_step far"), "{text}");
    let text = refusal("{ kind = \"dns_lost\", system = \"far\" }").expect("it has no such fault");
    assert!(text.contains("`dns_lost far`"), "{text}");
    assert_eq!(refusal("{ kind = \"disk_full\", system = \"far\" }"), None);
}

#[test]
fn a_firewall_nobody_talks_through_is_vacuous() {
    let scenario = scenario(
        "[[step]]\nat = \"1s\"\nfault = { kind = \"drop\", system = \"far\", port = 7022, lasts = \"1s\" }\n\
         [[expect]]\non = \"far\"\nalive = true\n",
    );
    let run = run(&LAUNCH, &scenario, 1);
    assert_eq!(run.verdict, Verdict::Vacuous, "{:?}", run.failures);
}

#[test]
fn a_batch_to_an_instance_that_does_not_listen_fails_the_run_with_a_reason() {
    let scenario = scenario(
        "[[step]]\nat = \"1s\"\non = \"far\"\nsql = \"SELECT 1\"\n[[expect]]\non = \"far\"\nalive = true\n",
    );
    let run = run(&LAUNCH, &scenario, 1);
    assert_eq!(run.verdict, Verdict::Fail);
    assert!(
        run.failures[0].message.contains("no answer from far"),
        "{:?}",
        run.failures
    );
}

#[test]
fn a_condition_that_never_holds_ends_the_steps_with_what_is_the_case() {
    let scenario = scenario(
        "[[step]]\nwhen = { on = \"far\", alive = false }\nwithin = \"5s\"\nheal_all = true\n\
         [[expect]]\non = \"far\"\nalive = true\n",
    );
    let run = run(&LAUNCH, &scenario, 1);
    assert_eq!(run.failures.len(), 1, "{:?}", run.failures);
    assert!(
        run.failures[0].message.contains("far is running"),
        "{:?}",
        run.failures
    );
}

#[test]
fn a_panic_of_an_instance_fails_the_run() {
    fn boot(_: &Topology, _: &InstanceSpec, _: [u8; 32]) -> Mute {
        panic!("no such luck")
    }
    let scenario = scenario("[[expect]]\non = \"far\"\nalive = true\n");
    let run = run(&EventDriven { boot }, &scenario, 1);
    assert_eq!(run.verdict, Verdict::Fail);
    assert!(
        run.failures.iter().any(|f| f.message.contains("no such luck")),
        "{:?}",
        run.failures
    );
}

/// The wire tap hears a session whose endpoints agreed to do without encryption, and nothing of one that encrypts.
#[test]
fn the_wire_tap_hears_session_messages_in_clear_and_only_those() {
    let clear_messages = |step: &str| {
        let mut library = Library::built_in();
        let text = format!(
            "promise = \"p.\"\nrisk = \"r.\"\nsource = \"ours\"\nseeds = \"1\"\nextends = \"pair\"\nuntil = \"20s\"\n{step}[[expect]]\non = \"alpha\"\nrole = \"PRINCIPAL\"\nstate = \"SYNCHRONIZED\"\n"
        );
        library.insert("tap", &text);
        let scenario = library.load("tap").unwrap_or_else(|e| panic!("{}", e.report()));
        let run = run(&super::instances(), &scenario, 1);
        assert_eq!(run.verdict, Verdict::Pass, "{:?}", run.failures);
        let is_clear = |e: &&crate::types::Stamped| {
            matches!(e.event, Event::World(WorldEvent::ClearSessionMessage { .. }))
        };
        run.trace.events().iter().filter(is_clear).count()
    };
    assert_eq!(clear_messages(""), 0);
    let alter = "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ENCRYPTION = DISABLED, ROLE = ALL);";
    let step = |at: u8, on: &str| format!("[[step]]\nat = \"{at}s\"\non = \"{on}\"\nsql = '{alter}'\n");
    let steps = step(2, "alpha") + &step(3, "beta");
    assert!(clear_messages(&steps) > 0);
}
