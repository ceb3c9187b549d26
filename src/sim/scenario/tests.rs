//! The built-in scenarios are sound, and each mistake in one is named with its place.

use super::*;
use crate::sim::fault::{Direction, PortSpec};
use crate::tsql::{parse, split_batches};

const HEAD: &str = r#"
promise = "P."
risk = "R."
until = "30s"
extends = "trio"
"#;
const EXPECT: &str = "\n[[expect]]\nno_failover = true\n";

fn load(body: &str) -> Result<Scenario, ScenarioError> {
    let mut library = Library::built_in();
    library.insert("test/case", &format!("{HEAD}{body}{EXPECT}"));
    library.load("test/case")
}

fn error(body: &str) -> ScenarioError {
    load(body).expect_err(body)
}

#[test]
fn every_built_in_scenario_is_valid_and_has_a_promise() {
    let library = Library::built_in();
    let names: Vec<&str> = library.names().collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let scenario = library.load(name).unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(scenario.name, name);
        assert!(
            scenario.promise.ends_with('.') && scenario.risk.ends_with('.'),
            "{name}"
        );
        assert!(!scenario.seeds.is_empty(), "{name}");
    }
}

#[test]
fn the_t_sql_of_every_built_in_scenario_parses() {
    let library = Library::built_in();
    let mut batches = 0;
    for name in library.names() {
        let scenario = library.load(name).unwrap_or_else(|e| panic!("{}", e.report()));
        let set_up = scenario.setup.iter().filter_map(|s| match s {
            Setup::Sql { sql, .. } => Some(sql),
            Setup::CopyFile { .. } | Setup::Wait { .. } => None,
        });
        let steps = scenario.steps.iter().filter_map(|s| match &s.action {
            Action::Sql { sql, .. } => Some(sql),
            _ => None,
        });
        let queries = scenario.expects.iter().filter_map(|e| match &e.what {
            Expectation::Rows { query, .. } => Some(query),
            _ => None,
        });
        for script in set_up.chain(steps).chain(queries) {
            for batch in split_batches(script) {
                batches += 1;
                if let Err(error) = parse(&batch.text) {
                    panic!("{name}: {error}\n{}", batch.text);
                }
            }
        }
    }
    assert!(batches > 100);
}

#[test]
fn a_step_is_read_as_it_is_written() {
    let scenario = load(
        r#"
[[step]]
at = "12s"
fault = { kind = "drop", system = "ALPHA", direction = "in", port = 7022, lasts = "1m" }
"#,
    )
    .unwrap_or_else(|e| panic!("{}", e.report()));
    let [step] = scenario.steps.as_slice() else {
        panic!("{:?}", scenario.steps)
    };
    assert_eq!(step.begin, Begin::At(Duration::from_secs(12)));
    let Action::Fault {
        fault: Fault::Drop(rule),
        lasts,
    } = &step.action
    else {
        panic!("{step:?}")
    };
    assert_eq!(*lasts, Some(Duration::from_secs(60)));
    assert_eq!(rule.systems, ["alpha"]);
    assert_eq!(rule.direction, Direction::In);
    assert_eq!(rule.port, PortSpec::Port(7022));
    assert_eq!(scenario.seeds, [1]);
}

#[test]
fn a_client_starts_with_the_scenario_unless_a_step_starts_it() {
    let client = "[[client]]\nname = \"app\"\ninitial = \"alpha\"\n";
    let first = |scenario: Scenario| scenario.topology.clients[0].from;
    let by_itself = load(client).map(first).ok().flatten();
    assert_eq!(by_itself, Some(Duration::ZERO));
    let step = "[[step]]\nat = \"1s\"\nstart_client = \"app\"\n";
    let by_step = load(&format!("{client}{step}")).map(first).ok().flatten();
    assert_eq!(by_step, None);
}

