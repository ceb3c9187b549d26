//! The master key of `master`, and certificates: made, imported, exported, changed, dropped.
//!
//! A private key is under the database master key, or under a password of its own; an endpoint can use the former only.
//! The master key opens by itself as long as the service master key encrypts a copy of it; otherwise a session opens it
//! for itself with a password, which helps no endpoint. Source: documented, *CREATE / ALTER / OPEN / DROP MASTER KEY*,
//! *CREATE / ALTER / BACKUP / DROP CERTIFICATE*.

use rand_core::Rng;

use super::super::Instance;
use super::super::batch::{Outcome, StatementResult, Then};
use super::super::catalog::{Certificate, DBO, Login, LoginKind, MasterKey, PrivateKey};
use super::super::io::{DiskError, DiskReply, DiskRequest};
use crate::crypto::certificate::{self, CertificateError};
use crate::crypto::private_key::{SALT_BYTES, UnsealError, seal, unseal};
use crate::error::{SqlError, msg};
use crate::tsql::ast::{
    self, BackupCertificate, CertificateChange, CertificateSource, CreateCertificate, MasterKeyChange, Name,
    PrivateKeySource, Secret,
};
use crate::types::{ConnectionId, ReplyItem, WallTime};

/// Source: documented, *CREATE CERTIFICATE* (64 characters are the limit on Linux alone).
const SUBJECT_CHARS_MAX: usize = 128;
/// What each of the master key's passwords seals, to be told from another.
const MASTER_KEY_MARK: &[u8] = b"database master key";

/// What a certificate statement still needs from the disk.
#[derive(Debug)]
pub(in crate::instance) enum CertificateStep {
    /// The certificate's own file.
    Read(CreateCertificate),
    /// The private key's file of a certificate that was read.
    ReadKey { create: CreateCertificate, der: Vec<u8> },
    /// The private key's file for a certificate that is there.
    ReadKeyFor { name: Name, key: ast::PrivateKey },
    /// The export; then the private key's file.
    Written { next: Option<KeyFile> },
    /// The file with the private key of this certificate.
    KeyWritten { of: Name },
}

/// A private key that BACKUP CERTIFICATE is still to write.
#[derive(Debug)]
pub(in crate::instance) struct KeyFile {
    of: Name,
    path: String,
    bytes: Vec<u8>,
}

impl Instance {
    pub(super) fn create_master_key(
        &mut self,
        connection: ConnectionId,
        password: &Secret,
    ) -> StatementResult {
        if self.catalog.master_key.is_some() {
            return Err(msg::MASTER_KEY_EXISTS.error());
        }
        let key = MasterKey {
            opens_by_itself: true,
            passwords: vec![self.seal(MASTER_KEY_MARK, password)],
        };
        self.catalog.set_master_key(Some(key));
        self.persist(connection, Then::Security)
    }

    pub(super) fn alter_master_key(
        &mut self,
        connection: ConnectionId,
        change: &MasterKeyChange,
    ) -> StatementResult {
        let mut key = self.existing_master_key()?;
        let forced = matches!(change, MasterKeyChange::Regenerate { forced: true, .. });
        if !forced {
            self.need_master_key(connection)?;
        }
        match change {
            MasterKeyChange::Regenerate { password, .. } => {
                key.passwords = vec![self.seal(MASTER_KEY_MARK, password)];
            }
            MasterKeyChange::AddPassword(password) => {
                let sealed = self.seal(MASTER_KEY_MARK, password);
                key.passwords.push(sealed);
            }
            MasterKeyChange::AddServiceMasterKey => key.opens_by_itself = true,
            MasterKeyChange::DropPassword(password) => {
                let dropped = key.passwords.iter().position(|p| opens(p, password));
                let dropped = dropped.ok_or_else(|| msg::KEY_WRONG_DECRYPTOR.error())?;
                if key.passwords.len() == 1 {
                    return Err(msg::NOT_SUPPORTED.with(&[&"to drop the last password of the master key"]));
                }
                key.passwords.remove(dropped);
            }
            MasterKeyChange::DropServiceMasterKey => key.opens_by_itself = false,
        }
        self.catalog.set_master_key(Some(key));
        self.persist(connection, Then::Security)
    }

