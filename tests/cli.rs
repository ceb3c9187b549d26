//! The command line: what is wrong is said clearly, on the standard error, with exit code 2.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn mirrorlab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mirrorlab"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program runs")
}

/// Exit code 2, nothing on the standard output; what the standard error says.
fn complaint(args: &[&str]) -> String {
    let output = mirrorlab(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    let text = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn scratch(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a scratch file");
    path
}

#[test]
fn wrong_arguments_are_explained() {
    assert!(complaint(&["run", "--seed", "x"]).contains("invalid value 'x' for '--seed <N>'"));
    assert!(complaint(&["run", "--seed", "-1"]).contains("-1"));
    assert!(complaint(&["run", "--seeds", "3..1"]).contains("'3..1' is not a list of seeds"));
    assert!(complaint(&["run", "--seed", "1", "--seeds", "1..2"]).contains("cannot be used with"));
    assert!(complaint(&["run", "--jobs", "0"]).contains("0 is not in 1..=1024"));
    assert!(complaint(&["run", "--format", "xml"]).contains("possible values: pretty, json"));
    assert!(complaint(&["repro", "failover/automatic_on_kill"]).contains("not a scenario and a seed"));
    assert!(complaint(&["repro", "failover@1"]).contains("not a scenario and a seed"));
    assert!(complaint(&["check"]).contains("<PATH>..."));
}

#[test]
fn a_scenario_that_is_not_there_gets_a_suggestion() {
    let text = complaint(&["run", "failover/automatic_on_kil"]);
    assert!(
        text.contains("did you mean `failover/automatic_on_kill`?"),
        "{text}"
    );
    let text = complaint(&["run", "nowhere/at_all.toml"]);
    assert!(text.contains("there is no such file"), "{text}");
    let text = complaint(&["check", "nowhere/at_all.toml"]);
    assert!(text.contains("cannot read it"), "{text}");
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let text = complaint(&[
        "run",
        "endpoint/port_taken_twice",
        "--trace",
        "/nowhere/trace.jsonl",
    ]);
    assert!(text.contains("cannot write /nowhere/trace.jsonl"), "{text}");
}

#[test]
fn a_capture_is_of_one_run_and_of_a_wire() {
    let file = std::env::temp_dir().join(format!("mirrorlab-{}.pcap", std::process::id()));
    let path = file.to_str().expect("a plain name");
    let text = complaint(&[
        "run",
        "endpoint/port_taken_twice",
        "--seeds",
        "1..2",
        "--pcap",
        path,
    ]);
    assert!(text.contains("--pcap is for one run, and these are 2"), "{text}");
    let text = complaint(&[
        "repro",
        "failover/automatic_on_kill@1",
        "--kernel",
        "turmoil",
        "--pcap",
        path,
    ]);
    assert!(text.contains("no wire to listen on"), "{text}");
    assert!(!file.exists());
    let output = mirrorlab(&["run", "endpoint/port_taken_twice", "--seed", "1", "--pcap", path]);
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&file).expect("written");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes());
    assert!(bytes.len() > 1_000);
}

#[test]
fn check_shows_the_place_and_a_hint() {
    let text = "promise = \"P.\"\nrisk = \"R.\"\nuntil = \"9s\"\nextends = \"trio\"\n\n\
                [[step]]\nat = \"1s\"\nfault = { kind = \"kill\", instance = \"alhpa\" }\n\n\
                [[expect]]\nno_failover = true\n";
    let path = scratch("typo.toml", text);
    let text = complaint(&["check", &path.display().to_string()]);
    assert!(
        text.contains("typo.toml:8:37: instance `alhpa` is not declared"),
        "{text}"
    );
    assert!(text.contains("did you mean `alpha`?"), "{text}");
}

