//! Keys and certificates.
//!
//! Source: documented, *CREATE MASTER KEY*, *CREATE CERTIFICATE*, *BACKUP CERTIFICATE*.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::msg;
use crate::tsql::ast::*;
use crate::tsql::date::parse_datetime;
use crate::types::WallTime;

impl Parser<'_> {
    pub(super) fn master_key(&mut self, verb: &str) -> Parsed<Statement> {
        self.at += 2;
        self.expect_keywords(&["KEY"])?;
        match verb {
            "DROP" => Ok(Statement::DropMasterKey),
            "CLOSE" => Ok(Statement::CloseMasterKey),
            "OPEN" => {
                self.expect_keywords(&["DECRYPTION", "BY"])?;
                Ok(Statement::OpenMasterKey {
                    password: self.password()?,
                })
            }
            "ALTER" => self.alter_master_key().map(Statement::AlterMasterKey),
            _ => {
                self.expect_keywords(&["ENCRYPTION", "BY"])?;
                Ok(Statement::CreateMasterKey {
                    password: self.password()?,
                })
            }
        }
    }

    fn alter_master_key(&mut self) -> Parsed<MasterKeyChange> {
        let word = self.one_of(&["REGENERATE", "FORCE", "ADD", "DROP"])?;
        if word == 1 {
            self.expect_keywords(&["REGENERATE"])?;
        }
        if word < 2 {
            self.expect_keywords(&["WITH", "ENCRYPTION", "BY"])?;
            return Ok(MasterKeyChange::Regenerate {
                forced: word == 1,
                password: self.password()?,
            });
        }
        self.expect_keywords(&["ENCRYPTION", "BY"])?;
        if self.keyword("SERVICE") {
            self.expect_keywords(&["MASTER", "KEY"])?;
            return Ok(match word {
                2 => MasterKeyChange::AddServiceMasterKey,
                _ => MasterKeyChange::DropServiceMasterKey,
            });
        }
        let password = self.password()?;
        Ok(match word {
            2 => MasterKeyChange::AddPassword(password),
            _ => MasterKeyChange::DropPassword(password),
        })
    }

    pub(super) fn alter_certificate(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a certificate name")?;
        let change = match self.one_of(&["REMOVE", "WITH"])? {
            0 => {
                self.expect_keywords(&["PRIVATE", "KEY"])?;
                CertificateChange::RemovePrivateKey
            }
            _ if self.keyword("ACTIVE") => CertificateChange::ActiveForBeginDialog(self.begin_dialog()?),
            _ => {
                self.expect_keywords(&["PRIVATE", "KEY"])?;
                self.expect(&Token::LParen)?;
                match self.at_keyword("FILE") || self.at_keyword("BINARY") {
                    true => CertificateChange::ImportPrivateKey(self.private_key_options()?),
                    false => {
                        let (decryption, encryption) = self.private_key_passwords(true)?;
                        self.expect(&Token::RParen)?;
                        CertificateChange::ProtectPrivateKey {
                            decryption,
                            encryption,
                        }
                    }
                }
            }
        };
        Ok(Statement::AlterCertificate { name, change })
    }

    /// After ACTIVE: `FOR BEGIN_DIALOG = { ON | OFF }`.
    fn begin_dialog(&mut self) -> Parsed<bool> {
        self.expect_keywords(&["FOR", "BEGIN_DIALOG"])?;
        self.expect(&Token::Eq)?;
        self.on_off()
    }

    pub(super) fn create_certificate(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a certificate name")?;
        let authorization = match self.keyword("AUTHORIZATION") {
            true => Some(self.name("a user name")?),
            false => None,
        };
        let source = match self.keyword("FROM") {
            true => self.certificate_from()?,
            false => self.certificate_generate()?,
        };
        let mut active_for_begin_dialog = None;
        if self.keyword("ACTIVE") {
            active_for_begin_dialog = Some(self.begin_dialog()?);
        }
        Ok(Statement::CreateCertificate(CreateCertificate {
            name,
            authorization,
            source,
            active_for_begin_dialog,
        }))
    }

    fn certificate_from(&mut self) -> Parsed<CertificateSource> {
        match self.one_of(&["FILE", "EXECUTABLE", "ASSEMBLY", "BINARY"])? {
            0 => {
                self.expect(&Token::Eq)?;
                Ok(CertificateSource::File {
                    path: self.text("a file name in quotation marks")?,
                    private_key: self.private_key()?,
                })
            }
            1 => {
                self.expect_keywords(&["FILE"])?;
                self.expect(&Token::Eq)?;
                Ok(CertificateSource::ExecutableFile {
                    path: self.text("a file name in quotation marks")?,
                    private_key: self.private_key()?,
                })
            }
            2 => Ok(CertificateSource::Assembly(self.name("an assembly name")?)),
            _ => {
                self.expect(&Token::Eq)?;
                Ok(CertificateSource::Binary {
                    bytes: self.binary()?,
                    private_key: self.private_key()?,
                })
            }
        }
    }

    fn certificate_generate(&mut self) -> Parsed<CertificateSource> {
        let mut password = None;
        if self.keyword("ENCRYPTION") {
            self.expect_keywords(&["BY"])?;
            password = Some(self.password()?);
        }
        if !self.keyword("WITH") {
            return Err(self.expected("FROM, or WITH SUBJECT"));
        }
        let (mut subject, mut start_date, mut expiry_date) = (None, None, None);
        loop {
            let at = self.span();
            let option = self.one_of(&["SUBJECT", "START_DATE", "EXPIRY_DATE"])?;
            self.expect(&Token::Eq)?;
            let twice = |name: &str| msg::PARAMETER_TWICE.with(&[&name]).at(at);
            match option {
                0 if subject.is_some() => return Err(twice("SUBJECT")),
                1 if start_date.is_some() => return Err(twice("START_DATE")),
                2 if expiry_date.is_some() => return Err(twice("EXPIRY_DATE")),
                0 => subject = Some(self.text("a subject in quotation marks")?),
                1 => start_date = Some(self.date()?),
                _ => expiry_date = Some(self.date()?),
            }
            if !self.eat(&Token::Comma) {
                break;
            }
        }
        Ok(CertificateSource::Generate {
            password,
            subject: subject.ok_or_else(|| self.expected("a comma and SUBJECT"))?,
            start_date,
            expiry_date,
        })
    }

    fn date(&mut self) -> Parsed<WallTime> {
        let text = self.text("a date in quotation marks")?;
        parse_datetime(&text.text).map_err(|error| error.at(text.span))
    }

    /// `[ WITH PRIVATE KEY ( … ) ]`.
    fn private_key(&mut self) -> Parsed<Option<PrivateKey>> {
        if !self.keyword("WITH") {
            return Ok(None);
        }
        self.expect_keywords(&["PRIVATE", "KEY"])?;
        self.expect(&Token::LParen)?;
        self.private_key_options().map(Some)
    }

    /// After the parenthesis that opens: where the key comes from, passwords, and the one that closes.
    fn private_key_options(&mut self) -> Parsed<PrivateKey> {
        let binary = self.one_of(&["FILE", "BINARY"])? == 1;
        self.expect(&Token::Eq)?;
        let source = match binary {
            true => PrivateKeySource::Binary(self.binary()?),
            false => PrivateKeySource::File(self.text("a file name in quotation marks")?),
        };
        let (decryption, encryption) = self.private_key_passwords(false)?;
        self.expect(&Token::RParen)?;
        Ok(PrivateKey {
            source,
            decryption,
            encryption,
        })
    }

    /// `DECRYPTION BY PASSWORD` and `ENCRYPTION BY PASSWORD`, each at most once; `begun` if one must come at once.
    fn private_key_passwords(&mut self, mut begun: bool) -> Parsed<(Option<Secret>, Option<Secret>)> {
        let (mut decryption, mut encryption) = (None, None);
        while std::mem::take(&mut begun) || self.eat(&Token::Comma) {
            let at = self.span();
            let encrypts = self.one_of(&["DECRYPTION", "ENCRYPTION"])? == 1;
            self.expect_keywords(&["BY"])?;
            let password = self.password()?;
            let slot = if encrypts {
                &mut encryption
            } else {
                &mut decryption
            };
            if slot.replace(password).is_some() {
                let name = if encrypts {
                    "ENCRYPTION BY PASSWORD"
                } else {
                    "DECRYPTION BY PASSWORD"
                };
                return Err(msg::PARAMETER_TWICE.with(&[&name]).at(at));
            }
        }
        Ok((decryption, encryption))
    }

    pub(super) fn backup_certificate(&mut self) -> Parsed<Statement> {
        let name = self.name("a certificate name")?;
        self.expect_keywords(&["TO", "FILE"])?;
        self.expect(&Token::Eq)?;
        Ok(Statement::BackupCertificate(BackupCertificate {
            name,
            file: self.text("a file name in quotation marks")?,
            private_key: self.private_key()?,
        }))
    }
}
