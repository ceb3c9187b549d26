//! File names of the store: safe for any database name and any path, equal for names that differ in case only.
//!
//! A database's files are `<stem>.mdf` and `<stem>.ldf`, where the stem is the name in lower case. Paths of backups and
//! certificates are Windows paths and mean nothing to the host: `C:\certs\a.cer` is the file `files/c%3A/certs/a.cer`.
//! Bytes other than ASCII letters, digits, `_`, `-`, space and `.` become `%XX`. Source: ours.

use sha2::{Digest, Sha256};

use crate::types::DatabaseName;

/// Longest file name component; the file systems we run on allow 255 bytes, an extension comes on top.
const COMPONENT_BYTES_MAX: usize = 200;

/// The file of the `Disk` that holds what T-SQL calls `path` (`C:\certs\a.cer`): for `BACKUP … TO`, `FROM FILE` and a
/// scenario's file copies. `/` and `\` are the same, case does not matter.
pub fn user_file(path: &str) -> String {
    let mut name = String::from("files");
    for part in path.split(['/', '\\']).filter(|part| !part.is_empty()) {
        name.push('/');
        name.push_str(&component(part));
    }
    if name.len() == "files".len() {
        // A path without any name; still a file of its own, never the directory.
        name.push_str("/%");
    }
    name
}

/// What the file names of a database begin with.
pub fn stem(database: &DatabaseName) -> String {
    let stem = component(database.as_str());
    // `master.mdf` is taken.
    if stem == "master" {
        "%6Daster".to_owned()
    } else {
        stem
    }
}

pub fn data_file(stem: &str) -> String {
    format!("{stem}.mdf")
}

pub fn log_file(stem: &str) -> String {
    format!("{stem}.ldf")
}

fn component(text: &str) -> String {
    let lower = text.to_lowercase();
    // `.` and `..` are directories; a name that ends in a dot or a space loses it on some file systems.
    let last = lower.len().saturating_sub(1);
    let mut out = String::with_capacity(lower.len());
    for (i, byte) in lower.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            b'.' | b' ' if i != last && i != 0 => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if out.len() > COMPONENT_BYTES_MAX {
        let digest = Sha256::digest(lower.as_bytes());
        let mark: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
        out.truncate(COMPONENT_BYTES_MAX - mark.len() - 1);
        out.push('~');
        out.push_str(&mark);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_paths_are_names_without_case() {
        assert_eq!(user_file(r"C:\certs\A.cer"), "files/c%3A/certs/a.cer");
        assert_eq!(user_file("c:/CERTS//a.cer"), "files/c%3A/certs/a.cer");
    }

    #[test]
    fn no_path_leaves_its_directory() {
        assert_eq!(user_file("../../etc/passwd"), "files/%2E%2E/%2E%2E/etc/passwd");
        assert_eq!(user_file(""), "files/%");
        assert_eq!(user_file("\\"), "files/%");
        assert_eq!(user_file("a\0b"), "files/a%00b");
    }

    #[test]
    fn database_names_are_escaped_and_never_collide_with_master() {
        let stem = |name: &str| stem(&DatabaseName::new(name));
        assert_eq!(stem("Sales"), "sales");
        assert_eq!(stem("Master"), "%6Daster");
        assert_eq!(stem("a/b"), "a%2Fb");
        assert_eq!(stem(""), "");
        assert_ne!(stem("%6Daster"), stem("master"));
    }

    #[test]
    fn long_names_are_shortened_and_stay_different() {
        let a = stem(&DatabaseName::new("ü".repeat(127) + "a"));
        let b = stem(&DatabaseName::new("ü".repeat(127) + "b"));
        assert!(a.len() <= COMPONENT_BYTES_MAX);
        assert_ne!(a, b);
    }
}