#[test]
fn unknown_keys_and_names_are_errors_with_a_hint() {
    let e = error("[[step]]\nat = \"1s\"\nfalt = { kind = \"kill\", instance = \"alpha\" }\n");
    assert_eq!(e.hint.as_deref(), Some("did you mean `fault`?"));
    assert_eq!(e.place, Some((8, 1)));

    let e = error("[[step]]\nat = \"1s\"\nfault = { kind = \"kill\", instance = \"alhpa\" }\n");
    assert_eq!(e.hint.as_deref(), Some("did you mean `alpha`?"));
    assert_eq!(e.place.map(|(line, _)| line), Some(8));

    let e = error("[[step]]\nat = \"1s\"\nfault = { kind = \"kil\", instance = \"alpha\" }\n");
    assert_eq!(e.hint.as_deref(), Some("did you mean `kill`?"));

    let e = error("[[step]]\nat = \"1s\"\nfault = { kind = \"kill\", instance = \"alpha\", port = 1 }\n");
    assert!(matches!(e.problem, Problem::Misplaced { .. }), "{e}");
}

#[test]
fn a_new_name_of_an_account_is_checked() {
    let renamed = |account: &str, name: &str| {
        let fault = format!("kind = \"account_renamed\", account = 'LAB\\{account}', name = '{name}'");
        let step = format!("[[step]]\nat = \"1s\"\nfault = {{ {fault} }}\n");
        let mut library = Library::built_in();
        let head = HEAD.replace("trio", "separate_accounts");
        library.insert("test/case", &format!("{head}{step}{EXPECT}"));
        library.load("test/case")
    };
    assert!(renamed("sql_b", "sql_x").is_ok());
    for (account, name, hint) in [
        ("sql_b", "SQL_A", "this account exists"),
        ("sql_b", "LAB\\sql_x", "without the domain"),
        ("sql_b", "", "without the domain"),
        ("BETA$", "gamma", "only a user's account is renamed"),
    ] {
        let e = renamed(account, name).expect_err(name);
        assert_eq!(e.hint.as_deref(), Some(hint));
        assert_eq!(e.place.map(|(line, _)| line), Some(8));
    }
}

#[test]
fn times_are_checked() {
    let step = |at: &str| format!("[[step]]\nat = \"{at}\"\nheal_all = true\n");
    assert!(matches!(error(&step("12")).problem, Problem::BadDuration(_)));
    assert!(matches!(error(&step("31s")).problem, Problem::AfterEnd { .. }));
    let twice = format!("{}{}", step("5s"), step("4s"));
    assert!(matches!(error(&twice).problem, Problem::OutOfOrder { .. }));
    let forever =
        "[[step]]\nat = \"1s\"\nfault = { kind = \"restart\", instance = \"beta\", lasts = \"1s\" }\n";
    assert!(matches!(error(forever).problem, Problem::Misplaced { .. }));
}

#[test]
fn a_step_does_exactly_one_thing() {
    let two = "[[step]]\nat = \"1s\"\nheal_all = true\nwait = \"1s\"\n";
    assert!(matches!(error(two).problem, Problem::TooMany { count: 2, .. }));
    assert!(matches!(
        error("[[step]]\nat = \"1s\"\n").problem,
        Problem::Empty { .. }
    ));
    assert!(matches!(
        error("[[step]]\nheal_all = true\n").problem,
        Problem::Missing("at")
    ));
}

#[test]
fn bad_values_name_what_there_is() {
    let e = error("[[expect]]\non = \"beta\"\nstate = \"SYNCRONIZED\"\n");
    assert_eq!(e.hint.as_deref(), Some("did you mean `SYNCHRONIZED`?"));
    let e = error("[[expect]]\non = \"beta\"\nerror_log = 99999\n");
    assert!(matches!(e.problem, Problem::BadValue { .. }), "{e}");
    let e = error("[[instance]]\nname = \"Beta\"\n");
    assert!(matches!(e.problem, Problem::Duplicate { .. }), "{e}");
}

#[test]
fn what_a_scenario_needs_is_asked_for() {
    let mut library = Library::built_in();
    library.insert("test/empty", "promise = \"P.\"\nrisk = \"R.\"\nuntil = \"1s\"\n");
    let e = library.load("test/empty").expect_err("it shows nothing");
    assert_eq!(e.problem, Problem::NoExpectation);
    library.insert("test/none", "risk = \"R.\"\nuntil = \"1s\"\n");
    let e = library.load("test/none").expect_err("it promises nothing");
    assert_eq!(e.problem, Problem::Missing("promise"));
    library.insert("test/base", "promise = \"P.\"\nextends = \"troi\"\n");
    let e = library.load("test/base").expect_err("no such shared file");
    assert_eq!(e.hint.as_deref(), Some("did you mean `trio`?"));
}