    /// Opens the master key for this session, until it closes it or ends.
    pub(super) fn open_master_key(&mut self, connection: ConnectionId, password: &Secret) -> StatementResult {
        let key = self.existing_master_key()?;
        if !key.passwords.iter().any(|p| opens(p, password)) {
            return Err(msg::KEY_WRONG_DECRYPTOR.error());
        }
        if let Some(client) = self.clients.get_mut(&connection) {
            client.master_key_open = true;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn close_master_key(&mut self, connection: ConnectionId) -> StatementResult {
        self.existing_master_key()?;
        match self.clients.get_mut(&connection) {
            Some(client) if client.master_key_open => {
                client.master_key_open = false;
                Ok(Outcome::Done)
            }
            _ => Err(msg::KEY_NOT_OPEN.with(&[&"master key"])),
        }
    }

    pub(super) fn drop_master_key(&mut self, connection: ConnectionId) -> StatementResult {
        self.existing_master_key()?;
        let under_it = |c: &&Certificate| matches!(c.private_key, Some(PrivateKey::MasterKey(_)));
        if let Some(held) = self.catalog.certificates().find(under_it) {
            return Err(msg::MASTER_KEY_IN_USE.with(&[&held.name]));
        }
        self.catalog.set_master_key(None);
        self.persist(connection, Then::Security)
    }

    fn existing_master_key(&self) -> Result<MasterKey, SqlError> {
        let missing = || msg::CANNOT_FIND.with(&[&"symmetric key", &"master key"]);
        self.catalog.master_key.clone().ok_or_else(missing)
    }

    /// The master key must be there and open, by itself or in this session (15581).
    fn need_master_key(&self, connection: ConnectionId) -> Result<(), SqlError> {
        let in_session = self.clients.get(&connection).is_some_and(|c| c.master_key_open);
        match &self.catalog.master_key {
            Some(key) if key.opens_by_itself || in_session => Ok(()),
            _ => Err(msg::MASTER_KEY_MISSING.error()),
        }
    }

    fn seal(&mut self, secret: &[u8], password: &Secret) -> Vec<u8> {
        let mut salt = [0; SALT_BYTES];
        self.streams.salts.fill_bytes(&mut salt);
        seal(secret, password.reveal(), salt)
    }

    /// Puts a private key under a password, or under the master key.
    fn protect(
        &mut self,
        connection: ConnectionId,
        pkcs8: Vec<u8>,
        password: Option<&Secret>,
    ) -> Result<PrivateKey, SqlError> {
        match password {
            Some(password) => Ok(PrivateKey::Password(self.seal(&pkcs8, password))),
            None => {
                self.need_master_key(connection)?;
                Ok(PrivateKey::MasterKey(pkcs8))
            }
        }
    }

    /// The private key of a certificate, opened with the password or the master key.
    fn open_private_key(
        &self,
        connection: ConnectionId,
        certificate: &Certificate,
        password: Option<&Secret>,
    ) -> Result<Vec<u8>, SqlError> {
        match (&certificate.private_key, password) {
            (None, _) => Err(msg::CERTIFICATE_NO_PRIVATE_KEY.with(&[&certificate.name])),
            (Some(PrivateKey::MasterKey(pkcs8)), None) => {
                self.need_master_key(connection)?;
                Ok(pkcs8.clone())
            }
            (Some(PrivateKey::MasterKey(_)), Some(_)) => Err(msg::KEY_WRONG_DECRYPTOR.error()),
            (Some(PrivateKey::Password(sealed)), password) => open_sealed(sealed, password),
        }
    }

    pub(super) fn create_certificate(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
    ) -> StatementResult {
        if self.catalog.certificate(create.name.as_str()).is_some() {
            return Err(msg::CERTIFICATE_EXISTS.with(&[&create.name]));
        }
        self.certificate_owner(create.authorization.as_ref())?;
        match &create.source {
            CertificateSource::Generate {
                password,
                subject,
                start_date,
                expiry_date,
            } => {
                let dates = (*start_date, *expiry_date);
                self.generate_certificate(connection, create, password.as_ref(), subject.as_str(), dates)
            }
            CertificateSource::File { path, .. } => {
                let step = CertificateStep::Read(create.clone());
                self.read_for_certificate(connection, path.as_str(), step)
            }
            CertificateSource::Binary { bytes, private_key } => {
                read_certificate(bytes).map_err(|_| msg::CERTIFICATE_DATA.error())?;
                self.certificate_and_key(connection, create, bytes.clone(), private_key.as_ref())
            }
            CertificateSource::Assembly(_) => Err(msg::NOT_SUPPORTED.with(&[&"FROM ASSEMBLY"])),
            CertificateSource::ExecutableFile { .. } => {
                Err(msg::NOT_SUPPORTED.with(&[&"FROM EXECUTABLE FILE"]))
            }
        }
    }

    /// The user that is named, or dbo. Neither a role nor a user whose login is mapped to a certificate can own one.
    fn certificate_owner(&self, user: Option<&Name>) -> Result<String, SqlError> {
        match user {
            None => Ok(DBO.to_owned()),
            Some(name) if name.as_str().eq_ignore_ascii_case(DBO) => Ok(DBO.to_owned()),
            Some(name) if is_database_role(name.as_str()) => Err(msg::CANNOT_OWN.with(&[name]).at(name.span)),
            Some(name) => match self.catalog.user(name.as_str()) {
                Some(user) if self.is_mapped_to_certificate(&user.login) => {
                    Err(msg::CANNOT_OWN.with(&[name]).at(name.span))
                }
                Some(user) => Ok(user.name.clone()),
                None => Err(msg::CANNOT_FIND.with(&[&"user", name]).at(name.span)),
            },
        }
    }

    fn is_mapped_to_certificate(&self, login: &str) -> bool {
        let login = self.catalog.login(login);
        login.is_some_and(|l| l.kind == LoginKind::Certificate)
    }

    fn generate_certificate(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
        password: Option<&Secret>,
        subject: &str,
        (start, expiry): (Option<WallTime>, Option<WallTime>),
    ) -> StatementResult {
        if password.is_none() {
            self.need_master_key(connection)?;
        }
        if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(msg::CERTIFICATE_SUBJECT.with(&[&SUBJECT_CHARS_MAX]));
        }
        let start = start.unwrap_or(self.now.wall);
        let expiry = expiry.unwrap_or_else(|| a_year_after(start));
        let mut seed = [0; 32];
        self.streams.keys.fill_bytes(&mut seed);
        let generated = certificate::generate(&seed, subject, start, expiry)
            .map_err(|e| msg::CERTIFICATE_FILE.with(&[&create.name, &e]))?;
        let private_key = self.protect(connection, generated.private_key_pkcs8, password)?;
        self.enter_certificate(create, generated.der, Some(private_key))?;
        self.warn_of_dates(connection, start, expiry);
        self.persist(connection, Then::Security)
    }

    fn enter_certificate(
        &mut self,
        create: &CreateCertificate,
        der: Vec<u8>,
        private_key: Option<PrivateKey>,
    ) -> Result<(), SqlError> {
        let certificate = Certificate {
            name: create.name.text.clone(),
            id: self.catalog.next_certificate_id(),
            owner: self.certificate_owner(create.authorization.as_ref())?,
            der,
            private_key,
            active_for_begin_dialog: create.active_for_begin_dialog.unwrap_or(true),
            private_key_backed_up: None,
        };
        self.catalog.put_certificate(certificate);
        Ok(())
    }

    /// Odd dates are only warned of. Source: documented, 15213 to 15215.
    fn warn_of_dates(&mut self, connection: ConnectionId, start: WallTime, expiry: WallTime) {
        let now = self.now.wall;
        let warning = if expiry < start {
            msg::CERTIFICATE_EXPIRY_BEFORE_START.error()
        } else if expiry < now {
            msg::CERTIFICATE_EXPIRED.error()
        } else if start > now {
            msg::CERTIFICATE_NOT_YET_VALID.error()
        } else {
            return;
        };
        self.add_item(connection, ReplyItem::Info(warning));
    }

    fn read_for_certificate(
        &mut self,
        connection: ConnectionId,
        path: &str,
        step: CertificateStep,
    ) -> StatementResult {
        let path = path.to_owned();
        self.ask_disk(
            connection,
            DiskRequest::ReadFile { path },
            Then::Certificate(Box::new(step)),
        )
    }

    /// Goes on with a certificate statement the disk has answered.
    pub(super) fn certificate_step(
        &mut self,
        connection: ConnectionId,
        step: CertificateStep,
        result: Result<DiskReply, DiskError>,
    ) -> StatementResult {
        match step {
            CertificateStep::Read(create) => {
                let CertificateSource::File { path, private_key } = &create.source else {
                    return Ok(Outcome::Done);
                };
                let der = file_bytes(path.as_str(), result)?;
                read_certificate(&der).map_err(|e| match e {
                    CertificateError::Signature => msg::CERTIFICATE_SIGNATURE.error(),
                    other => msg::CERTIFICATE_FILE.with(&[path, &other]),
                })?;
                self.certificate_and_key(connection, &create, der, private_key.as_ref())
            }
            CertificateStep::ReadKey { create, der } => {
                let (CertificateSource::File { private_key, .. }
                | CertificateSource::Binary { private_key, .. }) = &create.source
                else {
                    return Ok(Outcome::Done);
                };
                let Some(key) = private_key else {
                    return Ok(Outcome::Done);
                };
                let bytes = file_bytes(key_path(key), result)?;
                self.import_certificate(connection, &create, der, Some((key, &bytes)))
            }
            CertificateStep::ReadKeyFor { name, key } => {
                let bytes = file_bytes(key_path(&key), result)?;
                self.import_key(connection, &name, &key, &bytes)
            }
            CertificateStep::Written { next } => {
                written(result)?;
                let Some(KeyFile { of, path, bytes }) = next else {
                    return Ok(Outcome::Done);
                };
                self.write_for_certificate(connection, path, bytes, CertificateStep::KeyWritten { of })
            }
            CertificateStep::KeyWritten { of } => {
                written(result)?;
                // Another client may have dropped it meanwhile; the files are there all the same.
                let Some(certificate) = self.catalog.certificate(of.as_str()) else {
                    return Ok(Outcome::Done);
                };
                let mut certificate = certificate.clone();
                certificate.private_key_backed_up = Some(self.now.wall);
                self.catalog.put_certificate(certificate);
                self.persist(connection, Then::Finish)
            }
        }
    }

    /// The certificate is read; its private key may lie in another file.
    fn certificate_and_key(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
        der: Vec<u8>,
        key: Option<&ast::PrivateKey>,
    ) -> StatementResult {
        match key.map(|key| (key, &key.source)) {
            Some((key, PrivateKeySource::File(_))) => {
                let (path, create) = (key_path(key).to_owned(), create.clone());
                self.read_for_certificate(connection, &path, CertificateStep::ReadKey { create, der })
            }
            Some((key, PrivateKeySource::Binary(bytes))) => {
                self.import_certificate(connection, create, der, Some((key, bytes)))
            }
            None => self.import_certificate(connection, create, der, None),
        }
    }

    fn import_certificate(
        &mut self,
        connection: ConnectionId,
        create: &CreateCertificate,
        der: Vec<u8>,
        key: Option<(&ast::PrivateKey, &[u8])>,
    ) -> StatementResult {
        // Another session may have been faster while the files were read.
        let known = self.catalog.certificates().any(|c| c.der == der);
        if known || self.catalog.certificate(create.name.as_str()).is_some() {
            return Err(msg::CERTIFICATE_EXISTS.with(&[&create.name]));
        }
        let private_key = match key {
            None => None,
            Some((key, bytes)) => Some(self.unpack_key(connection, &der, key, bytes)?),
        };
        self.enter_certificate(create, der, private_key)?;
        self.persist(connection, Then::Security)
    }

    /// The private key of `der` as it came from outside, under the protection the statement asks for.
    fn unpack_key(
        &mut self,
        connection: ConnectionId,
        der: &[u8],
        key: &ast::PrivateKey,
        bytes: &[u8],
    ) -> Result<PrivateKey, SqlError> {
        let pkcs8 = open_sealed(bytes, key.decryption.as_ref())?;
        certificate::check_key(der, &pkcs8).map_err(|e| match e {
            CertificateError::KeyOfAnother => msg::PRIVATE_KEY_MISMATCH.error(),
            _ => msg::PRIVATE_KEY_FORMAT.error(),
        })?;
        self.protect(connection, pkcs8, key.encryption.as_ref())
    }

    pub(super) fn alter_certificate(
        &mut self,
        connection: ConnectionId,
        name: &Name,
        change: &CertificateChange,
    ) -> StatementResult {
        let mut certificate = self.certificate_named(name)?;
        match change {
            CertificateChange::RemovePrivateKey => {
                if certificate.private_key.is_none() {
                    return Err(msg::CERTIFICATE_NO_PRIVATE_KEY.with(&[name]));
                }
                certificate.private_key = None;
            }
            CertificateChange::ImportPrivateKey(key) => {
                return match &key.source {
                    PrivateKeySource::Binary(bytes) => self.import_key(connection, name, key, bytes),
                    PrivateKeySource::File(path) => {
                        let (name, key) = (name.clone(), key.clone());
                        let step = CertificateStep::ReadKeyFor { name, key };
                        self.read_for_certificate(connection, path.as_str(), step)
                    }
                };
            }
            CertificateChange::ProtectPrivateKey {
                decryption,
                encryption,
            } => {
                let pkcs8 = self.open_private_key(connection, &certificate, decryption.as_ref())?;
                let protected = self.protect(connection, pkcs8, encryption.as_ref())?;
                certificate.private_key = Some(protected);
            }
            CertificateChange::Owner(user) => certificate.owner = self.certificate_owner(Some(user))?,
            CertificateChange::ActiveForBeginDialog(active) => certificate.active_for_begin_dialog = *active,
        }
        self.catalog.put_certificate(certificate);
        self.persist(connection, Then::Security)
    }

    fn import_key(
        &mut self,
        connection: ConnectionId,
        name: &Name,
        key: &ast::PrivateKey,
        bytes: &[u8],
    ) -> StatementResult {
        let mut certificate = self.certificate_named(name)?;
        let private_key = self.unpack_key(connection, &certificate.der, key, bytes)?;
        certificate.private_key = Some(private_key);
        self.catalog.put_certificate(certificate);
        self.persist(connection, Then::Security)
    }

    fn certificate_named(&self, name: &Name) -> Result<Certificate, SqlError> {
        let found = self.catalog.certificate(name.as_str()).cloned();
        found.ok_or_else(|| msg::CANNOT_FIND.with(&[&"certificate", name]).at(name.span))
    }

    pub(super) fn backup_certificate(
        &mut self,
        connection: ConnectionId,
        backup: &BackupCertificate,
    ) -> StatementResult {
        let certificate = self.certificate_named(&backup.name)?;
        let key_file = match &backup.private_key {
            None => None,
            Some(key) => {
                let pkcs8 = self.open_private_key(connection, &certificate, key.decryption.as_ref())?;
                let Some(password) = &key.encryption else {
                    return Err(msg::PARAMETER_REQUIRED.with(&[&"ENCRYPTION BY PASSWORD"]));
                };
                let PrivateKeySource::File(path) = &key.source else {
                    return Err(msg::NOT_SUPPORTED.with(&[&"BACKUP CERTIFICATE with a BINARY private key"]));
                };
                Some(KeyFile {
                    of: backup.name.clone(),
                    path: path.as_str().to_owned(),
                    bytes: self.seal(&pkcs8, password),
                })
            }
        };
        let path = backup.file.as_str().to_owned();
        let step = CertificateStep::Written { next: key_file };
        self.write_for_certificate(connection, path, certificate.der, step)
    }

    fn write_for_certificate(
        &mut self,
        connection: ConnectionId,
        path: String,
        bytes: Vec<u8>,
        then: CertificateStep,
    ) -> StatementResult {
        self.ask_disk(
            connection,
            DiskRequest::WriteFile { path, bytes },
            Then::Certificate(Box::new(then)),
        )
    }

    /// Refused while the endpoint names it. Source: ours, the manual is silent about endpoints.
    pub(super) fn drop_certificate(&mut self, connection: ConnectionId, name: &Name) -> StatementResult {
        self.certificate_named(name)?;
        let named = self
            .catalog
            .endpoint()
            .and_then(|e| e.config.authentication.certificate());
        if named.is_some_and(|n| n.eq_ignore_ascii_case(name.as_str())) {
            return Err(msg::CERTIFICATE_IN_USE.with(&[name]));
        }
        let id = self.catalog.certificate(name.as_str()).map(|c| c.id);
        let mapped = |l: &&Login| l.certificate.is_some() && l.certificate == id;
        if let Some(login) = self.catalog.logins().find(mapped) {
            return Err(msg::CERTIFICATE_MAPPED.with(&[name, &login.name]));
        }
        self.catalog.drop_certificate(name.as_str());
        self.persist(connection, Then::Security)
    }
}

/// The roles every database has. Source: documented, *Database-level roles*.
fn is_database_role(name: &str) -> bool {
    const ROLES: [&str; 10] = [
        "public",
        "db_owner",
        "db_accessadmin",
        "db_securityadmin",
        "db_ddladmin",
        "db_backupoperator",
        "db_datareader",
        "db_datawriter",
        "db_denydatareader",
        "db_denydatawriter",
    ];
    ROLES.iter().any(|role| role.eq_ignore_ascii_case(name))
}

/// When a certificate without EXPIRY_DATE ends: the same day of the next year, or the first of March.
/// Source: documented, *CREATE CERTIFICATE*.
fn a_year_after(start: WallTime) -> WallTime {
    let utc = start.to_utc();
    let next = utc.year() + 1;
    let end = utc
        .replace_year(next)
        .or_else(|_| utc.saturating_add(time::Duration::DAY).replace_year(next));
    end.map_or(start, |end| {
        WallTime::from_unix_millis(i64::try_from(end.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
    })
}

fn opens(sealed: &[u8], password: &Secret) -> bool {
    unseal(sealed, Some(password.reveal())).is_ok()
}

fn open_sealed(bytes: &[u8], password: Option<&Secret>) -> Result<Vec<u8>, SqlError> {
    unseal(bytes, password.map(Secret::reveal)).map_err(|e| match e {
        UnsealError::PasswordNeeded | UnsealError::PasswordWrong => msg::PRIVATE_KEY_PASSWORD.error(),
        UnsealError::NotSealed => msg::PRIVATE_KEY_NOT_ENCRYPTED.error(),
    })
}

/// The certificate can be read, and a self-signed one was signed with its own key.
fn read_certificate(der: &[u8]) -> Result<(), CertificateError> {
    certificate::parse(der)?;
    certificate::check_signature(der)
}

fn key_path(key: &ast::PrivateKey) -> &str {
    match &key.source {
        PrivateKeySource::File(path) => path.as_str(),
        PrivateKeySource::Binary(_) => "the binary literal",
    }
}

/// What the disk says of a file that was to be written.
fn written(result: Result<DiskReply, DiskError>) -> Result<(), SqlError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(msg::CERTIFICATE_WRITE.with(&[&super::file_of(&error), &error])),
    }
}

/// What was read from `path`; 15208 if nothing was.
fn file_bytes(path: &str, result: Result<DiskReply, DiskError>) -> Result<Vec<u8>, SqlError> {
    match result {
        Ok(DiskReply::File(bytes)) => Ok(bytes),
        Ok(_) => Err(msg::CERTIFICATE_FILE.with(&[&path, &"it is not a file"])),
        Err(error) => Err(msg::CERTIFICATE_FILE.with(&[&path, &error])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsql::parse_datetime;

    #[test]
    fn a_year_is_to_the_same_day() {
        for (start, end) in [
            ("2025-01-01", "2026-01-01"),
            ("2028-01-01T12:00:00", "2029-01-01T12:00:00"),
            ("2028-02-29", "2029-03-01"),
        ] {
            let [start, end] = [start, end].map(|text| parse_datetime(text).expect("a date"));
            assert_eq!(a_year_after(start), end);
        }
    }
}
