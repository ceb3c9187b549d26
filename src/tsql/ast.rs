//! The statements of a batch as plain data.
//!
//! Names keep the place where they stand, so that an error found later (a missing login, say) can still point at it.
//! Optional clauses are `None` when they were not written; the defaults are the instance's business. Passwords are
//! `Secret`s and never printed.

use std::fmt;
use std::net::IpAddr;

use super::procedure::Execute;
use crate::error::Span;
use crate::types::{Permission, Safety, SecurableClass, WallTime};

/// A piece of syntax and the place it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

/// An identifier without its delimiters. Two names are equal when their texts are: places do not count.
#[derive(Debug, Clone)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A character string (`'…'` or `N'…'`) without its quotation marks. Equality ignores the place.
#[derive(Debug, Clone)]
pub struct Text {
    pub text: String,
    pub span: Span,
}

/// A password. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A table: `t`, `dbo.t`, `db.dbo.t` or `db..t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    pub database: Option<Name>,
    pub name: Name,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Use(Name),
    /// The password is optional in the syntax; without it the statement is refused by the parser.
    CreateMasterKey {
        password: Secret,
    },
    AlterMasterKey(MasterKeyChange),
    OpenMasterKey {
        password: Secret,
    },
    CloseMasterKey,
    DropMasterKey,
    CreateCertificate(CreateCertificate),
    AlterCertificate {
        name: Name,
        change: CertificateChange,
    },
    BackupCertificate(BackupCertificate),
    DropCertificate(Name),
    CreateLogin(CreateLogin),
    AlterLogin {
        name: Name,
        change: LoginChange,
    },
    DropLogin(Name),
    /// Without a login the user is for the login of the same name.
    CreateUser {
        name: Name,
        login: Option<Name>,
        default_schema: Option<Name>,
    },
    DropUser(Name),
    Permission(PermissionStatement),
    /// `ALTER SERVER ROLE role ADD | DROP MEMBER login`.
    AlterServerRole {
        role: Name,
        add: bool,
        member: Name,
    },
    /// `ALTER ROLE role ADD | DROP MEMBER user`.
    AlterRole {
        role: Name,
        add: bool,
        member: Name,
    },
    /// `ALTER AUTHORIZATION ON ENDPOINT::name TO login`.
    AlterAuthorization {
        endpoint: Name,
        owner: Name,
    },
    CreateEndpoint(CreateEndpoint),
    AlterEndpoint(AlterEndpoint),
    DropEndpoint(Name),
    CreateDatabase(Name),
    DropDatabase(Name),
    AlterDatabase {
        name: Name,
        change: DatabaseChange,
    },
    Backup(Backup),
    Restore(Restore),
    Checkpoint,
    CreateTable(CreateTable),
    Begin,
    Commit,
    Rollback,
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Select(Select),
    Print(Text),
    /// A call of a system procedure.
    Execute(Execute),
}

/// `CREATE CERTIFICATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCertificate {
    pub name: Name,
    /// The database user that owns it.
    pub authorization: Option<Name>,
    pub source: CertificateSource,
    /// `ACTIVE FOR BEGIN_DIALOG`, of Service Broker only.
    pub active_for_begin_dialog: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Self-signed. With a password the private key is not under the master key, so an endpoint cannot use it.
    Generate {
        password: Option<Secret>,
        subject: Text,
        start_date: Option<WallTime>,
        expiry_date: Option<WallTime>,
    },
    File {
        path: Text,
        private_key: Option<PrivateKey>,
    },
    Assembly(Name),
    ExecutableFile {
        path: Text,
        private_key: Option<PrivateKey>,
    },
    Binary {
        bytes: Vec<u8>,
        private_key: Option<PrivateKey>,
    },
}

/// `ALTER MASTER KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeyChange {
    /// `forced` goes on where the old key cannot be opened.
    Regenerate {
        forced: bool,
        password: Secret,
    },
    AddPassword(Secret),
    AddServiceMasterKey,
    DropPassword(Secret),
    DropServiceMasterKey,
}

