//! `master`: logins, users, certificates, the endpoint and its permissions, databases, witness records.
//!
//! The catalog is held in memory and mirrored entry by entry into the `master` store: a change is made here, collected as
//! a write, and counts only once the store has confirmed it (`Instance` answers the statement then). Keys are
//! `kind/lower-case name`; values are JSON. Source: derived from *sys.server_principals*, *sys.certificates* and the
//! endpoint pages.

mod known_peers;
mod msdb;
mod permissions;
mod rename;
mod sids;
mod suspect_pages;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::endpoint::config::EndpointConfig;
use crate::session::{PartnerRecord, WitnessRecord};
use crate::types::{DatabaseName, Guid, Lsn, Permission, RecoveryPath, WallTime};

use known_peers::KnownPeer;

pub use msdb::{DBM_MONITOR, DBM_MONITOR_ID, MsdbUser};
pub use permissions::{PUBLIC, PUBLIC_ID, PermissionRow, PermissionState, Securable, ServerRole};
pub use sids::{binary, certificate_sids, principal_sid};
pub use suspect_pages::{REPAIRED, RESTORED, SuspectPage};

/// Ids below are the product's own principals and endpoints.
const FIRST_PRINCIPAL_ID: u32 = 257;
const FIRST_ENDPOINT_ID: u32 = 65_536;
const FIRST_DATABASE_ID: u32 = 5;
const FIRST_CERTIFICATE_ID: u32 = 256;

/// The login every instance is born with; member of sysadmin.
pub const SA: &str = "sa";
pub const SA_ID: u32 = 1;
/// The user `sa` is in `master`; owns what nobody else was named for.
pub const DBO: &str = "dbo";

/// The login of the account the instance runs under.
pub const SERVICE_LOGIN_ID: u32 = 256;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub name: String,
    pub id: u32,
    pub kind: LoginKind,
    pub disabled: bool,
    pub created: WallTime,
    #[serde(default)]
    pub roles: BTreeSet<ServerRole>,
    /// The id of the certificate it is mapped to, if it is.
    #[serde(default)]
    pub certificate: Option<u32>,
    /// The security identifier of a Windows account, or the one another login was given; empty if there is none.
    #[serde(default)]
    pub sid: Vec<u8>,
    /// When it was last altered; absent if it never was.
    #[serde(default)]
    pub modified: Option<WallTime>,
    /// Where its clients begin, if not in `master`.
    #[serde(default)]
    pub default_database: Option<String>,
    /// If not `us_english`.
    #[serde(default)]
    pub default_language: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginKind {
    Sql,
    Windows,
    Certificate,
}

/// A user in `master`, which stands for a login and may own certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub id: u32,
    pub login: String,
    pub created: WallTime,
    /// If not `dbo`.
    #[serde(default)]
    pub default_schema: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    pub name: String,
    pub id: u32,
    /// The owning user in `master`; `dbo` if none was named.
    pub owner: String,
    pub der: Vec<u8>,
    /// Absent for a certificate that was imported without.
    pub private_key: Option<PrivateKey>,
    /// ACTIVE FOR BEGIN_DIALOG; of Service Broker alone.
    pub active_for_begin_dialog: bool,
    /// When the private key was last exported.
    #[serde(default)]
    pub private_key_backed_up: Option<WallTime>,
}

/// A certificate's private key and what protects it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum PrivateKey {
    /// PKCS #8, readable while the master key is open.
    MasterKey(Vec<u8>),
    /// Sealed with a password; no endpoint can use it.
    Password(Vec<u8>),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PrivateKey::MasterKey(_) => "PrivateKey under the master key",
            PrivateKey::Password(_) => "PrivateKey under a password",
        })
    }
}

/// The database master key of `master`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MasterKey {
    /// A copy is encrypted by the service master key: it opens without a password, also for the endpoint.
    pub opens_by_itself: bool,
    /// Something sealed with each of its passwords.
    pub passwords: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: u32,
    pub owner: String,
    pub config: EndpointConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseEntry {
    pub name: DatabaseName,
    pub id: u32,
    /// The same on every copy restored from the same backups.
    pub family: Guid,
    pub recovery: RecoveryModel,
    pub restoring: bool,
    pub created: WallTime,
    pub mirroring: Option<PartnerRecord>,
    /// How large the log may become.
    pub log_bytes_max: u64,
    /// The full backup that the copy was restored from, by its end; differential ones of another base do not fit.
    pub restored_base: Option<Lsn>,
    /// How the copy came about, as far back as its log no longer tells.
    #[serde(default)]
    pub path: RecoveryPath,
    /// It has been in the bulk-logged recovery model since its last log backup.
    #[serde(default)]
    pub bulk_since_log_backup: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RecoveryModel {
    #[default]
    Full,
    BulkLogged,
    Simple,
}

/// What an instance is, whatever is configured in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Tells peers apart when two connections meet; lives as long as the instance.
    pub arbitration_id: Guid,
    pub next_id: u32,
    /// Endpoints created so far.
    #[serde(default)]
    endpoints: u32,
}