#[test]
fn check_accepts_the_scenarios_there_are() {
    let output = mirrorlab(&["check", "scenarios"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    assert!(text.contains("automatic_on_kill.toml: ok"), "{text}");
}

#[test]
fn list_names_every_scenario_with_its_promise() {
    let output = mirrorlab(&["list"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    assert!(
        text.contains("figure/two_instances_one_system\n    Two instances"),
        "{text}"
    );
    assert!(!text.contains("_shared"), "{text}");
}

#[test]
fn the_built_in_scenarios_serve_elsewhere() {
    let output = Command::new(env!("CARGO_BIN_EXE_mirrorlab"))
        .arg("list")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, mirrorlab(&["list"]).stdout);
}

/// Exit code 0, nothing on the standard error; what the standard output says.
fn answer(args: &[&str]) -> String {
    let output = mirrorlab(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text is UTF-8")
}

#[test]
fn errors_explains_a_number_like_a_manual_page() {
    let page = answer(&["errors", "1418"]);
    for part in [
        "1418  level 16, not written to the error log by itself",
        "What it means\n",
        "What to check, in order\n   1. Is the mirror database ready",
        "    9692  Another process has the endpoint's port.",
        "Scenarios that show it\n",
        "    security/login_without_connect\n",
        "Source\n    documented, MSSQLSERVER_1418\n",
    ] {
        assert!(page.contains(part), "`{part}` is missing in\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    let two = answer(&["errors", "28034", "28030"]);
    assert!(
        two.contains("28034  level 10") && two.contains("28030  level 10"),
        "{two}"
    );
    assert!(two.contains("Why mirrorlab does not raise it\n"), "{two}");
}

#[test]
fn errors_lists_and_searches() {
    let all = answer(&["errors"]);
    for part in ["Mirroring sessions (mirroring)\n", "   1418   ", "  28030 - "] {
        assert!(all.contains(part), "`{part}` is missing in\n{all}");
    }
    let listening = answer(&["errors", "listener", "netstat"]);
    assert!(
        listening.contains("9692") && listening.contains("26023"),
        "{listening}"
    );
    assert!(
        !listening.contains("28034") && !listening.contains("9690"),
        "{listening}"
    );
}

#[test]
fn errors_says_what_it_does_not_know() {
    let text = complaint(&["errors", "1417", "14181"]);
    assert!(
        text.contains("there is no number 14181 in the manual; near it are "),
        "{text}"
    );
    for words in [&["errors", ""][..], &["errors", "listener", " "]] {
        let text = complaint(words);
        assert!(text.contains("is no word to look for"), "{text}");
    }
    let text = complaint(&["errors", "99999999999"]);
    assert!(
        text.contains("no entry speaks of '99999999999'; the areas are statements, "),
        "{text}"
    );
}

#[test]
fn errors_as_json_is_one_object_a_line() {
    let text = answer(&["errors", "1418", "28034", "--format", "json"]);
    let pages: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[0]["number"], 1418);
    assert_eq!(pages[0]["severity"], 16);
    assert_eq!(pages[1]["area"], "handshake");
    for key in [
        "text",
        "cause",
        "check",
        "seen_by",
        "related",
        "scenarios",
        "source",
    ] {
        assert!(!pages[1][key].is_null(), "{key} is missing in {}", pages[1]);
    }
}

#[test]
fn json_is_one_object_a_run_and_nothing_else() {
    let output = mirrorlab(&[
        "run",
        "endpoint/port_taken_twice",
        "--seeds",
        "1..2",
        "--format",
        "json",
    ]);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let runs: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(runs.len(), 2);
    for (run, seed) in runs.iter().zip(1..) {
        assert_eq!(run["scenario"], "endpoint/port_taken_twice");
        assert_eq!(run["seed"], seed);
        for key in [
            "verdict",
            "failures",
            "trace_hash",
            "virtual_seconds",
            "wall_seconds",
            "events",
            "faults",
            "repro",
        ] {
            assert!(!run[key].is_null(), "{key} is missing in {run}");
        }
    }
}

#[test]
fn a_closed_output_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mirrorlab"))
        .arg("list")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let mut text = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut text)
        .expect("messages are UTF-8");
    let status = child.wait().expect("it ends");
    assert!(text.is_empty(), "{text}");
    assert_eq!(status.code(), Some(0));
}

/// The command that a run prints shows that run again, also when the scenario is a file of its own.
#[test]
fn a_run_of_a_file_is_repeated_by_the_command_it_prints() {
    let folder = std::env::temp_dir().join(format!("mirrorlab-repro-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("mine.toml");
    let text = "promise = \"P.\"\nrisk = \"R.\"\nsource = \"ours\"\nextends = \"pair\"\nuntil = \"1s\"\n\
                [[expect]]\non = \"alpha\"\nrole = \"MIRROR\"\n";
    std::fs::write(&file, text).expect("a file");
    let program = env!("CARGO_BIN_EXE_mirrorlab");
    let run = std::process::Command::new(program)
        .arg("run")
        .arg(&file)
        .args(["--seed", "7"])
        .output();
    let printed = String::from_utf8(run.expect("it runs").stdout).expect("UTF-8");
    let line = printed
        .lines()
        .find(|l| l.starts_with("mirrorlab repro "))
        .expect("a failing run prints it");
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let again = std::process::Command::new(program)
        .args(words)
        .output()
        .expect("it runs");
    std::fs::remove_dir_all(&folder).expect("clean up");
    assert_eq!(
        again.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    assert!(String::from_utf8_lossy(&again.stdout).contains("seed 7"));
}

#[test]
fn endpoint_statements_are_printed_as_a_script_and_refusals_explained() {
    let output = mirrorlab(&[
        "endpoint",
        "wizard",
        "--service-account",
        "adv\\one",
        "--partner-account",
        "ADV\\two",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let script = String::from_utf8(output.stdout).expect("a script is UTF-8");
    let batches = mirrorlab::tsql::split_batches(&script);
    assert_eq!(batches.len(), 3, "{script}");
    for batch in &batches {
        mirrorlab::tsql::parse(&batch.text).unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    assert!(
        script.contains("GRANT CONNECT ON ENDPOINT::Hadr_endpoint TO [ADV\\two]"),
        "{script}"
    );

    let wizard = ["endpoint", "wizard", "--service-account", "ADV\\one"];
    let text = complaint(&[&wizard[..], &["--certificate", "k"]].concat());
    assert!(
        text.contains("certificates across instances have no automated method"),
        "{text}"
    );
    let text = complaint(&["endpoint", "wizard", "--service-account", "LocalSystem"]);
    assert!(text.contains("needs a domain user account"), "{text}");
    let text = complaint(&["endpoint", "new", "--authentication-order", "CertificateNtlm"]);
    assert!(text.contains("--certificate NAME"), "{text}");
    for (command, words) in [
        (&["new", "##MS_mine"][..], "Msg 7869"),
        (&["new", "TSQL Default TCP"], "Msg 15530"),
        (&["new", "dedicated admin connection"], "administrator"),
        (&["set", "TSQL Local Machine", "--state", "started"], "Msg 40517"),
        (
            &["wizard", "--service-account", "ADV\\one", "--name", "##ms_"],
            "Msg 7869",
        ),
    ] {
        let text = complaint(&[&["endpoint"], command].concat());
        assert!(
            text.contains("would refuse the endpoint's name"),
            "{command:?}: {text}"
        );
        assert!(text.contains(words), "{command:?}: {text}");
    }
    assert!(complaint(&["endpoint", "set"]).contains("nothing to change"));
    assert!(complaint(&["endpoint", "new", "--port", "1023"]).contains("1023 is not in 1024..=65535"));
    assert!(
        complaint(&["endpoint", "new", "--encryption", "Maybe"]).contains("Disabled, Supported, Required")
    );
}