/// `ALTER CERTIFICATE`, and `ALTER AUTHORIZATION ON CERTIFICATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateChange {
    RemovePrivateKey,
    /// A private key of its own, from a file or literal.
    ImportPrivateKey(PrivateKey),
    /// Another protection for the key it has; without `encryption` the master key's.
    ProtectPrivateKey {
        decryption: Option<Secret>,
        encryption: Option<Secret>,
    },
    ActiveForBeginDialog(bool),
    /// The user that is to own it.
    Owner(Name),
}

/// `WITH PRIVATE KEY ( … )`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKey {
    pub source: PrivateKeySource,
    pub decryption: Option<Secret>,
    pub encryption: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivateKeySource {
    File(Text),
    Binary(Vec<u8>),
}

/// `BACKUP CERTIFICATE … TO FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupCertificate {
    pub name: Name,
    pub file: Text,
    pub private_key: Option<PrivateKey>,
}

/// `CREATE LOGIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLogin {
    pub name: Name,
    pub source: LoginSource,
    pub options: LoginOptions,
}

/// What `ALTER LOGIN` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginChange {
    Enable(bool),
    Set(Box<LoginOptions>),
}

/// What follows `WITH`; absent what was not given. Not every statement has every option.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginOptions {
    pub default_database: Option<Name>,
    pub default_language: Option<Name>,
    pub sid: Option<Vec<u8>>,
    pub credential: Option<Name>,
    pub check_expiration: Option<bool>,
    pub check_policy: Option<bool>,
    pub must_change: bool,
    /// A new name.
    pub name: Option<Name>,
    /// A new password.
    pub password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSource {
    /// `hashed` says that the text is a hash, not the password.
    Password {
        password: Secret,
        hashed: bool,
    },
    Windows,
    Certificate(Name),
    AsymmetricKey(Name),
}

/// `GRANT`, `DENY` or `REVOKE` on the server, a login or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionStatement {
    pub action: PermissionAction,
    /// Each can be granted on the class of `on`.
    pub permissions: Vec<Permission>,
    pub on: Securable,
    /// Server principals.
    pub principals: Vec<Name>,
    /// `AS login`.
    pub grantor: Option<Name>,
}

/// What a permission is on: `ENDPOINT::e`, `LOGIN::l`; the server if nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Securable {
    Server,
    Login(Name),
    Endpoint(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionAction {
    Grant { with_grant_option: bool },
    Deny { cascade: bool },
    Revoke { grant_option_for: bool, cascade: bool },
}

/// `CREATE ENDPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEndpoint {
    pub name: Name,
    /// The login that owns it; the caller if absent.
    pub authorization: Option<Name>,
    pub state: Option<EndpointState>,
    pub listener_port: u16,
    pub listener_ip: Option<ListenerIp>,
    pub payload: CreatePayload,
}

/// What a new endpoint is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatePayload {
    DatabaseMirroring {
        options: TransportOptions,
        role: EndpointRole,
    },
    ServiceBroker(BrokerOptions),
    Tsql,
}

/// `ALTER ENDPOINT`: what is `None` keeps its value. At least one thing changes (else 7863).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterEndpoint {
    pub name: Name,
    pub state: Option<EndpointState>,
    pub listener_port: Option<u16>,
    pub listener_ip: Option<ListenerIp>,
    pub payload: Option<AlterPayload>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterPayload {
    DatabaseMirroring {
        options: TransportOptions,
        role: Option<EndpointRole>,
    },
    ServiceBroker(BrokerOptions),
    Tsql,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    Started,
    Stopped,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerIp {
    All,
    Address(IpAddr),
}

/// `AUTHENTICATION` and `ENCRYPTION`, the same for database mirroring and Service Broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransportOptions {
    pub authentication: Option<Authentication>,
    pub encryption: Option<Encryption>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerOptions {
    pub transport: TransportOptions,
    pub message_forwarding: Option<bool>,
    pub message_forward_size: Option<u32>,
}

/// `AUTHENTICATION = …`: one method, or two in order of preference. An absent Windows method is NEGOTIATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    Windows(WindowsMethod),
    Certificate(Name),
    WindowsThenCertificate(WindowsMethod, Name),
    CertificateThenWindows(Name, WindowsMethod),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowsMethod {
    Ntlm,
    Kerberos,
    Negotiate,
}

/// `ENCRYPTION = …`; an absent algorithm is the product version's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    Disabled,
    Supported(Option<Algorithm>),
    Required(Option<Algorithm>),
}