/// The content of `master`.
#[derive(Debug)]
pub struct Catalog {
    pub identity: Identity,
    pub master_key: Option<MasterKey>,
    logins: BTreeMap<String, Login>,
    users: BTreeMap<String, User>,
    msdb_users: BTreeMap<String, MsdbUser>,
    certificates: BTreeMap<String, Certificate>,
    endpoint: Option<Endpoint>,
    permissions: BTreeMap<String, PermissionRow>,
    databases: BTreeMap<String, DatabaseEntry>,
    witnesses: BTreeMap<String, WitnessRecord>,
    suspect_pages: BTreeMap<String, SuspectPage>,
    known_peers: BTreeMap<String, KnownPeer>,
    writes: Vec<(String, Option<Vec<u8>>)>,
}

/// An entry of `master` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the entry '{key}' of master is damaged: {reason}")]
pub struct CatalogError {
    pub key: String,
    pub reason: String,
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}

impl Catalog {
    /// The catalog of a new instance. Everybody may see which databases there are, until that is revoked.
    /// Source: documented, *VIEW ANY DATABASE*.
    pub fn new(arbitration_id: Guid, now: WallTime) -> Self {
        let mut catalog = Catalog {
            identity: Identity {
                arbitration_id,
                next_id: 0,
                endpoints: 0,
            },
            master_key: None,
            logins: BTreeMap::new(),
            users: BTreeMap::new(),
            msdb_users: BTreeMap::new(),
            certificates: BTreeMap::new(),
            endpoint: None,
            permissions: BTreeMap::new(),
            databases: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            suspect_pages: BTreeMap::new(),
            known_peers: BTreeMap::new(),
            writes: Vec::new(),
        };
        let sa = Login {
            name: SA.to_owned(),
            id: SA_ID,
            kind: LoginKind::Sql,
            disabled: false,
            created: now,
            roles: BTreeSet::from([ServerRole::Sysadmin]),
            certificate: None,
            sid: Vec::new(),
            modified: None,
            default_database: None,
            default_language: None,
        };
        catalog.put_login(sa);
        catalog.put_permission(PermissionRow {
            on: Securable::Server,
            grantee: PUBLIC.to_owned(),
            grantor: SA.to_owned(),
            what: Permission::ViewAnyDatabase,
            state: PermissionState::Grant,
        });
        catalog.save_identity();
        catalog
    }

    /// The catalog as the `master` store holds it. An empty store is a new instance's.
    pub fn load(
        entries: &[(String, Vec<u8>)],
        arbitration_id: Guid,
        now: WallTime,
    ) -> Result<Self, CatalogError> {
        if entries.is_empty() {
            return Ok(Catalog::new(arbitration_id, now));
        }
        let mut catalog = Catalog::new(arbitration_id, now);
        catalog.logins.clear();
        catalog.permissions.clear();
        for (key, value) in entries {
            let (kind, name) = key.split_once('/').unwrap_or((key, ""));
            let name = name.to_owned();
            match kind {
                "identity" => catalog.identity = decode(key, value)?,
                "masterkey" => catalog.master_key = decode(key, value)?,
                "login" => drop(catalog.logins.insert(name, decode(key, value)?)),
                "user" => drop(catalog.users.insert(name, decode(key, value)?)),
                "msdbuser" => drop(catalog.msdb_users.insert(name, decode(key, value)?)),
                "certificate" => drop(catalog.certificates.insert(name, decode(key, value)?)),
                "permission" => drop(catalog.permissions.insert(name, decode(key, value)?)),
                "endpoint" => catalog.endpoint = Some(decode(key, value)?),
                "database" => drop(catalog.databases.insert(name, decode(key, value)?)),
                "suspect" => drop(catalog.suspect_pages.insert(name, decode(key, value)?)),
                "witness" => drop(catalog.witnesses.insert(name, decode(key, value)?)),
                "peer" => drop(catalog.known_peers.insert(name, decode(key, value)?)),
                _ => {
                    let reason = "this version knows no such kind of entry".to_owned();
                    return Err(CatalogError {
                        key: key.clone(),
                        reason,
                    });
                }
            }
        }
        catalog.writes.clear();
        Ok(catalog)
    }

    /// The changes made since the last call, for the store.
    pub fn take_writes(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
        std::mem::take(&mut self.writes)
    }

    fn save<T: Serialize>(&mut self, key: String, value: &T) {
        let bytes = serde_json::to_vec(value).expect("catalog entries are plain data and always serialise");
        self.writes.push((key, Some(bytes)));
    }

    fn remove(&mut self, key: String) {
        self.writes.push((key, None));
    }

    fn save_identity(&mut self) {
        let identity = self.identity.clone();
        self.save("identity".to_owned(), &identity);
    }

