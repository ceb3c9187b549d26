//! What follows `WITH` in `CREATE LOGIN` and `ALTER LOGIN`.
//!
//! Passwords are not kept (E29), so what the options say of them is checked against each other and has no effect. Source:
//! documented, *CREATE LOGIN*, *ALTER LOGIN*.

use super::super::Instance;
use super::super::batch::StatementResult;
use super::super::catalog::{Login, LoginKind, SA_ID};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{LoginChange, LoginOptions, Name};
use crate::types::ConnectionId;

/// Bytes of the SID of a login with a password.
const SID_BYTES: usize = 16;

/// `name` and `alias` of the languages. Source: documented, *sys.syslanguages*.
const LANGUAGES: [(&str, &str); 34] = [
    ("us_english", "English"),
    ("Deutsch", "German"),
    ("Français", "French"),
    ("日本語", "Japanese"),
    ("Dansk", "Danish"),
    ("Español", "Spanish"),
    ("Italiano", "Italian"),
    ("Nederlands", "Dutch"),
    ("Norsk", "Norwegian"),
    ("Português", "Portuguese"),
    ("Suomi", "Finnish"),
    ("Svenska", "Swedish"),
    ("čeština", "Czech"),
    ("magyar", "Hungarian"),
    ("polski", "Polish"),
    ("română", "Romanian"),
    ("hrvatski", "Croatian"),
    ("slovenčina", "Slovak"),
    ("slovenski", "Slovenian"),
    ("ελληνικά", "Greek"),
    ("български", "Bulgarian"),
    ("русский", "Russian"),
    ("Türkçe", "Turkish"),
    ("British", "British English"),
    ("eesti", "Estonian"),
    ("latviešu", "Latvian"),
    ("lietuvių", "Lithuanian"),
    ("Português (Brasil)", "Brazilian"),
    ("繁體中文", "Traditional Chinese"),
    ("한국어", "Korean"),
    ("简体中文", "Simplified Chinese"),
    ("Arabic", "Arabic"),
    ("ไทย", "Thai"),
    ("norsk (bokmål)", "Bokmål"),
];

impl Instance {
    /// Put the options into a login that is being made or altered; it is not in the catalog yet.
    ///
    /// Errors: 15010 no such database, 15033 no such language, 15099 and 15122 options that exclude each other, 15151
    /// CREDENTIAL (there are none), 15419 and 15433 the SID.
    pub(super) fn set_login_options(
        &self,
        login: &mut Login,
        options: &LoginOptions,
    ) -> Result<(), SqlError> {
        if let Some(credential) = &options.credential {
            return Err(msg::CANNOT_FIND
                .with(&[&"credential", credential])
                .at(credential.span));
        }
        if options.check_expiration == Some(true) && options.check_policy == Some(false) {
            return Err(msg::EXPIRATION_WITHOUT_POLICY.error());
        }
        if options.must_change && options.check_expiration != Some(true) {
            return Err(msg::CHANGE_WITHOUT_EXPIRATION.error());
        }
        if let Some(sid) = &options.sid {
            if sid.len() != SID_BYTES {
                return Err(msg::SID_LENGTH.with(&[&SID_BYTES]));
            }
            if self.catalog.is_sid_taken(sid) {
                return Err(msg::SID_TAKEN.error());
            }
            login.sid.clone_from(sid);
        }
        if let Some(name) = &options.default_database {
            let database = self.existing_name(name).ok_or_else(|| {
                let missing = msg::DEFAULT_DATABASE_MISSING.with(&[name]);
                missing.at(name.span)
            })?;
            login.default_database = Some(database);
        }
        if let Some(wanted) = &options.default_language {
            let is = |known: &str| known.to_lowercase() == wanted.as_str().to_lowercase();
            let known = LANGUAGES.iter().find(|(name, alias)| is(name) || is(alias));
            let (language, _) = known.ok_or_else(|| {
                let missing = msg::LANGUAGE_MISSING.with(&[wanted]);
                missing.at(wanted.span)
            })?;
            login.default_language = Some((*language).to_owned());
        }
        Ok(())
    }

    /// The database's name as it was created, if there is one of this name.
    fn existing_name(&self, name: &Name) -> Option<String> {
        match name.as_str().eq_ignore_ascii_case("master") {
            true => Some("master".to_owned()),
            false => Some(self.catalog.database(name.as_str())?.name.to_string()),
        }
    }

    /// `ALTER LOGIN`. A login that gets another name keeps all else: it is who it was.
    ///
    /// Errors: 15025 the new name is taken, 15151 no such login, 40517 what only some logins have, and those of the options.
    pub(super) fn alter_login(
        &mut self,
        connection: ConnectionId,
        name: &str,
        change: &LoginChange,
    ) -> StatementResult {
        let login = self.catalog.login(name).cloned();
        let mut login = login.ok_or_else(|| msg::CANNOT_FIND.with(&[&"login", &name]))?;
        login.modified = Some(self.now.wall);
        let mut new_name = None;
        match change {
            LoginChange::Enable(enabled) => login.disabled = !enabled,
            LoginChange::Set(options) => {
                if options.password.is_some() && login.kind != LoginKind::Sql {
                    return Err(msg::NOT_SUPPORTED.with(&[&"PASSWORD of a login that has none"]));
                }
                self.set_login_options(&mut login, options)?;
                new_name = options.name.as_ref();
            }
        }
        if let Some(new) = new_name {
            self.check_new_name(&login, new)?;
        }
        self.catalog.put_login(login);
        if let Some(new) = new_name {
            self.rename_login(name, new.as_str());
        }
        self.persist(connection, super::Then::Security)
    }

    fn check_new_name(&self, login: &Login, new: &Name) -> Result<(), SqlError> {
        if login.id == SA_ID || login.kind == LoginKind::Windows {
            let what = "NAME of sa or of a Windows login";
            return Err(msg::NOT_SUPPORTED.with(&[&what]).at(new.span));
        }
        match self.catalog.login(new.as_str()) {
            Some(other) if other.id != login.id => Err(msg::PRINCIPAL_EXISTS.with(&[new]).at(new.span)),
            _ => Ok(()),
        }
    }

    /// The catalog, the clients that are logged in and the peers that are connected know the login by its new name.
    fn rename_login(&mut self, old: &str, new: &str) {
        self.catalog.rename_login(old, new);
        let clients = self.clients.values_mut().map(|c| &mut c.login);
        let peers = self.endpoint.connections.values_mut();
        let peers = peers.flat_map(|o| o.peer.iter_mut().chain(&mut o.kept));
        let peers = peers.map(|peer| &mut peer.principal);
        for known in clients.chain(peers).filter(|n| n.eq_ignore_ascii_case(old)) {
            new.clone_into(known);
        }
    }
}