/// `ALGORITHM …`: one, or two in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Aes,
    Rc4,
    AesRc4,
    Rc4Aes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointRole {
    Witness,
    Partner,
    All,
}

/// `ALTER DATABASE … SET | MODIFY FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseChange {
    Partner(PartnerOption),
    Witness(WitnessOption),
    Recovery(RecoveryModel),
    ModifyFile(FileChange),
}

/// `MODIFY FILE (NAME = file, MAXSIZE = …)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The logical name: `Sales_log` for the log of Sales.
    pub file: Name,
    /// `None` is `UNLIMITED`.
    pub bytes_max: Option<u64>,
}

/// `SET PARTNER …`. Source: documented, *ALTER DATABASE Database Mirroring*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartnerOption {
    /// The server network address as written; whether it is one is the instance's question (1449).
    Address(Text),
    Failover,
    ForceServiceAllowDataLoss,
    Off,
    Resume,
    Suspend,
    Safety(Safety),
    /// Seconds, as written; the bounds are the instance's (1476).
    Timeout(i64),
    /// Megabytes, as written, `None` is UNLIMITED; the bounds are the instance's (1425). Source: third-party, the grammar of
    /// SQL Server 2005.
    RedoQueue(Option<i64>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessOption {
    Address(Text),
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryModel {
    Full,
    Simple,
    BulkLogged,
}

/// Whether a backup or a restore is about the whole database or its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKind {
    Database,
    /// `BACKUP DATABASE … WITH DIFFERENTIAL`. A restore tells by the file.
    Differential,
    Log,
}

/// `BACKUP DATABASE | LOG … TO DISK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub kind: BackupKind,
    pub database: Name,
    pub file: Text,
    /// `INIT` or `FORMAT`: the file is overwritten, not added to.
    pub init: bool,
    pub copy_only: bool,
    /// `NORECOVERY` of a log backup: the tail is taken and the database left restoring.
    pub norecovery: bool,
}

/// `RESTORE DATABASE | LOG … [FROM DISK]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    pub kind: BackupKind,
    pub database: Name,
    /// `None` for `RESTORE DATABASE x WITH RECOVERY`, which only ends the restoring.
    pub file: Option<Text>,
    /// `WITH NORECOVERY`: the database stays restoring.
    pub norecovery: bool,
    pub replace: bool,
}

/// `CREATE TABLE t (key PRIMARY KEY, value)`: two integer columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    pub table: TableName,
    pub key: Column,
    pub value: Column,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: Name,
    pub kind: ColumnKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Int,
    BigInt,
}

/// `INSERT [INTO] t [(columns)] VALUES (…), …`. Every row has as many values as the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    pub table: TableName,
    pub columns: Option<Vec<Name>>,
    /// `None` is NULL.
    pub rows: Vec<Vec<Option<i64>>>,
}

/// `UPDATE t SET column = … [WHERE column = key]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub table: TableName,
    pub column: Name,
    pub to: NewValue,
    pub filter: Option<KeyFilter>,
}

/// The right side of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewValue {
    Literal(i64),
    /// The old value of a column plus an amount (zero for the column alone).
    Column {
        column: Name,
        plus: i64,
    },
}

/// `DELETE [FROM] t WHERE column = key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    pub table: TableName,
    pub filter: KeyFilter,
}

