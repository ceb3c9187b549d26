//! The layer order and the absences that `src/lib.rs` promises, held by reading the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer may use those before it, never those after it.
const LAYERS: &[&[&str]] = &[
    &["types", "error"],
    &["wire", "crypto"],
    &["domain"],
    &["log"],
    &["endpoint"],
    &["session"],
    &["tsql"],
    &["instance"],
    &["driver"],
    &["sim"],
    &["cli"],
];

/// What the layers before `driver` must not contain.
const ABSENT: &[&str] = &[
    "async fn",
    ".await",
    "tokio::",
    "turmoil",
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "HashMap",
    "HashSet",
    "OsRng",
    "rand::rng",
    "thread_rng",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .expect("src is readable")
        .map(|e| e.expect("entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn layer_of(path: &Path, src: &Path) -> Option<usize> {
    let first = path.strip_prefix(src).ok()?.components().next()?;
    let name = first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    LAYERS.iter().position(|layer| layer.contains(&name.as_str()))
}

/// The lines of a file that are code, with their numbers: no comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
        .map(|(i, l)| (i + 1, l))
}

/// Tests may use what the code they test may not.
fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// Whether `code` holds `word`, not as the beginning of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let after = code[at + word.len()..].chars().next();
        word.ends_with(':') || !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn violations(src: &Path) -> Vec<String> {
    let driver = LAYERS
        .iter()
        .position(|l| l.contains(&"driver"))
        .expect("driver is a layer");
    let mut found = Vec::new();
    for path in sources(src) {
        let Some(layer) = layer_of(&path, src) else {
            continue;
        };
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        for (line, code) in code_lines(&text) {
            for later in LAYERS.iter().skip(layer + 1).flat_map(|l| l.iter()) {
                if code.contains(&format!("crate::{later}::")) {
                    found.push(format!(
                        "{}:{line}: uses the later layer `{later}`: {}",
                        path.display(),
                        code.trim()
                    ));
                }
            }
            if layer < driver && !is_test(&path) {
                for absent in ABSENT.iter().filter(|a| has_word(code, a)) {
                    found.push(format!(
                        "{}:{line}: `{absent}` has no place in the core",
                        path.display()
                    ));
                }
            }
        }
    }
    found
}

#[test]
fn layers_and_absences_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = violations(&src);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_check_finds_a_violation() {
    let dir = std::env::temp_dir().join(format!("mirrorlab-tidy-{}", std::process::id()));
    fs::create_dir_all(dir.join("wire")).expect("temporary directory");
    fs::write(
        dir.join("wire/bad.rs"),
        "use crate::driver::net::Net;\nfn f() { std::fs::read(\"x\"); }\n",
    )
    .expect("write");
    let found = violations(&dir);
    fs::remove_dir_all(&dir).expect("clean up");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
    ];
    for path in sources(&root.join("src"))
        .into_iter()
        .chain(sources(&root.join("tests")))
    {
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        for (line, code) in code_lines(&text) {
            assert!(
                !marks.iter().any(|m| code.contains(m)),
                "{}:{line}: {}",
                path.display(),
                code.trim()
            );
        }
    }
}

/// The names of the catalogue, as `src/error.rs` lists them.
fn catalogue(text: &str) -> Vec<&str> {
    let named = text.lines().filter_map(|line| line.trim().split_once(" = "));
    let named = named.filter(|(name, rest)| {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        name.chars().all(is_name) && rest.starts_with(|c: char| c.is_ascii_digit()) && rest.ends_with("\";")
    });
    named.map(|(name, _)| name).collect()
}

/// A file without its tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {")
        .map_or(text, |(code, _)| code)
}

#[test]
fn every_message_of_the_catalogue_is_raised_by_the_code() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let errors = src.join("error.rs");
    let listed = fs::read_to_string(&errors).expect("source is UTF-8");
    let names = catalogue(&listed);
    assert_eq!(
        names.len(),
        mirrorlab::error::msg::ALL.len(),
        "the catalogue is read wrongly"
    );
    let mut raised: std::collections::BTreeSet<String> = Default::default();
    for path in sources(&src)
        .into_iter()
        .filter(|path| *path != errors && !is_test(path))
    {
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        for (_, code) in code_lines(without_tests(&text)) {
            let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            raised.extend(words.map(str::to_owned));
        }
    }
    let never: Vec<&&str> = names.iter().filter(|name| !raised.contains(**name)).collect();
    assert!(
        never.is_empty(),
        "in the catalogue and never raised: {never:?}\n\
         Take each out of src/error.rs, and end its entry in src/error/manual/ with `not_raised <severity> <logged> \"why\"`."
    );
}