#[test]
fn extending_in_a_circle_is_refused() {
    let mut library = Library::default();
    library.insert("_shared/one", "extends = \"two\"\n");
    library.insert("_shared/two", "extends = \"one\"\n");
    library.insert("test/circle", "promise = \"P.\"\nextends = \"one\"\n");
    let e = library.load("test/circle").expect_err("a circle");
    assert!(matches!(e.problem, Problem::Cycle(_)), "{e}");
}

#[test]
fn a_report_shows_the_line_and_the_hint() {
    let report = error("[[step]]\nat = \"1s\"\nfault = { kind = \"kill\", instance = \"alhpa\" }\n").report();
    assert!(report.starts_with("test/case.toml:8:"), "{report}");
    assert!(report.contains("instance = \"alhpa\""), "{report}");
    assert!(report.contains("did you mean `alpha`?"), "{report}");
}

#[test]
fn no_text_makes_the_parser_panic() {
    proptest::proptest!(|(text in ".{0,200}")| {
        let mut library = Library::built_in();
        library.insert("test/any", &text);
        let _ = library.load("test/any").map_err(|e| e.report());
    });
}

/// What is wrong, and the hint.
fn told(error: &ScenarioError) -> String {
    format!("{error} {}", error.hint.as_deref().unwrap_or_default())
}

#[test]
fn a_number_of_mirrored_databases_is_spelled_out_or_refused() {
    let with = |more: &str| {
        told(&error(&format!(
            "[[setup]]\nmirror = {{ principal = \"alpha\", {more} }}\n"
        )))
    };
    for (more, said) in [
        ("mirror = \"beta\", databases = 0", "1 to 1000"),
        ("mirror = \"beta\", databases = 1001", "1 to 1000"),
        ("mirror = \"alpha\", databases = 2", "another instance"),
        ("mirror = \"delta\", databases = 2", "delta"),
        ("mirror = \"beta\", databases = 2, prefix = \"a b\"", "file names"),
    ] {
        let told = with(more);
        assert!(told.contains(said), "{more}: {told}");
    }
    let stray = error(
        "[[setup]]\non = \"alpha\"\nmirror = { principal = \"alpha\", mirror = \"beta\", databases = 1 }\n",
    );
    assert!(
        stray.to_string().contains("it names principal and mirror"),
        "{stray}"
    );
}

#[test]
fn a_client_is_told_its_partners_by_a_connection_string_or_key_by_key() {
    let client = |rest: &str| format!("[[client]]\nname = \"app\"\n{rest}\n");
    let scenario = load(&client(
        r#"connection_string = 'Server=ALPHA;Failover Partner=beta.lab.example,1433;Database=Stock;Connect Timeout=7'"#,
    ))
    .unwrap_or_else(|e| panic!("{}", e.report()));
    let app = &scenario.topology.clients[0];
    assert_eq!(app.initial.as_str(), "alpha");
    assert_eq!(
        app.failover_partner.as_ref().map(InstanceName::as_str),
        Some("beta")
    );
    assert_eq!(app.database.as_str(), "Stock");
    assert_eq!(app.login_timeout, Duration::from_secs(7));
    for (rest, said) in [
        ("", "initial"),
        ("connection_string = 'Server=alhpa'", "alhpa"),
        (
            "connection_string = 'Server=alpha;Failover Partner=beta'",
            "Database=",
        ),
        (
            "initial = \"alpha\"\nconnection_string = 'Server=alpha'",
            "initial",
        ),
        ("initial = \"alpha\"\nprovider = \"jdbc\"", "jdbc"),
    ] {
        let told = told(&error(&client(rest)));
        assert!(told.contains(said), "{rest}: {told}");
    }
}

#[test]
fn a_name_nobody_knows_is_answered_with_what_is_near() {
    let hint = |wanted: &str| {
        let error = Library::built_in().find(wanted).expect_err(wanted);
        error.hint.clone().unwrap_or_default()
    };
    assert_eq!(
        hint("failover/automatic_on_kil"),
        "did you mean `failover/automatic_on_kill`?"
    );
    assert_eq!(
        hint("automatic_on_power"),
        "did you mean `failover/automatic_on_power_loss`?"
    );
    let far = hint("zzz");
    assert!(
        far.starts_with("`mirrorlab list` prints all names; they begin with client, "),
        "{far}"
    );
}
