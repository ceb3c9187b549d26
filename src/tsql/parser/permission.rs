//! `GRANT`, `DENY`, `REVOKE`, `ALTER AUTHORIZATION`, `ALTER SERVER ROLE` and `ALTER ROLE`.
//!
//! Source: documented, *GRANT / DENY / REVOKE Endpoint Permissions*, *… Server Permissions*, *… Server Principal
//! Permissions*, *ALTER AUTHORIZATION*, *ALTER SERVER ROLE*, *ALTER ROLE*.

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::{Span, msg};
use crate::tsql::ast::*;
use crate::types::Permission;

impl Parser<'_> {
    pub(super) fn permission(&mut self, verb: &str) -> Parsed<Statement> {
        self.next();
        let mut grant_option_for = false;
        if verb == "REVOKE" && self.keyword("GRANT") {
            self.expect_keywords(&["OPTION", "FOR"])?;
            grant_option_for = true;
        }
        let mut permissions = vec![self.permission_name()?];
        while self.eat(&Token::Comma) {
            permissions.push(self.permission_name()?);
        }
        let on = self.securable(verb)?;
        for (permission, at) in &permissions {
            if !permission.classes().contains(&on.class()) {
                let expected = format!("a permission on {}", class_name(&on));
                return Err(msg::SYNTAX_NEAR.with(&[permission, &expected]).at(*at));
            }
        }
        match verb {
            "REVOKE" => self.one_of(&["FROM", "TO"]).map(drop)?,
            _ => self.expect_keywords(&["TO"])?,
        }
        let mut principals = vec![self.grantee()?];
        while self.eat(&Token::Comma) {
            principals.push(self.grantee()?);
        }
        let action = match verb {
            "GRANT" => {
                let with_grant_option = self.keyword("WITH");
                if with_grant_option {
                    self.expect_keywords(&["GRANT", "OPTION"])?;
                }
                PermissionAction::Grant { with_grant_option }
            }
            "DENY" => PermissionAction::Deny {
                cascade: self.keyword("CASCADE"),
            },
            _ => PermissionAction::Revoke {
                grant_option_for,
                cascade: self.keyword("CASCADE"),
            },
        };
        let grantor = match self.keyword("AS") {
            true => Some(self.name("a login")?),
            false => None,
        };
        Ok(Statement::Permission(PermissionStatement {
            action,
            permissions: permissions
                .into_iter()
                .map(|(permission, _)| permission)
                .collect(),
            on,
            principals,
            grantor,
        }))
    }

    /// A login, or the role `public`, whose name is a keyword.
    fn grantee(&mut self) -> Parsed<Name> {
        let span = self.span();
        match self.keyword("PUBLIC") {
            true => Ok(Name {
                text: "public".to_owned(),
                span,
            }),
            false => self.name("a login"),
        }
    }

    /// The longest permission that comes next, and where it stands.
    fn permission_name(&mut self) -> Parsed<(Permission, Span)> {
        let start = self.at;
        let comes_next = |permission: &Permission| {
            let mut words = permission.name().split(' ').enumerate();
            words.all(|(i, word)| self.word_at(i).is_some_and(|w| w.eq_ignore_ascii_case(word)))
        };
        let words = |permission: &Permission| permission.name().split(' ').count();
        let found = Permission::ALL.into_iter().filter(comes_next).max_by_key(words);
        let Some(permission) = found else {
            return Err(self.expected("a permission on the server, a login or an endpoint"));
        };
        self.at += words(&permission);
        Ok((permission, self.span_since(start)))
    }

    /// `[ON ENDPOINT::name | ON LOGIN::name]`.
    fn securable(&mut self, verb: &str) -> Parsed<Securable> {
        if !self.keyword("ON") {
            return Ok(Securable::Server);
        }
        let endpoint = self.at_keyword("ENDPOINT");
        if !endpoint && !self.at_keyword("LOGIN") {
            return Err(match self.word() {
                Some(_) => {
                    self.unsupported_word(&format!("{verb} on something other than an endpoint or login"))
                }
                None => self.expected("ENDPOINT:: or LOGIN::"),
            });
        }
        self.next();
        self.expect(&Token::DoubleColon)?;
        Ok(match endpoint {
            true => Securable::Endpoint(self.name("an endpoint name")?),
            false => Securable::Login(self.name("a login")?),
        })
    }

    pub(super) fn alter_authorization(&mut self) -> Parsed<Statement> {
        self.at += 2;
        self.expect_keywords(&["ON"])?;
        if self.keyword("CERTIFICATE") {
            self.expect(&Token::DoubleColon)?;
            let name = self.name("a certificate name")?;
            self.expect_keywords(&["TO"])?;
            let change = CertificateChange::Owner(self.name("a user name")?);
            return Ok(Statement::AlterCertificate { name, change });
        }
        if !self.at_keyword("ENDPOINT") {
            return Err(match self.word() {
                Some(_) => self.unsupported_word(
                    "ALTER AUTHORIZATION on something other than an endpoint or a certificate",
                ),
                None => self.expected("ENDPOINT::"),
            });
        }
        self.next();
        self.expect(&Token::DoubleColon)?;
        let endpoint = self.name("an endpoint name")?;
        self.expect_keywords(&["TO"])?;
        Ok(Statement::AlterAuthorization {
            endpoint,
            owner: self.name("a login")?,
        })
    }

    pub(super) fn alter_server_role(&mut self) -> Parsed<Statement> {
        self.at += 3;
        let role = self.name("a server role")?;
        let add = self.one_of(&["ADD", "DROP"])? == 0;
        self.expect_keywords(&["MEMBER"])?;
        Ok(Statement::AlterServerRole {
            role,
            add,
            member: self.name("a login")?,
        })
    }

    pub(super) fn alter_role(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let role = self.name("a role")?;
        if self.at_keyword("WITH") {
            return Err(self.unsupported_word("another name for a role"));
        }
        let add = self.one_of(&["ADD", "DROP"])? == 0;
        self.expect_keywords(&["MEMBER"])?;
        Ok(Statement::AlterRole {
            role,
            add,
            member: self.name("a user name")?,
        })
    }
}

fn class_name(on: &Securable) -> &'static str {
    match on {
        Securable::Server => "the server (or ON and what it is on)",
        Securable::Login(_) => "a login",
        Securable::Endpoint(_) => "an endpoint",
    }
}
