//! Where scenarios come from: files on disk, or the copies built into the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::Scenario;
use super::error::{Problem, ScenarioError, near, suggest};
use super::lower::{Base, lower, lower_base, read};
use super::raw::RawScenario;

/// How many names a hint gives at most.
const HINTS_MAX: usize = 3;

/// The folder of shared topologies and set-ups; what is in it is extended, not run.
pub const SHARED: &str = "_shared";

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// A tree of scenario files by name (`failover/automatic_on_kill`), shared ones included.
#[derive(Debug, Clone, Default)]
pub struct Library {
    files: BTreeMap<String, Source>,
}

#[derive(Debug, Clone)]
struct Source {
    /// How messages call the file.
    file: String,
    text: String,
}

impl Library {
    /// The scenarios that were compiled in.
    pub fn built_in() -> Library {
        let mut library = Library::default();
        library.add_dir(&BUILT_IN);
        library
    }

    /// Every `.toml` file under `root`, by its path below it.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be read.
    pub fn read_folder(root: &Path) -> Result<Library, ScenarioError> {
        let mut library = Library::default();
        let mut pending = vec![root.to_owned()];
        while let Some(folder) = pending.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))?;
            for entry in entries {
                let path = entry.map_err(|e| unreadable(&folder, &e))?.path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|e| e == "toml") {
                    library.insert_file(&path, &name_below(root, &path))?;
                }
            }
        }
        Ok(library)
    }

    /// Reads one file from disk; its name is its path below the nearest folder called `scenarios`, or its stem.
    ///
    /// What it extends is looked for in `_shared` beside it, then in each folder above, then among the built-in files.
    ///
    /// # Errors
    /// If the file cannot be read or is not a valid scenario.
    pub fn load_file(path: &Path) -> Result<Scenario, ScenarioError> {
        let mut library = Library::built_in();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folders: Vec<PathBuf> = absolute
            .ancestors()
            .skip(1)
            .map(|f| f.join(SHARED))
            .filter(|f| f.is_dir())
            .collect();
        for folder in folders.iter().rev() {
            for (name, source) in Library::read_folder(folder)?.files {
                library.files.insert(format!("{SHARED}/{name}"), source);
            }
        }
        let root = absolute
            .ancestors()
            .skip(1)
            .find(|f| f.file_name().is_some_and(|n| n == "scenarios"))
            .or_else(|| absolute.parent());
        let name = name_below(root.unwrap_or(Path::new("")), &absolute);
        library.insert_file(path, &name)?;
        let mut scenario = library.load(&name)?;
        scenario.call = path.display().to_string();
        Ok(scenario)
    }

    /// One file by name and text, for tests and tools.
    pub fn insert(&mut self, name: &str, text: &str) {
        let source = Source {
            file: format!("{name}.toml"),
            text: text.to_owned(),
        };
        self.files.insert(name.to_owned(), source);
    }

    /// Names of the scenarios that can be run, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files
            .keys()
            .map(String::as_str)
            .filter(|name| !is_shared(name))
    }

    /// The names that `wanted` means: itself, or everything below it (`failover`).
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, wanted: &str) -> Result<Vec<String>, ScenarioError> {
        let wanted = wanted.trim_end_matches('/').trim_end_matches(".toml");
        let below = format!("{wanted}/");
        let found: Vec<String> = self
            .names()
            .filter(|name| *name == wanted || name.starts_with(&below))
            .map(str::to_owned)
            .collect();
        match found.is_empty() {
            true => Err(ScenarioError::whole(wanted, Problem::NotFound, self.hint(wanted))),
            false => Ok(found),
        }
    }

    /// What `wanted` may have meant: a name that is near, names that contain it, or else in which areas there are any.
    fn hint(&self, wanted: &str) -> Option<String> {
        if let Some(near) = near(wanted, self.names()) {
            return Some(format!("did you mean `{near}`?"));
        }
        let lower = wanted.to_ascii_lowercase();
        let containing: Vec<String> = self
            .names()
            .filter(|name| !lower.is_empty() && name.contains(&lower))
            .take(HINTS_MAX)
            .map(|name| format!("`{name}`"))
            .collect();
        if !containing.is_empty() {
            return Some(format!("did you mean {}?", containing.join(" or ")));
        }
        let areas: BTreeSet<&str> = self
            .names()
            .filter_map(|name| Some(name.split_once('/')?.0))
            .collect();
        let areas: Vec<&str> = areas.into_iter().collect();
        (!areas.is_empty()).then(|| {
            format!(
                "`mirrorlab list` prints all names; they begin with {}",
                areas.join(", ")
            )
        })
    }

    /// Parses and checks one scenario.
    ///
    /// # Errors
    /// If it does not exist or is not valid.
    pub fn load(&self, name: &str) -> Result<Scenario, ScenarioError> {
        let source = self
            .files
            .get(name)
            .ok_or_else(|| ScenarioError::whole(name, Problem::NotFound, self.hint(name)))?;
        let raw = read(&source.file, &source.text)?;
        let base = self.base_of(source, &raw, &mut vec![name.to_owned()])?;
        lower(name, &source.file, &source.text, &raw, base)
    }

    /// What the file extends, lowered; empty if nothing.
    fn base_of(
        &self,
        source: &Source,
        raw: &RawScenario,
        path: &mut Vec<String>,
    ) -> Result<Base, ScenarioError> {
        let Some(extends) = &raw.extends else {
            return Ok(Base::default());
        };
        let error =
            |problem, hint| ScenarioError::at(&source.file, &source.text, extends.span(), problem, hint);
        let name = format!("{SHARED}/{}", extends.get_ref());
        if path.contains(&name) {
            return Err(error(Problem::Cycle(extends.get_ref().clone()), None));
        }
        let Some(shared) = self.files.get(&name) else {
            let known = self
                .files
                .keys()
                .filter_map(|n| n.strip_prefix(SHARED)?.strip_prefix('/'));
            return Err(error(
                Problem::UnknownName {
                    what: "shared file",
                    name: extends.get_ref().clone(),
                },
                suggest(extends.get_ref(), known),
            ));
        };
        path.push(name);
        let raw = read(&shared.file, &shared.text)?;
        let base = self.base_of(shared, &raw, path)?;
        lower_base(&shared.file, &shared.text, &raw, base)
    }

    fn insert_file(&mut self, path: &Path, name: &str) -> Result<(), ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
        let source = Source {
            file: path.display().to_string(),
            text,
        };
        self.files.insert(name.to_owned(), source);
        Ok(())
    }

    fn add_dir(&mut self, dir: &Dir<'static>) {
        for file in dir.files() {
            let path = file.path();
            if let (Some(text), true) = (
                file.contents_utf8(),
                path.extension().is_some_and(|e| e == "toml"),
            ) {
                let source = Source {
                    file: format!("scenarios/{}", path.display()),
                    text: text.to_owned(),
                };
                self.files.insert(name_below(Path::new(""), path), source);
            }
        }
        for below in dir.dirs() {
            self.add_dir(below);
        }
    }
}

fn is_shared(name: &str) -> bool {
    name.split('/').any(|part| part == SHARED)
}

/// `failover/automatic_on_kill`: the path below `root`, `/` between parts, without the extension.
fn name_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let parts: Vec<String> = below
        .components()
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

fn unreadable(path: &Path, error: &std::io::Error) -> ScenarioError {
    ScenarioError::whole(
        &path.display().to_string(),
        Problem::Unreadable(error.to_string()),
        None,
    )
}
