//! Logins and users.
//!
//! Source: documented, *CREATE LOGIN*, *ALTER LOGIN*, *CREATE USER*.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::msg;
use crate::tsql::ast::*;

/// Options of a login, by the statements that have them.
const OF_WINDOWS: &[&str] = &["DEFAULT_DATABASE", "DEFAULT_LANGUAGE"];
const OF_PASSWORD: &[&str] = &[
    "DEFAULT_DATABASE",
    "DEFAULT_LANGUAGE",
    "SID",
    "CHECK_EXPIRATION",
    "CHECK_POLICY",
    "CREDENTIAL",
];
const OF_ALTER: &[&str] = &[
    "DEFAULT_DATABASE",
    "DEFAULT_LANGUAGE",
    "CHECK_EXPIRATION",
    "CHECK_POLICY",
    "CREDENTIAL",
    "NAME",
    "PASSWORD",
];

impl Parser<'_> {
    pub(super) fn create_login(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a login name")?;
        let mut options = LoginOptions::default();
        if self.keyword("FROM") {
            let source = match self.one_of(&["WINDOWS", "CERTIFICATE", "ASYMMETRIC"])? {
                0 => LoginSource::Windows,
                1 => LoginSource::Certificate(self.name("a certificate name")?),
                _ => {
                    self.expect_keywords(&["KEY"])?;
                    LoginSource::AsymmetricKey(self.name("a key name")?)
                }
            };
            if source == LoginSource::Windows && self.keyword("WITH") {
                self.login_options(OF_WINDOWS, &mut options)?;
            }
            return Ok(Statement::CreateLogin(CreateLogin {
                name,
                source,
                options,
            }));
        }
        if !self.keyword("WITH") {
            return Err(self.expected("WITH PASSWORD, FROM WINDOWS or FROM CERTIFICATE"));
        }
        let (password, hashed) = self.login_password()?;
        options.must_change = self.keyword("MUST_CHANGE");
        if self.eat(&Token::Comma) {
            self.login_options(OF_PASSWORD, &mut options)?;
        }
        Ok(Statement::CreateLogin(CreateLogin {
            name,
            source: LoginSource::Password { password, hashed },
            options,
        }))
    }

    /// `PASSWORD = { '…' | 0x… HASHED }`, and whether it is a hash.
    fn login_password(&mut self) -> Parsed<(Secret, bool)> {
        self.expect_keywords(&["PASSWORD"])?;
        self.expect(&Token::Eq)?;
        let Some(Token::HexStringLiteral(digits)) = self.peek() else {
            return Ok((self.secret()?, false));
        };
        let secret = Secret::new(format!("0x{digits}"));
        self.next();
        self.expect_keywords(&["HASHED"])?;
        Ok((secret, true))
    }

    /// `option = value {, option = value}` of the options in `known`, each at most once.
    fn login_options(&mut self, known: &[&str], options: &mut LoginOptions) -> Parsed<()> {
        let mut seen = Vec::new();
        loop {
            let at = self.span();
            let option = known[self.one_of(known)?];
            if seen.contains(&option) {
                return Err(msg::PARAMETER_TWICE.with(&[&option]).at(at));
            }
            seen.push(option);
            if option == "PASSWORD" {
                self.at -= 1;
                self.new_password(options)?;
            } else {
                self.expect(&Token::Eq)?;
                self.login_option(option, options)?;
            }
            if !self.eat(&Token::Comma) {
                return Ok(());
            }
        }
    }

    fn login_option(&mut self, option: &str, options: &mut LoginOptions) -> Parsed<()> {
        match option {
            "DEFAULT_DATABASE" => options.default_database = Some(self.name("a database name")?),
            "DEFAULT_LANGUAGE" => options.default_language = Some(self.name("a language")?),
            "SID" => options.sid = Some(self.binary()?),
            "CREDENTIAL" => options.credential = Some(self.name("a credential name")?),
            "CHECK_EXPIRATION" => options.check_expiration = Some(self.on_off()?),
            "CHECK_POLICY" => options.check_policy = Some(self.on_off()?),
            _ => options.name = Some(self.name("a login name")?),
        }
        Ok(())
    }

    /// `PASSWORD = … [ OLD_PASSWORD = '…' | [ MUST_CHANGE ] [ UNLOCK ] ]`.
    fn new_password(&mut self, options: &mut LoginOptions) -> Parsed<()> {
        options.password = Some(self.login_password()?.0);
        if self.keyword("OLD_PASSWORD") {
            self.expect(&Token::Eq)?;
            self.secret()?;
        } else {
            options.must_change = self.keyword("MUST_CHANGE");
            self.keyword("UNLOCK");
        }
        Ok(())
    }

    pub(super) fn alter_login(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a login name")?;
        if self.at_keyword("ADD") || self.at_keyword("DROP") {
            return Err(self.unsupported(2));
        }
        let change = match self.one_of(&["ENABLE", "DISABLE", "WITH"])? {
            0 => LoginChange::Enable(true),
            1 => LoginChange::Enable(false),
            _ if self.at_keyword("NO") => return Err(self.unsupported(2)),
            _ => {
                let mut options = LoginOptions::default();
                self.login_options(OF_ALTER, &mut options)?;
                LoginChange::Set(Box::new(options))
            }
        };
        Ok(Statement::AlterLogin { name, change })
    }

    pub(super) fn create_user(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("a user name")?;
        let mut login = None;
        if self.keyword("FOR") || self.keyword("FROM") {
            if self.at_keyword("CERTIFICATE") || self.at_keyword("ASYMMETRIC") || self.at_keyword("EXTERNAL")
            {
                return Err(self.unsupported(1));
            }
            self.expect_keywords(&["LOGIN"])?;
            login = Some(self.name("a login name")?);
        } else if self.at_keyword("WITHOUT") {
            return Err(self.unsupported(2));
        }
        let mut default_schema = None;
        if self.keyword("WITH") {
            self.expect_keywords(&["DEFAULT_SCHEMA"])?;
            self.expect(&Token::Eq)?;
            default_schema = Some(self.name("a schema name")?);
        }
        Ok(Statement::CreateUser {
            name,
            login,
            default_schema,
        })
    }
}
