//! Databases: `CREATE`, `ALTER … SET | MODIFY FILE`, `BACKUP`, `RESTORE`.
//!
//! Source: documented, *ALTER DATABASE Database Mirroring*, *BACKUP*, *RESTORE*. Options of backups that change nothing
//! here (compression, statistics, names) are read and dropped; those that would change the result are refused.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::msg;
use crate::tsql::ast::*;
use crate::types::Safety;

impl Parser<'_> {
    pub(super) fn create_database(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a database name")?;
        for option in ["ON", "LOG", "COLLATE", "CONTAINMENT", "FOR", "AS"] {
            if self.at_keyword(option) {
                return Err(self.unsupported(1));
            }
        }
        if self.at_keyword("WITH")
            && !self
                .word_at(2)
                .is_some_and(|word| word.eq_ignore_ascii_case("AS"))
        {
            return Err(self.unsupported(1));
        }
        Ok(Statement::CreateDatabase(name))
    }

    pub(super) fn alter_database(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a database name")?;
        if self.at_keyword("MODIFY")
            && self
                .word_at(1)
                .is_some_and(|word| word.eq_ignore_ascii_case("FILE"))
        {
            self.at += 2;
            let change = DatabaseChange::ModifyFile(self.file_change()?);
            return Ok(Statement::AlterDatabase { name, change });
        }
        for change in ["MODIFY", "ADD", "REMOVE", "COLLATE"] {
            if self.at_keyword(change) {
                return Err(self.unsupported(1));
            }
        }
        self.expect_keywords(&["SET"])?;
        let change = if self.keyword("PARTNER") {
            DatabaseChange::Partner(self.partner_option()?)
        } else if self.keyword("WITNESS") {
            DatabaseChange::Witness(self.witness_option()?)
        } else if self.keyword("RECOVERY") {
            let models = [
                RecoveryModel::Full,
                RecoveryModel::Simple,
                RecoveryModel::BulkLogged,
            ];
            DatabaseChange::Recovery(models[self.one_of(&["FULL", "SIMPLE", "BULK_LOGGED"])?])
        } else if self.word().is_some() {
            return Err(self.unsupported(1));
        } else {
            return Err(self.expected("PARTNER, WITNESS or RECOVERY"));
        };
        Ok(Statement::AlterDatabase { name, change })
    }

    /// `(NAME = file, MAXSIZE = n [KB | MB | GB | TB] | UNLIMITED)`. Source: documented; other properties are refused.
    fn file_change(&mut self) -> Parsed<FileChange> {
        self.expect(&Token::LParen)?;
        self.expect_keywords(&["NAME"])?;
        self.expect(&Token::Eq)?;
        let file = self.name("the logical name of a file")?;
        self.expect(&Token::Comma)?;
        if !self.at_keyword("MAXSIZE") && self.word().is_some() {
            return Err(self.unsupported(1));
        }
        self.expect_keywords(&["MAXSIZE"])?;
        self.expect(&Token::Eq)?;
        let bytes_max = match self.keyword("UNLIMITED") {
            true => None,
            false => Some(self.file_size()?),
        };
        if self.peek() == Some(&Token::Comma) {
            return Err(self.unsupported_word("more than one property of a file"));
        }
        self.expect(&Token::RParen)?;
        Ok(FileChange { file, bytes_max })
    }

    /// A size in bytes; MB if no unit is given.
    fn file_size(&mut self) -> Parsed<u64> {
        let start = self.at;
        let number = self.integer("a size")?;
        let units = [("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40)];
        let shift = units
            .iter()
            .find(|(unit, _)| self.keyword(unit))
            .map_or(20, |u| u.1);
        let bytes = u64::try_from(number).ok().and_then(|n| n.checked_mul(1 << shift));
        bytes.ok_or_else(|| {
            msg::VALUE_OUT_OF_RANGE
                .with(&[&number, &"MAXSIZE", &0, &(u64::MAX >> shift)])
                .at(self.span_since(start))
        })
    }

    fn partner_option(&mut self) -> Parsed<PartnerOption> {
        if self.eat(&Token::Eq) {
            return Ok(PartnerOption::Address(self.address()?));
        }
        let words = [
            "FAILOVER",
            "FORCE_SERVICE_ALLOW_DATA_LOSS",
            "OFF",
            "RESUME",
            "SUSPEND",
            "SAFETY",
            "TIMEOUT",
            "REDO_QUEUE",
        ];
        if !words.iter().any(|word| self.at_keyword(word)) {
            return Err(self.expected(&format!("'=' or {}", super::alternatives(&words))));
        }
        Ok(match self.one_of(&words)? {
            0 => PartnerOption::Failover,
            1 => PartnerOption::ForceServiceAllowDataLoss,
            2 => PartnerOption::Off,
            3 => PartnerOption::Resume,
            4 => PartnerOption::Suspend,
            5 => PartnerOption::Safety([Safety::Full, Safety::Off][self.one_of(&["FULL", "OFF"])?]),
            6 => PartnerOption::Timeout(self.integer("a number of seconds")?),
            _ => PartnerOption::RedoQueue(self.redo_queue()?),
        })
    }

    /// `( n MB | UNLIMITED )`, behind `REDO_QUEUE`.
    fn redo_queue(&mut self) -> Parsed<Option<i64>> {
        self.expect(&Token::LParen)?;
        let megabytes = match self.keyword("UNLIMITED") {
            true => None,
            false => {
                let megabytes = self.integer("a number of megabytes or UNLIMITED")?;
                self.expect_keywords(&["MB"])?;
                Some(megabytes)
            }
        };
        self.expect(&Token::RParen)?;
        Ok(megabytes)
    }

    fn witness_option(&mut self) -> Parsed<WitnessOption> {
        if self.eat(&Token::Eq) {
            return Ok(WitnessOption::Address(self.address()?));
        }
        match self.keyword("OFF") {
            true => Ok(WitnessOption::Off),
            false => Err(self.expected("'=' or OFF")),
        }
    }

    fn address(&mut self) -> Parsed<Text> {
        self.text("a server network address in quotation marks: 'TCP://system:port'")
    }

    pub(super) fn backup(&mut self) -> Parsed<Statement> {
        self.next();
        if self.keyword("CERTIFICATE") {
            return self.backup_certificate();
        }
        if self.at_keyword("MASTER") || self.at_keyword("SERVICE") {
            return Err(self.unsupported_word("BACKUP of a key"));
        }
        let kind = self.backup_kind("DATABASE, LOG or CERTIFICATE")?;
        let database = self.name("a database name")?;
        self.expect_keywords(&["TO"])?;
        let file = self.device()?;
        let mut backup = Backup {
            kind,
            database,
            file,
            init: false,
            copy_only: false,
            norecovery: false,
        };
        self.with_options(|parser| {
            if parser.keyword("INIT") || parser.keyword("FORMAT") {
                backup.init = true;
            } else if kind == BackupKind::Database && parser.keyword("DIFFERENTIAL") {
                backup.kind = BackupKind::Differential;
            } else if parser.keyword("COPY_ONLY") {
                backup.copy_only = true;
            } else if kind == BackupKind::Log && parser.keyword("NORECOVERY") {
                backup.norecovery = true;
            } else {
                return parser.harmless_option(&[
                    "NOINIT",
                    "NOFORMAT",
                    "COMPRESSION",
                    "NO_COMPRESSION",
                    "SKIP",
                    "NOSKIP",
                ]);
            }
            Ok(())
        })?;
        Ok(Statement::Backup(backup))
    }

    pub(super) fn restore(&mut self) -> Parsed<Statement> {
        self.next();
        for form in [
            "FILELISTONLY",
            "HEADERONLY",
            "LABELONLY",
            "VERIFYONLY",
            "REWINDONLY",
            "MASTER",
            "SERVICE",
        ] {
            if self.at_keyword(form) {
                return Err(self.unsupported_word(&format!("RESTORE {form}")));
            }
        }
        let kind = self.backup_kind("DATABASE or LOG")?;
        let database = self.name("a database name")?;
        let file = match self.keyword("FROM") {
            true => Some(self.device()?),
            false => None,
        };
        let mut restore = Restore {
            kind,
            database,
            file,
            norecovery: false,
            replace: false,
        };
        self.with_options(|parser| {
            if parser.keyword("NORECOVERY") {
                restore.norecovery = true;
            } else if parser.keyword("RECOVERY") {
                restore.norecovery = false;
            } else if parser.keyword("REPLACE") {
                restore.replace = true;
            } else if parser.at_keyword("FILE") {
                let start = parser.at;
                parser.next();
                parser.expect(&Token::Eq)?;
                if parser.integer("a number")? != 1 {
                    parser.at = start;
                    return Err(parser.unsupported_word("FILE other than 1"));
                }
            } else if parser.keyword("MOVE") {
                parser.text("a logical file name")?;
                parser.expect_keywords(&["TO"])?;
                parser.text("a file name")?;
            } else {
                return parser.harmless_option(&[]);
            }
            Ok(())
        })?;
        Ok(Statement::Restore(restore))
    }

    fn backup_kind(&mut self, expected: &str) -> Parsed<BackupKind> {
        if self.keyword("DATABASE") {
            Ok(BackupKind::Database)
        } else if self.keyword("LOG") {
            Ok(BackupKind::Log)
        } else {
            Err(self.expected(expected))
        }
    }

    /// `DISK = 'file'`.
    fn device(&mut self) -> Parsed<Text> {
        for device in ["TAPE", "URL", "VIRTUAL_DEVICE"] {
            if self.at_keyword(device) {
                return Err(self.unsupported(1));
            }
        }
        self.expect_keywords(&["DISK"])?;
        self.expect(&Token::Eq)?;
        let file = self.text("a file name in quotation marks")?;
        if self.peek() == Some(&Token::Comma) {
            return Err(self.unsupported_word("more than one backup device"));
        }
        Ok(file)
    }

    fn with_options(&mut self, mut one: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        // `WITH name AS (` begins a query behind this statement only after a semicolon, so a WITH here is ours.
        if !self.keyword("WITH") {
            return Ok(());
        }
        loop {
            one(self)?;
            if !self.eat(&Token::Comma) {
                return Ok(());
            }
        }
    }

    /// An option that changes nothing here.
    fn harmless_option(&mut self, more: &[&str]) -> Parsed<()> {
        let flags = [
            "CHECKSUM",
            "NO_CHECKSUM",
            "STOP_ON_ERROR",
            "NOREWIND",
            "REWIND",
            "NOUNLOAD",
            "UNLOAD",
        ];
        if more.iter().chain(&flags).any(|flag| self.at_keyword(flag)) {
            self.next();
            return Ok(());
        }
        if self.keyword("STATS") {
            if self.eat(&Token::Eq) {
                self.integer("a percentage")?;
            }
            return Ok(());
        }
        for text in ["NAME", "DESCRIPTION", "MEDIANAME", "MEDIADESCRIPTION"] {
            if self.keyword(text) {
                self.expect(&Token::Eq)?;
                self.text("a character string")?;
                return Ok(());
            }
        }
        match self.word() {
            Some(_) => Err(self.unsupported(1)),
            None => Err(self.expected("an option")),
        }
    }
}
