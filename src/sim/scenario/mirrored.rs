//! `[[setup]] mirror = { … }`: a number of databases mirrored alike, spelled out as the batches a DBA would run.
//!
//! `databases = 3, prefix = "Db"` means Db1, Db2 and Db3; numbers are padded to one width (Db001 … Db100). Each is created
//! on the principal with the clients' table, backed up, restored WITH NORECOVERY on the mirror, mirrored with SAFETY FULL
//! and, if there is one, given the witness. The piece is complete when both copies of all of them are SYNCHRONIZED. The
//! instances must have their endpoints already. Source: ours; the order is that of *Setting Up Database Mirroring*.

use std::fmt::Write;
use std::time::Duration;

use super::{Condition, Setup};
use crate::sim::script::CLIENT_TABLE;
use crate::types::{DatabaseName, InstanceName, LinkState, MirroringState, ServerAddress};

/// The most databases one piece of set-up mirrors.
pub(super) const DATABASES_MAX: u32 = 1_000;

/// What a number of databases are mirrored between.
#[derive(Debug, Clone)]
pub(super) struct Mirrored {
    pub prefix: String,
    /// The first number and how many follow, itself included.
    pub first: u32,
    pub count: u32,
    pub principal: Partner,
    pub mirror: Partner,
    pub witness: Option<ServerAddress>,
    /// How long each wait may take.
    pub within: Duration,
}

/// One partner: its name, its system and where its endpoint is reached.
#[derive(Debug, Clone)]
pub(super) struct Partner {
    pub instance: InstanceName,
    pub system: String,
    pub endpoint: ServerAddress,
}

impl Mirrored {
    /// The names, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let last = self.first.saturating_add(self.count.saturating_sub(1));
        let width = last.to_string().len();
        (self.first..=last)
            .map(|number| format!("{}{number:0width$}", self.prefix))
            .collect()
    }

    /// The pieces of set-up this stands for.
    pub(super) fn spelled_out(&self) -> Vec<Setup> {
        let names = self.names();
        let (principal, mirror) = (&self.principal, &self.mirror);
        let mut pieces = vec![self.script(principal, &names, |sql, name| {
            let _ = writeln!(
                sql,
                "CREATE DATABASE [{name}];\nGO\nUSE [{name}];\nCREATE TABLE {CLIENT_TABLE} (id INT PRIMARY KEY, value INT);\nGO\n\
                 USE master;\nBACKUP DATABASE [{name}] TO DISK = '{}' WITH FORMAT;\nBACKUP LOG [{name}] TO DISK = '{}';\nGO",
                data_backup(name),
                log_backup(name)
            );
        })];
        for name in &names {
            for path in [data_backup(name), log_backup(name)] {
                if principal.system != mirror.system {
                    let (from, to) = (principal.system.clone(), vec![mirror.system.clone()]);
                    pieces.push(Setup::CopyFile { path, from, to });
                }
            }
        }
        pieces.push(self.script(mirror, &names, |sql, name| {
            let _ = writeln!(
                sql,
                "RESTORE DATABASE [{name}] FROM DISK = '{}' WITH NORECOVERY;\n\
                 RESTORE LOG [{name}] FROM DISK = '{}' WITH NORECOVERY;\n\
                 ALTER DATABASE [{name}] SET PARTNER = '{}';\nGO",
                data_backup(name),
                log_backup(name),
                principal.endpoint
            );
        }));
        pieces.push(self.script(principal, &names, |sql, name| {
            let _ = writeln!(
                sql,
                "ALTER DATABASE [{name}] SET PARTNER = '{}';\nGO",
                mirror.endpoint
            );
        }));
        if let Some(witness) = &self.witness {
            pieces.push(self.script(principal, &names, |sql, name| {
                let _ = writeln!(sql, "ALTER DATABASE [{name}] SET WITNESS = '{witness}';\nGO");
            }));
        }
        for name in &names {
            for partner in [principal, mirror] {
                pieces.push(self.synchronized(partner, name));
            }
        }
        pieces
    }

    fn script(&self, on: &Partner, names: &[String], write: impl Fn(&mut String, &str)) -> Setup {
        let mut sql = String::new();
        for name in names {
            write(&mut sql, name);
        }
        Setup::Sql {
            on: on.instance.clone(),
            sql,
        }
    }

    fn synchronized(&self, on: &Partner, database: &str) -> Setup {
        let condition = Condition {
            on: on.instance.clone(),
            database: Some(DatabaseName::new(database)),
            role: None,
            state: Some(MirroringState::Synchronized),
            serving: None,
            witness: self.witness.as_ref().map(|_| LinkState::Connected),
            error_log: None,
            log_text: None,
            alive: None,
        };
        Setup::Wait {
            condition,
            within: self.within,
        }
    }
}

fn data_backup(name: &str) -> String {
    format!(r"C:\backup\{name}.bak")
}

fn log_backup(name: &str) -> String {
    format!(r"C:\backup\{name}.trn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partner(name: &str) -> Partner {
        Partner {
            instance: InstanceName::new(name),
            system: name.to_owned(),
            endpoint: ServerAddress::new(name, 7022),
        }
    }

    fn mirrored(first: u32, count: u32) -> Mirrored {
        Mirrored {
            prefix: "Db".into(),
            first,
            count,
            principal: partner("alpha"),
            mirror: partner("beta"),
            witness: Some(ServerAddress::new("gamma", 7022)),
            within: Duration::from_secs(60),
        }
    }

    #[test]
    fn numbers_are_padded_to_the_width_of_the_last() {
        assert_eq!(mirrored(1, 3).names(), ["Db1", "Db2", "Db3"]);
        assert_eq!(mirrored(99, 2).names(), ["Db099", "Db100"]);
        assert_eq!(mirrored(1, 100).names()[7], "Db008");
    }

    #[test]
    fn every_batch_parses_and_every_copy_is_waited_for() {
        let pieces = mirrored(1, 2).spelled_out();
        let mut shape = String::new();
        for piece in &pieces {
            match piece {
                Setup::Sql { on, sql } => {
                    for batch in crate::tsql::split_batches(sql) {
                        crate::tsql::parse(&batch.text).unwrap_or_else(|e| panic!("{}: {e}", batch.text));
                    }
                    let _ = writeln!(shape, "sql on {on}: {} statements", sql.matches(';').count());
                }
                Setup::CopyFile { path, from, to } => {
                    let _ = writeln!(shape, "copy {path} from {from} to {}", to.join(", "));
                }
                Setup::Wait { condition, .. } => {
                    let _ = writeln!(shape, "wait {condition}");
                }
            }
        }
        insta::assert_snapshot!(shape);
    }

    #[test]
    fn one_system_needs_no_copies() {
        let mut mirrored = mirrored(1, 1);
        mirrored.mirror.system.clone_from(&mirrored.principal.system);
        let pieces = mirrored.spelled_out();
        assert!(!pieces.iter().any(|p| matches!(p, Setup::CopyFile { .. })));
    }
}
