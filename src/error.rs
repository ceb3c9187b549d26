//! `SqlError` and the message catalogue; the only file that knows message numbers.
//!
//! Numbers, severities and meanings are documented facts; the wording is ours. `{0}`, `{1}` … are filled by `with`.
//! What causes a message and what to check stands in `manual`, where each number has its entry.

pub mod manual;

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a user sees: `Msg 1418, Level 16, State 1`, and the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct SqlError {
    pub number: u32,
    pub severity: u8,
    pub state: u8,
    pub text: String,
    /// Where in the batch, if it is about a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
}

/// A place in a batch: byte range, and the line and column (1-based, in characters) where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Msg {}, Level {}, State {}",
            self.number, self.severity, self.state
        )?;
        if let Some(at) = self.at {
            write!(f, ", Line {}", at.line)?;
        }
        write!(f, ": {}", self.text)
    }
}

impl SqlError {
    pub fn at(mut self, span: Span) -> Self {
        self.at = Some(span);
        self
    }

    pub fn with_state(mut self, state: u8) -> Self {
        self.state = state;
        self
    }
}

/// An entry of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub number: u32,
    pub severity: u8,
    /// Whether it is written to the error log by itself.
    pub logged: bool,
    pub text: &'static str,
}

impl Message {
    /// The error with `{0}`, `{1}` … replaced by `args`.
    pub fn with(&self, args: &[&dyn fmt::Display]) -> SqlError {
        let text = fill(self.text, args);
        debug_assert!(text.is_some(), "message {} lacks arguments", self.number);
        let text = text.unwrap_or_else(|| self.text.to_owned());
        SqlError {
            number: self.number,
            severity: self.severity,
            state: 1,
            text,
            at: None,
        }
    }

    /// The error of a message without arguments.
    pub fn error(&self) -> SqlError {
        self.with(&[])
    }
}

/// The text with its places filled in one pass: what is filled in is never looked at again, braces or not.
///
/// None if there are fewer arguments than places.
fn fill(text: &str, args: &[&dyn fmt::Display]) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&args.get(place.parse::<usize>().ok()?)?.to_string());
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// The catalogue entry of `number`, if this project raises it.
pub fn message(number: u32) -> Option<&'static Message> {
    msg::ALL.iter().find(|m| m.number == number)
}

macro_rules! catalogue {
    ($($name:ident = $number:literal, $severity:literal, $logged:literal, $text:literal;)*) => {
        /// Every message by its name.
        pub mod msg {
            use super::Message;
            $(pub const $name: Message =
                Message { number: $number, severity: $severity, logged: $logged, text: $text };)*
            pub const ALL: &[Message] = &[$($name),*];
        }
    };
}