/// `WHERE column = key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFilter {
    pub column: Name,
    pub key: i64,
}

/// A query, for `instance::views` to run. `query`'s places count from the start of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The source text of the statement.
    pub text: String,
    pub query: Box<sqlparser::ast::Query>,
    pub span: Span,
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Name {}

/// The text alone, as messages quote it. `quoted` gives the form a statement needs.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Text {
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The password itself; only to be checked or hashed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Securable {
    pub const fn class(&self) -> SecurableClass {
        match self {
            Securable::Server => SecurableClass::Server,
            Securable::Login(_) => SecurableClass::ServerPrincipal,
            Securable::Endpoint(_) => SecurableClass::Endpoint,
        }
    }
}

impl Statement {
    /// What the statement is called in messages: `CREATE ENDPOINT`, `ALTER DATABASE`.
    pub const fn title(&self) -> &'static str {
        match self {
            Statement::Use(_) => "USE",
            Statement::CreateMasterKey { .. } => "CREATE MASTER KEY",
            Statement::AlterMasterKey(_) => "ALTER MASTER KEY",
            Statement::OpenMasterKey { .. } => "OPEN MASTER KEY",
            Statement::CloseMasterKey => "CLOSE MASTER KEY",
            Statement::DropMasterKey => "DROP MASTER KEY",
            Statement::CreateCertificate(_) => "CREATE CERTIFICATE",
            Statement::AlterCertificate {
                change: CertificateChange::Owner(_),
                ..
            } => "ALTER AUTHORIZATION",
            Statement::AlterCertificate { .. } => "ALTER CERTIFICATE",
            Statement::BackupCertificate(_) => "BACKUP CERTIFICATE",
            Statement::DropCertificate(_) => "DROP CERTIFICATE",
            Statement::CreateLogin(_) => "CREATE LOGIN",
            Statement::AlterLogin { .. } => "ALTER LOGIN",
            Statement::DropLogin(_) => "DROP LOGIN",
            Statement::CreateUser { .. } => "CREATE USER",
            Statement::DropUser(_) => "DROP USER",
            Statement::Permission(p) => match p.action {
                PermissionAction::Grant { .. } => "GRANT",
                PermissionAction::Deny { .. } => "DENY",
                PermissionAction::Revoke { .. } => "REVOKE",
            },
            Statement::AlterServerRole { .. } => "ALTER SERVER ROLE",
            Statement::AlterRole { .. } => "ALTER ROLE",
            Statement::AlterAuthorization { .. } => "ALTER AUTHORIZATION",
            Statement::CreateEndpoint(_) => "CREATE ENDPOINT",
            Statement::AlterEndpoint(_) => "ALTER ENDPOINT",
            Statement::DropEndpoint(_) => "DROP ENDPOINT",
            Statement::CreateDatabase(_) => "CREATE DATABASE",
            Statement::DropDatabase(_) => "DROP DATABASE",
            Statement::AlterDatabase { .. } => "ALTER DATABASE",
            Statement::Backup(b) => match b.kind {
                BackupKind::Database | BackupKind::Differential => "BACKUP DATABASE",
                BackupKind::Log => "BACKUP LOG",
            },
            Statement::Restore(r) => match r.kind {
                BackupKind::Database | BackupKind::Differential => "RESTORE DATABASE",
                BackupKind::Log => "RESTORE LOG",
            },
            Statement::Checkpoint => "CHECKPOINT",
            Statement::CreateTable(_) => "CREATE TABLE",
            Statement::Begin => "BEGIN TRANSACTION",
            Statement::Commit => "COMMIT TRANSACTION",
            Statement::Rollback => "ROLLBACK TRANSACTION",
            Statement::Insert(_) => "INSERT",
            Statement::Update(_) => "UPDATE",
            Statement::Delete(_) => "DELETE",
            Statement::Select(_) => "SELECT",
            Statement::Print(_) => "PRINT",
            Statement::Execute(_) => "EXEC",
        }
    }
}