    fn next_id(&mut self, first: u32) -> u32 {
        let id = first + self.identity.next_id;
        self.identity.next_id += 1;
        self.save_identity();
        id
    }

    pub fn next_principal_id(&mut self) -> u32 {
        self.next_id(FIRST_PRINCIPAL_ID)
    }

    pub fn next_certificate_id(&mut self) -> u32 {
        self.next_id(FIRST_CERTIFICATE_ID)
    }

    /// Endpoints count on their own: the first of an instance has the first id there is.
    pub fn next_endpoint_id(&mut self) -> u32 {
        let id = FIRST_ENDPOINT_ID + self.identity.endpoints;
        self.identity.endpoints += 1;
        self.save_identity();
        id
    }

    /// The lowest free id, as the product reuses them.
    pub fn next_database_id(&self) -> u32 {
        let taken: Vec<u32> = self.databases.values().map(|d| d.id).collect();
        (FIRST_DATABASE_ID..)
            .find(|id| !taken.contains(id))
            .expect("there are more ids than databases")
    }

    pub fn set_master_key(&mut self, key: Option<MasterKey>) {
        self.save("masterkey".to_owned(), &key);
        self.master_key = key;
    }

    /// Whether the endpoint can read private keys under the master key.
    pub fn master_key_opens_by_itself(&self) -> bool {
        self.master_key.as_ref().is_some_and(|key| key.opens_by_itself)
    }

    pub fn login(&self, name: &str) -> Option<&Login> {
        self.logins.get(&fold(name))
    }

    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.logins.values()
    }

    pub fn put_login(&mut self, login: Login) {
        let key = fold(&login.name);
        self.save(format!("login/{key}"), &login);
        self.logins.insert(key, login);
    }

    pub fn drop_login(&mut self, name: &str) {
        let key = fold(name);
        self.logins.remove(&key);
        self.remove(format!("login/{key}"));
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(&fold(name))
    }

    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The login a user stands for, if there is one.
    pub fn login_of_user(&self, user: &str) -> Option<&Login> {
        match fold(user) == DBO {
            true => self.login(SA),
            false => self.login(&self.user(user)?.login),
        }
    }

    pub fn put_user(&mut self, user: User) {
        let key = fold(&user.name);
        self.save(format!("user/{key}"), &user);
        self.users.insert(key, user);
    }

    pub fn drop_user(&mut self, name: &str) {
        let key = fold(name);
        self.users.remove(&key);
        self.remove(format!("user/{key}"));
    }

    pub fn certificate(&self, name: &str) -> Option<&Certificate> {
        self.certificates.get(&fold(name))
    }

    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    pub fn put_certificate(&mut self, certificate: Certificate) {
        let key = fold(&certificate.name);
        self.save(format!("certificate/{key}"), &certificate);
        self.certificates.insert(key, certificate);
    }

    pub fn drop_certificate(&mut self, name: &str) {
        let key = fold(name);
        self.certificates.remove(&key);
        self.remove(format!("certificate/{key}"));
    }

    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The endpoint, if `name` is its name.
    pub fn endpoint_named(&self, name: &str) -> Option<&Endpoint> {
        self.endpoint
            .as_ref()
            .filter(|e| fold(&e.config.name) == fold(name))
    }

    pub fn put_endpoint(&mut self, endpoint: Endpoint) {
        self.save("endpoint".to_owned(), &endpoint);
        self.endpoint = Some(endpoint);
    }

    /// Its permissions go with it.
    pub fn drop_endpoint(&mut self) {
        self.drop_permissions(|p| p.on == Securable::Endpoint);
        self.endpoint = None;
        self.remove("endpoint".to_owned());
    }

    pub fn database(&self, name: &str) -> Option<&DatabaseEntry> {
        self.databases.get(&fold(name))
    }

    pub fn databases(&self) -> impl Iterator<Item = &DatabaseEntry> {
        self.databases.values()
    }

    pub fn put_database(&mut self, entry: DatabaseEntry) {
        let key = fold(entry.name.as_str());
        self.save(format!("database/{key}"), &entry);
        self.databases.insert(key, entry);
    }

    pub fn drop_database(&mut self, name: &str) {
        let key = fold(name);
        self.databases.remove(&key);
        self.remove(format!("database/{key}"));
    }

    pub fn witnesses(&self) -> impl Iterator<Item = &WitnessRecord> {
        self.witnesses.values()
    }

    pub fn put_witness(&mut self, session: Guid, record: WitnessRecord) {
        let key = session.to_string().to_lowercase();
        self.save(format!("witness/{key}"), &record);
        self.witnesses.insert(key, record);
    }

    pub fn drop_witness(&mut self, session: Guid) {
        let key = session.to_string().to_lowercase();
        self.witnesses.remove(&key);
        self.remove(format!("witness/{key}"));
    }
}

fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, CatalogError> {
    serde_json::from_slice(value).map_err(|error| CatalogError {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}