catalogue! {
    // Statements
    SYNTAX_NEAR = 102, 15, false, "Incorrect syntax near '{0}': expected {1}.";
    SYNTAX_NEAR_KEYWORD = 156, 15, false, "Incorrect syntax near the keyword '{0}': expected {1}.";
    UNCLOSED_QUOTE = 105, 15, false, "Unclosed quotation mark after the character string '{0}'.";
    MISSING_END_COMMENT = 113, 15, false, "Missing end comment mark '*/'.";
    TOO_LONG = 103, 15, false, "The {0} that starts with '{1}' is too long. Maximum length is {2}.";
    INVALID_COLUMN = 207, 16, false, "Invalid column name '{0}'.";
    INVALID_OBJECT = 208, 16, false, "Invalid object name '{0}'.";
    AMBIGUOUS_COLUMN = 209, 16, false, "Ambiguous column name '{0}'.";
    COLUMN_COUNT = 213, 16, false, "Column name or number of supplied values does not match table definition.";
    NOT_IN_TRANSACTION = 574, 16, false, "{0} cannot be used inside a user transaction.";
    NO_COLUMN_NULL = 515, 16, false, "Cannot insert the value NULL into column '{0}'.";
    ARITHMETIC_OVERFLOW = 8115, 16, false, "Arithmetic overflow error converting expression to data type {0}.";
    CONVERSION = 245, 16, false, "Conversion failed when converting the value '{0}' to data type {1}.";
    MULTI_PART = 4104, 16, false, "The multi-part identifier \"{0}\" could not be bound.";
    DIVIDE_BY_ZERO = 8134, 16, false, "Divide by zero error encountered.";
    TABLE_EXISTS = 2714, 16, false, "There is already an object named '{0}' in the database.";
    DUPLICATE_KEY = 2627, 14, false, "Violation of PRIMARY KEY constraint. Cannot insert duplicate key ({0}) in object '{1}'.";
    NOT_SUPPORTED = 40517, 16, false, "Keyword or statement option '{0}' is not supported in this version of mirrorlab.";
    NO_BEGIN_TRANSACTION = 3902, 16, false, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.";
    NO_BEGIN_TRANSACTION_ROLLBACK = 3903, 16, false, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.";
    UNCOMMITTED_AT_END_OF_BATCH = 3998, 16, false, "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.";
    BATCH_TOO_LARGE = 8631, 17, false, "The batch of {0} bytes is larger than {1} bytes. Split it with GO.";
    QUERY_TOO_DEEP = 191, 15, false, "Some part of the SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.";
    QUERY_FAILED = 8622, 16, false, "The query could not be executed: {0}.";
    PARAMETER_NOT_NAMED = 119, 15, false, "Argument {0} stands behind one that is named: write @name = value for it and for all that follow.";
    ARGUMENT_MISSING = 201, 16, false, "The procedure '{0}' needs a value for {1}, and none is given.";
    EXECUTE_DENIED = 229, 14, false, "EXECUTE permission denied on '{0}': only a member of sysadmin may call it.";
    ARGUMENT_TYPE = 8114, 16, false, "'{0}' cannot be the value of {1}, which is {2}.";
    ARGUMENT_TWICE = 8143, 16, false, "{0} is given more than once.";
    TOO_MANY_ARGUMENTS = 8144, 16, false, "The procedure '{0}' has fewer parameters than there are arguments.";
    PARAMETER_UNKNOWN = 8145, 16, false, "{0} is no parameter of the procedure '{1}'.";
    SYSADMIN_ONLY = 21089, 16, false, "Only a member of sysadmin may call '{0}'.";
    NO_SUCH_ERROR_LOG = 22004, 16, false, "There is no such error log: {0}.";
    ARGUMENT_RANGE = 40518, 16, false, "{0} is out of range for {1}, which is {2} to {3}.";
    MSDB_ONLY = 40520, 16, false, "'{0}' can be called in msdb only: USE msdb first, or write msdb.dbo before its name.";
    MONITOR_NO_JOB = 40521, 16, false, "The mirroring monitor has no job '{0}' could act on: call sp_dbmmonitoraddmonitoring first.";
    VIEW_DENIED = 300, 14, false, "{0} permission was denied on object 'server', database 'master'.";
    STATEMENT_DENIED = 262, 14, false, "{0} permission denied: only an administrator of the server may.";
    // Databases
    NO_DATABASE_ACCESS = 916, 14, false, "The server principal \"{0}\" is not able to access the database \"{1}\" under the current security context.";
    ALTER_DATABASE_DENIED = 5011, 14, false, "User does not have permission to alter database '{0}', the database does not exist, or the database is not in a state that allows access checks.";
    DATABASE_MISSING = 911, 16, false, "Database '{0}' does not exist. Make sure that the name is entered correctly.";
    DATABASE_EXISTS = 1801, 16, false, "Database '{0}' already exists. Choose a different database name.";
    DATABASE_IN_USE = 3702, 16, false, "Cannot drop database \"{0}\" because it is currently in use.";
    DATABASE_IN_USE_OPERATION = 3013, 16, false, "{0} is terminating abnormally: {1}.";
    CANNOT_OPEN_BACKUP = 3201, 16, false, "Cannot open backup device '{0}'. {1}.";
    BACKUP_DAMAGED = 3241, 16, false, "The media family on device '{0}' is incorrectly formed. {1}.";
    BACKUP_TOO_RECENT = 4305, 16, false, "The log in this backup set begins at LSN {0}, which is too recent to apply to the database. An earlier log backup that includes LSN {1} can be restored.";
    BACKUP_TOO_EARLY = 4326, 16, false, "The log in this backup set terminates at LSN {0}, which is too early to apply to the database. A more recent log backup that includes LSN {1} can be restored.";
    LOG_BACKUP_IN_SIMPLE = 4208, 16, false, "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE.";
    LOG_BACKUP_WITHOUT_BASE = 4214, 16, false, "BACKUP LOG cannot be performed because there is no current database backup.";
    DIFFERENTIAL_WITHOUT_BASE = 3035, 16, false, "Cannot perform a differential backup for database \"{0}\", because a current database backup does not exist. Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL option.";
    OPTION_NOT_IN_DATABASE = 5058, 16, false, "Option '{0}' cannot be set in database '{1}'.";
    BACKUP_OF_NEWER_VERSION = 3169, 16, false, "The database was backed up on a server running version {0}. That version is incompatible with this server, which is running version {1}. Either restore the database on a server that supports the backup, or use a backup that is compatible with this server.";
    OTHER_RECOVERY_PATH = 4330, 16, false, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database. Find a backup of the path that the database was restored along.";
    DIFFERENTIAL_OF_OTHER_BASE = 3136, 16, false, "This differential backup cannot be restored because the database has not been restored to the correct earlier state.";
    FILE_MISSING = 5041, 16, false, "MODIFY FILE failed. File '{0}' does not exist.";
    RESTORE_NOT_RESTORING = 3117, 16, false, "The log or differential backup cannot be restored because no files are ready to rollforward.";
    RESTORE_OVERWRITES = 3159, 16, false, "The tail of the log for the database \"{0}\" has not been backed up, or the database is mirrored; remove it before restoring over it.";
    LOG_FULL = 9002, 17, true, "The transaction log for database '{0}' is full due to '{2}' ({1} bytes).";
    DATABASE_RESTORING = 927, 14, false, "Database '{0}' cannot be opened. It is in the middle of a restore.";
    DATABASE_MIRROR = 954, 14, false, "The database '{0}' cannot be opened. It is acting as a mirror database.";
    DATABASE_NO_QUORUM = 955, 14, false, "Database '{0}' is enabled for Database Mirroring, but neither the partner nor witness server instances are available: the database cannot be opened.";
    DATABASE_SYNCHRONIZING_ROLE = 956, 14, false, "Database '{0}' is enabled for Database Mirroring, but the database lacks quorum or its role is being switched, and cannot be opened. Check the partner and witness connections if configured.";
    DATABASE_DAMAGED = 926, 14, true, "Database '{0}' cannot be opened. It has been marked SUSPECT: {1}.";
    LOG_LOST = 9003, 20, true, "The log of database '{0}' ends at {1}, although it was hardened up to {2}: the disk lost log. The database is not served by this copy.";
    PARTNER_OF_OTHER_VERSION = 41952, 16, false, "Database mirroring of \"{0}\" cannot start: the server instance at \"{1}\" runs another version of SQL Server. The partners and the witness must run the same version.";
    LOGS_DIFFER = 41951, 20, true, "The mirror's log of database '{0}' differs from the principal's before {1}, where the principal alone can have written it. One of the disks is damaged. No log is sent.";
    // The number's severity is the manual's 21; as a finding of recovery that goes on, it is ours.
    LOG_TAIL_CUT = 9004, 10, true, "The log of database '{0}' ends in {1}, which are no log and are discarded. This is usual after a loss of power; otherwise check the disk.";
    LOGIN_DATABASE = 4060, 11, false, "Cannot open database \"{0}\" requested by the login. The login failed.";
    DISK_ERROR = 823, 24, true, "The operating system returned error {0} to the instance during {1}.";
    PAGE_DAMAGED = 824, 24, true, "The instance detected a logical I/O error: {0}. It occurred during a read of page (1:{1}) of database '{2}'. The rows of the page cannot be used.";
    PAGE_RESTORE_PENDING = 829, 21, false, "Database ID {0}, page (1:{1}) is marked RestorePending, which may indicate disk corruption. It waits to be restored.";
    BACKUP_DAMAGED_PAGE = 3043, 16, false, "BACKUP '{0}' detected an error on page (1:{1}) of its data file.";
    TRANSACTION_CUT = 596, 21, true, "Cannot continue the execution because the session is in the kill state: the database changed its role or lost quorum.";
    CLIENT_LOGINS_FULL = 17809, 20, true, "Could not connect: {0} connections to the client port have not logged in yet, the bound is reached, and this one has waited longest of those from its address. The connection has been closed. [CLIENT: {1}]";
    CLIENT_LOGIN_TIMED_OUT = 17830, 20, true, "A connection to the client port did not log in within {0} seconds and has been closed. [CLIENT: {1}]";
    LOGIN_FAILED = 18456, 14, true, "Login failed for user '{0}'.";
    MASTER_DAMAGED = 3411, 21, true, "The instance cannot start: {0}. Restore master or rebuild it.";
    // Principals, certificates, keys
    LOGIN_INVALID = 15007, 16, false, "'{0}' is not a valid login or you do not have permission.";
    WINDOWS_ACCOUNT_MISSING = 15401, 16, false, "The Windows user or group '{0}' was not found. Check the name.";
    WINDOWS_ACCOUNT_UNKNOWN = 15404, 16, false, "The domain controller could not be asked about the Windows user or group '{0}': {1}.";
    PRINCIPAL_EXISTS = 15025, 16, false, "The server principal '{0}' already exists.";
    USER_EXISTS = 15023, 16, false, "User, group, or role '{0}' already exists in the current database.";
    LOGIN_HAS_USER = 15063, 16, false, "The login already has an account under a different user name.";
    CANNOT_FIND = 15151, 16, false, "Cannot find the {0} '{1}', because it does not exist or you do not have permission.";
    CERTIFICATE_FILE = 15208, 16, false, "The certificate, asymmetric key, or private key file '{0}' is not valid or does not exist: {1}.";
    CERTIFICATE_SUBJECT = 15212, 16, false, "Invalid certificate subject. The certificate subject must have between 1 and {0} characters.";
    CERTIFICATE_EXPIRY_BEFORE_START = 15213, 16, false, "Warning: The certificate you created has an invalid validity period; its expiration date precedes its start date.";
    CERTIFICATE_EXPIRED = 15214, 16, false, "Warning: The certificate you created is expired.";
    CERTIFICATE_NOT_YET_VALID = 15215, 16, false, "Warning: The certificate you created is not yet valid; its start date is in the future.";
    CERTIFICATE_EXISTS = 15232, 16, false, "A certificate with name '{0}' already exists or this certificate already has been added to the database.";
    CERTIFICATE_WRITE = 15240, 16, false, "Cannot write into file '{0}'. Verify that you have write permissions, that the file path is valid, and that the file does not already exist ({1}).";
    CERTIFICATE_NO_PRIVATE_KEY = 15246, 16, false, "Cannot find the private key of certificate '{0}'.";
    CERTIFICATE_DATA = 15297, 16, false, "The certificate, asymmetric key, or private key data is invalid.";
    CERTIFICATE_SIGNATURE = 15299, 16, false, "The signature of the public key is invalid.";
    KEY_WRONG_DECRYPTOR = 15313, 16, false, "The key is not encrypted using the specified decryptor.";
    KEY_NOT_OPEN = 15315, 16, false, "The key '{0}' is not open. Please open the key before using it.";
    PRIVATE_KEY_FORMAT = 15464, 16, false, "Unsupported private key format or key length.";
    PRIVATE_KEY_PASSWORD = 15465, 16, false, "The private key password is invalid.";
    PRIVATE_KEY_MISMATCH = 15474, 16, false, "Invalid private key. The private key does not match the public key of the certificate.";
    PRIVATE_KEY_NOT_ENCRYPTED = 9639, 16, false, "A password was specified, but the private key is not encrypted.";
    NO_PERMISSION = 15247, 16, false, "User does not have permission to perform this action.";
    CANNOT_OWN = 15345, 16, false, "'{0}' cannot own a certificate: it is a role, or its login is mapped to a certificate.";
    CERTIFICATE_MAPPED = 15559, 10, false, "The certificate '{0}' is not dropped: the login '{1}' is mapped to it.";
    CERTIFICATE_IN_USE = 15352, 16, false, "The certificate '{0}' cannot be dropped because one or more entities are either signed, authenticated or encrypted using it.";
    PRINCIPAL_OWNS = 15141, 16, false, "The server principal '{0}' owns one or more {1}s and cannot be dropped.";
    PRINCIPAL_MISSING = 15403, 16, false, "The server principal '{0}' does not exist, does not have server access, or you do not have permission.";
    NAME_TAKEN = 15530, 16, false, "The {0} with name \"{1}\" already exists.";
    MASTER_KEY_EXISTS = 15578, 16, false, "There is already a master key in the database. Please drop it before performing this statement.";
    MASTER_KEY_IN_USE = 15580, 16, false, "Cannot drop master key because certificate '{0}' is encrypted by it.";
    MASTER_KEY_MISSING = 15581, 16, false, "Please create a master key in the database or open the master key in the session before performing this operation.";
    MASTER_ONLY = 4621, 16, false, "Permissions at the server scope can only be granted when the current database is master.";
    CASCADE_NEEDED = 4611, 16, false, "The principal may pass the permission on: to revoke or deny it, say CASCADE.";
    GRANTOR_CANNOT_GRANT = 4613, 16, false, "The grantor does not have the right to grant this permission.";
    SPECIAL_ROLE = 4617, 16, false, "Permissions cannot be granted to, denied to or revoked from fixed roles.";
    SPECIAL_PRINCIPAL = 4624, 16, false, "Permissions and memberships of sa, of the owner and of yourself cannot be changed.";
    PRINCIPAL_HAS_GRANTED = 15173, 16, false, "The server principal '{0}' has granted one or more permissions. Revoke them before dropping the server principal.";
    LOGIN_CONNECTED = 15434, 16, false, "The login '{0}' cannot be dropped because it is connected.";
    DATE_CONVERSION = 241, 16, false, "Conversion failed when converting date and/or time from character string '{0}'.";
    // Endpoint DDL
    PARAMETER_REQUIRED = 7801, 15, false, "The required parameter {0} was not specified.";
    CLAUSE_NOT_USABLE = 7803, 15, false, "The clause {0} cannot be used in the {1} statement.";
    VALUE_OUT_OF_RANGE = 7810, 15, false, "The value '{0}' is not within range for the '{1}' parameter ({2} to {3}).";
    PARAMETER_TWICE = 7816, 15, false, "A duplicate parameter was specified, '{0}'.";
    CANNOT_CHANGE_PROTOCOL = 7860, 15, false, "An endpoint's transport or content cannot be changed through the ALTER ENDPOINT statement. Use DROP ENDPOINT and execute the CREATE ENDPOINT statement to make these changes.";
    PROTOCOL_PAYLOAD = 7861, 15, false, "{0} endpoints are not supported for {1}.";
    ADMIN_ENDPOINT = 7864, 16, false, "The endpoint of the dedicated administrator connection is reserved and cannot be created or changed.";
    RESERVED_ENDPOINT_NAME = 7869, 16, false, "The endpoint name '{0}' begins with the reserved prefix '{1}'.";
    AFFINITY_NOT_SUPPORTED = 7870, 16, false, "The AFFINITY clause is not supported for endpoints of this type.";
    CLAUSE_OF_OTHER_TYPE = 7871, 16, false, "The clause '{0}' is not valid for an endpoint of the type {1}.";
    BUILT_IN_ENDPOINT = 7873, 16, false, "The endpoint '{0}' is built in and cannot be dropped.";
    EDITION_LACKS = 7878, 16, false, "{0} is not supported in the {1}: its endpoint can only have ROLE = WITNESS.";
    IPV6_NOT_CANONICAL = 7887, 20, true, "The IPv6 address '{0}' is not in its canonical numeric form, which is '{1}'.";
    IPV6_UNRECOGNISED = 7888, 20, true, "'{0}' is not an IPv6 address that can be listened on. Write an IPv6 address in quotation marks, an IPv4 address without.";
    CANNOT_REGISTER = 7890, 16, false, "The endpoint cannot listen on port {0}, which may be in use by another process: {1}. The endpoint is kept as configured.";
    ENDPOINT_TYPE_EXISTS = 7862, 16, false, "An endpoint of the requested type already exists. Only one endpoint of this type is supported. Use ALTER ENDPOINT or DROP the existing endpoint and execute the CREATE ENDPOINT statement.";
    ALTER_NOTHING = 7863, 16, false, "The endpoint was not changed. The ALTER ENDPOINT statement did not contain any values to modify or update.";
    BINDING_TAKEN = 7874, 16, false, "An endpoint already exists with the bindings specified (port {0}). Only one endpoint supported for a specific binding. Use ALTER ENDPOINT or DROP the existing endpoint and execute the CREATE ENDPOINT statement.";
    CERTIFICATE_UNSUITABLE = 28055, 16, false, "The certificate '{0}' is not valid for endpoint authentication. The certificate must have a private key encrypted with the database master key and current UTC date has to be between the certificate start date and the certificate expiration date.";
    // Listener
    LISTENER_PORT_BUSY = 26023, 16, true, "Server TCP provider failed to listen on [ {0} <{1}> {2} ]. Tcp port is already in use.";
    CANNOT_LISTEN_ADDRESS = 26024, 16, true, "Server failed to listen on [ '{0}' <{1}> {2} ]. Error: {3}.";
    FIPS_MODE = 28077, 10, false, "The Database Mirroring transport runs in FIPS compliance mode.";
    RC4_NOT_IN_FIPS = 28078, 10, false, "RC4 is not allowed in FIPS compliance mode. Write ALGORITHM AES.";
    SPN_NOT_REGISTERED = 26037, 10, true, "The service principal name '{0}' could not be registered for {1}: {2}. Kerberos will not find this instance; other authentication is not affected.";
    SPN_REGISTERED = 26059, 10, true, "The service principal name '{0}' is registered for {1}.";
    NOW_LISTENING = 9690, 10, true, "The Database Mirroring endpoint is now listening for connections on port {0}.";
    STOPPED_LISTENING = 9691, 10, false, "The Database Mirroring endpoint has stopped listening for connections.";
    CANNOT_LISTEN_IN_USE = 9692, 16, false, "The Database Mirroring endpoint cannot listen on port {0} because it is in use by another process.";
    CANNOT_LISTEN = 9693, 16, false, "The Database Mirroring endpoint cannot listen for connections due to the following error: '{0}'.";
    ENDPOINT_DISABLED_OR_STOPPED = 9666, 10, false, "The Database Mirroring endpoint is in disabled or stopped state.";
    TRANSPORT_DISABLED = 1486, 10, false, "Database Mirroring Transport is disabled in the endpoint configuration.";
    // Handshake
    NO_COMPATIBLE = 28027, 10, false, "Connection handshake failed. There is no compatible {0}.";
    HANDSHAKE_NOT_SENT = 28028, 10, false, "Connection handshake failed. Could not send a handshake message because the connection was closed by peer.";
    HANDSHAKE_UNEXPECTED = 28029, 10, false, "Connection handshake failed. Unexpected event ({0}) for current context ({1}).";
    HANDSHAKE_OS_CALL = 28031, 10, false, "Connection handshake failed. An OS call failed: ({0}).";
    ARBITRATION_NEW_LOST = 28032, 10, false, "Connection handshake failed. A previous connection with the same peer was found and will be used. This connection lost the arbitration and will be closed.";
    ARBITRATION_OLD_LOST = 28033, 10, false, "A new connection was established with the same peer. This connection lost the arbitration and it is closed.";
    NO_CONNECT_PERMISSION = 28034, 10, false, "Connection handshake failed. The login '{0}' does not have CONNECT permission on the endpoint.";
    PEER_CERTIFICATE_INVALID = 28035, 10, false, "Connection handshake failed. The certificate used by the peer is invalid due to the following reason: {0}.";
    OWN_CERTIFICATE_INVALID = 28036, 10, false, "Connection handshake failed. The certificate used by this endpoint was not found or is not usable: {0}. Use DBCC CHECKDB in master database to verify the metadata integrity of the endpoints.";
    PRIVATE_KEY_UNUSABLE = 28037, 10, false, "Connection handshake failed. Error {0} occurred while initializing the private key corresponding to the certificate. The SQL Server errorlog and the Windows event log may contain entries related to this error.";
    HANDSHAKE_VERIFICATION = 28038, 10, false, "Connection handshake failed. The handshake verification failed.";
    NOT_THE_PACKAGE = 28039, 10, false, "Connection handshake failed. A token of Windows authentication is not of the package that was agreed.";
    CORRUPT_MESSAGE = 28040, 10, false, "A corrupt message has been received. The adjacent error message header is invalid ({0}).";
    NOT_ENCRYPTED_AS_CONFIGURED = 28044, 16, false, "A corrupt message has been received. It is not encrypted and signed using the currently configured endpoint algorithm.";
    CERTIFICATE_DIFFERS = 28045, 10, false, "Connection handshake failed. The certificate used by the peer does not match the one in MASTER database with same issuer name and serial number.";
    LOGIN_SUCCEEDED = 28046, 10, true, "Database Mirroring login succeeded for user '{0}'. Authentication mode: {1}. [CLIENT: {2}]";
    LOGIN_FAILED_UNKNOWN = 28047, 10, true, "Database Mirroring login attempt failed with error: '{0}'. [CLIENT: {1}]";
    LOGIN_FAILED_USER = 28048, 10, true, "Database Mirroring login attempt by user '{0}' failed with error: '{1}'. [CLIENT: {2}]";
    PRE_MASTER_SECRET_SIZE = 28059, 16, false, "Connection handshake failed. The received premaster secret does not have the expected size or form.";
    CONFIRM_STATUS = 28070, 10, false, "Connection handshake failed. The SSPI confirmation has the unexpected status {0}.";
    SIGNATURE_INVALID = 28061, 16, false, "A corrupt message has been received. The message integrity signature is not valid.";
    WRONG_DIRECTION = 28079, 10, false, "Connection handshake failed. A token of Windows authentication came from the wrong side.";
    ENDPOINT_NOT_CONFIGURED = 28080, 10, false, "Connection handshake failed. The Database Mirroring endpoint is not configured.";
    LOGIN_TIMED_OUT = 9760, 10, false, "Connection handshake failed. The connection was idle: the login did not complete within {0} seconds.";
    // The manual's number for a deprecated algorithm, of severity 16; as a warning it is ours.
    RC4_DEPRECATED = 33128, 10, true, "{0} uses the deprecated encryption algorithm RC4. Name AES in ALGORITHM on both endpoints.";
    WINDOWS_IMPOSSIBLE = 28190, 10, true, "The Database Mirroring endpoint names Windows authentication, and the service account {0} is nobody on the network. Connections need certificates: let AUTHENTICATION name one, or run the instance under a domain account.";
    NETWORK_SERVICE_ADVISED = 28191, 10, true, "The Database Mirroring endpoint names Windows authentication, and the instance runs under Network Service: its peers need a login for the computer account {0}, with CONNECT. Certificates are recommended for built-in accounts.";
    // Transport
    TRANSPORT_ERROR = 9642, 16, true, "An error occurred in a Database Mirroring transport connection endpoint, Error: {0}, State: {1}. (Near endpoint role: {2}, far endpoint address: '{3}')";
    REMOTE_LOGIN_DENIED = 9752, 10, false, "The connection was refused: the account of the remote server, '{0}', has no enabled login on this server.";
    CONNECT_FAILED = 9754, 10, false, "Connection attempt failed with error: '{0}'.";
    PROTOCOL_ERROR = 9757, 10, false, "Database Mirroring network protocol error occurred: {0}.";
    DNS_FAILED = 9783, 10, false, "DNS lookup failed with error: '{0}'.";
    // Sessions
    WITNESS_NO_ENTRY = 1402, 20, true, "Witness did not find an entry for database mirroring GUID {0}. A configuration mismatch exists. Retry the command, or reset the witness from one of the database mirroring partners.";
    MIRROR_BUSY = 1404, 16, false, "The command failed because the database mirror is busy. Reissue the command later.";
    ALREADY_MIRRORED = 1405, 16, false, "The database \"{0}\" is already enabled for database mirroring.";
    FORCE_UNSAFE = 1406, 16, false, "Unable to force service safely. Remove database mirroring and recover database \"{0}\" to gain access.";
    REMOTE_UNRELATED = 1407, 16, false, "The remote copy of database \"{0}\" is not related to the local copy of the database.";
    REMOTE_NOT_RECOVERED_ENOUGH = 1408, 16, false, "The remote copy of database \"{0}\" is not recovered far enough to enable database mirroring or to join it to the availability group. You need to apply missing log records to the remote database by restoring the current log backups from the principal/primary database.";
    REMOTE_ALREADY_MIRRORED = 1410, 16, false, "The remote copy of database \"{0}\" is already enabled for database mirroring.";
    REMOTE_LACKS_LOG_CHAIN = 1478, 16, false, "The mirror database, \"{0}\", has insufficient transaction log data to preserve the log backup chain of the principal database. This may happen if a log backup from the principal database has not been taken or has not been restored on the mirror database.";
    REMOTE_NOT_IN_RANGE = 1412, 16, false, "The remote copy of database \"{0}\" has not been rolled forward to a point in time that is encompassed in the local copy of the database log.";
    CONTACT_LOST_BEFORE_START = 1413, 16, true, "Communications to the remote server instance failed before database mirroring was fully started. The ALTER DATABASE command failed. Retry the command when the remote database is started.";
    NOT_MIRRORED = 1416, 16, false, "Database \"{0}\" is not configured for database mirroring.";
    PARTNER_NOT_FOUND = 1418, 16, false, "The server network address \"{0}\" can not be reached or does not exist. Check the network address name and that the ports for the local and remote endpoints are operational.";
    REMOTE_NOT_RESTORING = 1419, 16, false, "The remote copy of database \"{0}\" cannot be opened. Check the database name and ensure that it is in the restoring state, and then reissue the command.";
    REMOTE_TIMED_OUT = 1421, 16, true, "Communications to the remote server instance '{0}' failed to complete before its timeout. The ALTER DATABASE command may have not completed. Retry the command.";
    MIRROR_NOT_CAUGHT_UP = 1422, 16, false, "The mirror server instance is not caught up to the recent changes to database \"{0}\". Unable to fail over.";
    WITNESS_NEEDS_ALL = 1426, 16, false, "To issue ALTER DATABASE SET WITNESS, all three server instances must be interconnected, and the mirror database must be caught up. When these conditions are met, reissue the command.";
    CANNOT_BE_WITNESS = 1427, 16, false, "The server instance '{0}' could not act as the witness. The ALTER DATABASE SET WITNESS command failed.";
    WITNESS_IS_PARTNER = 1429, 16, false, "The witness server instance name must be distinct from both of the server instances that manage the database. The ALTER DATABASE SET WITNESS command failed.";
    NEITHER_AVAILABLE = 1431, 16, false, "Neither the partner nor the witness server instance for database \"{0}\" is available. Reissue the command when at least one of the instances becomes available.";
    WITNESS_CHANGE_UNCERTAIN = 1433, 16, false, "All three server instances did not remain interconnected for the duration of the ALTER DATABASE SET WITNESS command. There may be missing or inconsistent metadata in the database mirroring catalog views. Verify that the partner and witness settings are correct and reissue the command.";
    UNEXPECTED_MESSAGE = 1434, 16, true, "Invalid or unexpected database mirroring {0} message was received from server {1}.";
    MESSAGE_NOT_SENT = 1437, 16, true, "Could not post message '{0}' to server instance '{1}'.";
    NO_WITNESS = 1439, 16, false, "There is currently no witness associated with the database \"{0}\".";
    ACTIVE_PRINCIPAL = 1440, 10, true, "Database mirroring is active with database '{0}' as the principal copy. This is an informational message only. No user action is required.";
    ACTIVE_MIRROR = 1441, 10, true, "Database mirroring is active with database '{0}' as the mirror copy. This is an informational message only. No user action is required.";
    INACTIVE = 1442, 10, true, "Database mirroring is inactive for database '{0}'. This is an informational message only. No user action is required.";
    TERMINATED = 1443, 10, true, "Database mirroring has been terminated for database '{0}'. This is an informational message only. No user action is required.";
    RECOVERY_BYPASSED_MIRROR = 1444, 10, true, "Bypassing recovery for database '{0}' because it is marked as a mirror database, which cannot be recovered. This is an informational message only. No user action is required.";
    RECOVERY_BYPASSED_QUORUM = 1445, 10, true, "Bypassing recovery for database '{0}' because it is marked as an inaccessible database mirroring database. A problem exists with the mirroring session. The session either lacks a quorum or the communications links are broken because of problems with links, endpoint configuration, or permissions (for the server account or security certificate). To gain access to the database, figure out what has changed in the session configuration and undo the change.";
    ALREADY_WITNESS = 1446, 10, false, "The \"{0}\" server instance is already acting as the witness.";
    BOTH_PARTNERS_NEEDED = 1447, 16, false, "ALTER DATABASE \"{0}\" command cannot be executed until both partner server instances are up, running, and connected. Start the partner and reissue the command.";
    REMOTE_MISSING = 1448, 16, false, "The remote copy of database \"{0}\" does not exist. Check the database name and reissue the command.";
    ADDRESS_SYNTAX = 1449, 16, false, "ALTER DATABASE command failed due to an invalid server connection string '{0}': {1}.";
    PARTNER_IS_SELF = 1452, 16, false, "The partner server instance name must be distinct from the server instance that manages the database. The ALTER DATABASE SET PARTNER command failed.";
    PAGE_REPAIR_ATTEMPT = 1432, 10, false, "Database mirroring is attempting to repair physical page (1:{0}) in database \"{1}\" by requesting a copy from the partner.";
    MIRROR_ERROR = 1454, 17, true, "Database mirroring will be suspended. Server instance '{0}' encountered error {1}, state {2}, severity {3} when it was acting as a mirroring partner for database '{4}'. A page of its copy cannot be read; it is requested from the partner, and the session resumes once it is here.";
    CANNOT_FORCE = 1455, 16, false, "The database mirroring service cannot be forced for database \"{0}\" because the database is not in the correct state to become the principal database.";
    REMOTE_MIRRORED_ELSEWHERE = 1460, 16, false, "The database \"{0}\" is already configured for database mirroring on the remote server. Drop database mirroring on the remote server to establish a new partner.";
    EDITION_WITHOUT_MIRRORING = 1463, 16, false, "Database mirroring is not available in the edition of this SQL Server instance.";
    PAGE_REPAIRED = 1461, 10, false, "Database mirroring successfully repaired physical page (1:{0}) in database \"{1}\" by obtaining a copy from the partner.";
    REMOTE_NOT_RECOVERING = 1464, 16, false, "The database \"{0}\" is not in a recovering state which is required for a mirror database or secondary database. The remote database must be restored using WITH NORECOVERY.";
    PAGE_REPAIR_FAILED = 1481, 10, false, "Database mirroring could not repair physical page (1:{0}) in database \"{1}\". The partner could not be reached, or its copy of the page cannot be read either.";
    NOT_FULL_RECOVERY = 1465, 16, false, "Database \"{0}\" is not in full recovery mode on each of the server instances. The full recovery model is required for a database to participate in database mirroring.";
    SUSPECT_DATABASE = 1467, 16, false, "Database mirroring cannot be enabled because the database \"{0}\" is in emergency or suspect mode.";
    OPERATION_ON_MIRRORED = 1468, 16, false, "The operation cannot be performed on database \"{0}\" because it is involved in a database mirroring session or an availability group. Some operations are not allowed on a database that is participating in a database mirroring session or in an availability group.";
    NOT_PRINCIPAL = 1470, 16, false, "The alter database for this partner config values may only be initiated on the current principal server for database \"{0}\".";
    EDITION_CANNOT_CHANGE_SAFETY = 1473, 16, false, "This SQL Server edition does not allow changing the safety level. ALTER DATABASE command failed.";
    BULK_LOGGED_CHANGES = 1475, 16, false, "Database \"{0}\" might contain bulk logged changes that have not been backed up. Take a log backup on the principal database, and restore it on the mirror database.";
    CONNECTION_ERROR = 1474, 16, true, "Database mirroring connection error {0} '{1}' for '{2}'.";
    TIMEOUT_TOO_LARGE = 1476, 16, false, "Database mirroring timeout value {0} exceeds the maximum value 32767.";
    FAILOVER_NEEDS_FULL = 1477, 16, false, "The database mirroring safety level must be FULL to manually failover database \"{0}\". Set safety level to FULL and retry.";
    CONNECTION_TIMED_OUT = 1479, 16, true, "The mirroring connection to \"{0}\" has timed out for database \"{1}\" after {2} seconds without a response. Check the service and network connections.";
    ALERT_OLDEST_UNSENT = 32040, 10, true, "Monitor of database '{0}': the oldest log not sent yet is {1} minutes old, which is more than the threshold of {2}.";
    ALERT_UNSENT_LOG = 32042, 10, true, "Monitor of database '{0}': {1} KB of log wait to be sent, which is more than the threshold of {2}.";
    ALERT_UNRESTORED_LOG = 32043, 10, true, "Monitor of database '{0}': {1} KB of log wait to be redone, which is more than the threshold of {2}.";
    ALERT_COMMIT_OVERHEAD = 32044, 10, true, "Monitor of database '{0}': a commit waits {1} ms for the mirror on average, which is more than the threshold of {2}.";
    ROLE_CHANGE = 1480, 10, true, "The database mirroring database \"{0}\" is changing roles from \"{1}\" to \"{2}\" because the mirroring session failed over due to {3}.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique() {
        let mut numbers: Vec<u32> = msg::ALL.iter().map(|m| m.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), msg::ALL.len());
    }

    #[test]
    fn what_is_filled_in_is_text_and_nothing_else() {
        let hostile = msg::LOGIN_FAILED.with(&[&"{0} {1} {{2}"]);
        assert_eq!(hostile.text, "Login failed for user '{0} {1} {{2}'.");
        let crossed = msg::CONNECTION_ERROR.with(&[&"{1}", &"{2}", &"{0}"]);
        assert_eq!(
            crossed.text,
            "Database mirroring connection error {1} '{2}' for '{0}'."
        );
    }

    #[test]
    fn every_place_of_every_message_can_be_filled() {
        for message in msg::ALL {
            let places = message.text.matches('{').count();
            let args: Vec<&dyn fmt::Display> = vec![&7; places];
            assert!(fill(message.text, &args).is_some(), "{}", message.number);
        }
    }

    #[test]
    fn an_error_prints_like_the_product() {
        let error = msg::PARTNER_NOT_FOUND.with(&[&"TCP://beta:7022"]);
        assert!(
            error
                .to_string()
                .starts_with("Msg 1418, Level 16, State 1: The server network address \"TCP://beta:7022\"")
        );
        assert_eq!(message(1418), Some(&msg::PARTNER_NOT_FOUND));
    }
}
