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
    SYNTAX_NEAR = 102, 15, false, "'{0}' does not fit here: {1} is expected.";
    SYNTAX_NEAR_KEYWORD = 156, 15, false, "The keyword '{0}' does not fit here: {1} is expected.";
    UNCLOSED_QUOTE = 105, 15, false, "A quotation mark is opened and never closed before the text '{0}'.";
    MISSING_END_COMMENT = 113, 15, false, "A comment is never closed: '*/' is missing.";
    TOO_LONG = 103, 15, false, "The {0} that begins with '{1}' is longer than {2} characters.";
    INVALID_COLUMN = 207, 16, false, "There is no column '{0}' here.";
    INVALID_OBJECT = 208, 16, false, "There is no table or view '{0}'.";
    AMBIGUOUS_COLUMN = 209, 16, false, "Several tables have a column '{0}': say which is meant.";
    COLUMN_COUNT = 213, 16, false, "The columns that are named, the values and the table's columns do not match in number or name.";
    NOT_IN_TRANSACTION = 574, 16, false, "{0} cannot be part of a transaction that the batch has open.";
    NO_COLUMN_NULL = 515, 16, false, "The column '{0}' takes no NULL.";
    ARITHMETIC_OVERFLOW = 8115, 16, false, "The result is too large for the type {0}.";
    CONVERSION = 245, 16, false, "'{0}' cannot be converted to the type {1}.";
    MULTI_PART = 4104, 16, false, "Nothing here is called \"{0}\".";
    DIVIDE_BY_ZERO = 8134, 16, false, "A division by zero.";
    TABLE_EXISTS = 2714, 16, false, "The database has a table '{0}' already.";
    DUPLICATE_KEY = 2627, 14, false, "The table '{1}' has a row with the key {0} already.";
    NOT_SUPPORTED = 40517, 16, false, "mirrorlab does not know '{0}', though the product may.";
    NO_BEGIN_TRANSACTION = 3902, 16, false, "There is no open transaction to commit.";
    NO_BEGIN_TRANSACTION_ROLLBACK = 3903, 16, false, "There is no open transaction to roll back.";
    UNCOMMITTED_AT_END_OF_BATCH = 3998, 16, false, "The batch ended with a transaction still open: it is rolled back.";
    BATCH_TOO_LARGE = 8631, 17, false, "The batch of {0} bytes is larger than {1} bytes. Split it with GO.";
    QUERY_TOO_DEEP = 191, 15, false, "The statement is nested too deeply: split it.";
    QUERY_FAILED = 8622, 16, false, "The query failed: {0}.";
    PARAMETER_NOT_NAMED = 119, 15, false, "Argument {0} stands behind one that is named: write @name = value for it and for all that follow.";
    ARGUMENT_MISSING = 201, 16, false, "The procedure '{0}' needs a value for {1}, and none is given.";
    EXECUTE_DENIED = 229, 14, false, "Only a member of sysadmin may execute '{0}'.";
    ARGUMENT_TYPE = 8114, 16, false, "'{0}' cannot be the value of {1}, which is {2}.";
    ARGUMENT_TWICE = 8143, 16, false, "{0} is given more than once.";
    TOO_MANY_ARGUMENTS = 8144, 16, false, "The procedure '{0}' has fewer parameters than there are arguments.";
    PARAMETER_UNKNOWN = 8145, 16, false, "{0} is no parameter of the procedure '{1}'.";
    MEMBERS_ONLY = 21089, 16, false, "'{0}' is for members of {1} alone.";
    NO_SUCH_ERROR_LOG = 22004, 16, false, "There is no such error log: {0}.";
    ARGUMENT_RANGE = 40518, 16, false, "{0} is out of range for {1}, which is {2} to {3}.";
    MSDB_ONLY = 40520, 16, false, "'{0}' can be called in msdb only: USE msdb first, or write msdb.dbo before its name.";
    MONITOR_NO_JOB = 40521, 16, false, "The mirroring monitor has no job '{0}' could act on: call sp_dbmmonitoraddmonitoring first.";
    VIEW_DENIED = 300, 14, false, "The view is for logins that hold {0}.";
    STATEMENT_DENIED = 262, 14, false, "{0} is for administrators of the server alone.";
    // Databases
    NO_DATABASE_ACCESS = 916, 14, false, "The login \"{0}\" may not use the database \"{1}\".";
    ALTER_DATABASE_DENIED = 5011, 14, false, "The database '{0}' cannot be altered: there is none of that name, the login may not, or it is in no state to tell.";
    DATABASE_MISSING = 911, 16, false, "There is no database '{0}' on this instance.";
    DATABASE_EXISTS = 1801, 16, false, "There is a database '{0}' already.";
    DATABASE_IN_USE = 3702, 16, false, "A client uses the database \"{0}\": it is not dropped.";
    DATABASE_IN_USE_OPERATION = 3013, 16, false, "{0} stops: {1}.";
    CANNOT_OPEN_BACKUP = 3201, 16, false, "The backup file '{0}' cannot be opened: {1}.";
    BACKUP_DAMAGED = 3241, 16, false, "The file '{0}' is not a whole backup: {1}.";
    BACKUP_TOO_RECENT = 4305, 16, false, "The log of this backup begins at LSN {0}, behind the end of the database at {1}: restore the backup between them first.";
    BACKUP_TOO_EARLY = 4326, 16, false, "The log of this backup ends at LSN {0}, and the database goes to {1} already: restore a later one.";
    LOG_BACKUP_IN_SIMPLE = 4208, 16, false, "BACKUP LOG needs the recovery model FULL or BULK_LOGGED, and this database has SIMPLE.";
    LOG_BACKUP_WITHOUT_BASE = 4214, 16, false, "BACKUP LOG needs a full backup to build on, and there is none.";
    DIFFERENTIAL_WITHOUT_BASE = 3035, 16, false, "A differential backup of \"{0}\" needs a full backup to build on, and there is none.";
    OPTION_NOT_IN_DATABASE = 5058, 16, false, "The database '{1}' has no setting {0}.";
    BACKUP_OF_NEWER_VERSION = 3169, 16, false, "The backup was written by version {0}, and this instance is of the older {1}: restore it on one that is no older than the backup.";
    OTHER_RECOVERY_PATH = 4330, 16, false, "The backup belongs to another recovery path than the one this database was restored along: restore one of the same path.";
    DIFFERENTIAL_OF_OTHER_BASE = 3136, 16, false, "The differential backup builds on another full backup than the one this database was restored from.";
    FILE_MISSING = 5041, 16, false, "The database has no file '{0}' to modify.";
    RESTORE_NOT_RESTORING = 3117, 16, false, "The database waits for no further backup: it was not restored WITH NORECOVERY.";
    RESTORE_OVERWRITES = 3159, 16, false, "The database \"{0}\" would be overwritten with log that no backup has, or while it is mirrored: back its log up, or remove it first.";
    LOG_FULL = 9002, 17, true, "The log of database '{0}' is full at {1} bytes; what keeps it is '{2}'.";
    DATABASE_RESTORING = 927, 14, false, "Database '{0}' is being restored and cannot be used.";
    DATABASE_MIRROR = 954, 14, false, "Database '{0}' is the mirror copy here and cannot be used.";
    DATABASE_NO_QUORUM = 955, 14, false, "Database '{0}' is mirrored and sees neither its partner nor its witness: it is not served.";
    DATABASE_DAMAGED = 926, 14, true, "Database '{0}' is suspect and cannot be used: {1}.";
    DATABASE_FILES_OUT_OF_REACH = 945, 14, true, "Database '{0}' cannot be used: its files could not be written. The log of the instance says why; the database is opened anew when the instance starts again.";
    LOG_NOT_AVAILABLE = 9001, 21, true, "The log of database '{0}' is not available: a write to it failed. The database is not used until the instance starts again; other databases go on.";
    LOG_LOST = 9003, 20, true, "The log of database '{0}' ends at {1}, although it was hardened up to {2}: the disk lost log. The database is not served by this copy.";
    PARTNER_OF_OTHER_VERSION = 41952, 16, false, "Mirroring of \"{0}\" cannot start: the instance at \"{1}\" is of another version, and all instances of a session are of one.";
    LOGS_DIFFER = 41951, 20, true, "The mirror's log of database '{0}' differs from the principal's before {1}, where the principal alone can have written it. One of the disks is damaged. No log is sent.";
    // The number's severity is the manual's 21; as a finding of recovery that goes on, it is ours.
    LOG_TAIL_CUT = 9004, 10, true, "The log of database '{0}' ends in {1}, which are no log and are discarded. This is usual after a loss of power; otherwise check the disk.";
    LOGIN_DATABASE = 4060, 11, false, "The login is refused, because the database \"{0}\" it asks for cannot be used.";
    LOGIN_DEFAULT_DATABASE = 4064, 11, false, "The login is refused, because the default database of the user cannot be used.";
    REDO_FAILED = 3313, 21, true, "Redo of database '{0}' failed behind LSN {1}: its data file can take nothing any more. Restore it from a full backup.";
    DISK_ERROR = 823, 24, true, "The disk failed in {1}: {0}.";
    PAGE_DAMAGED = 824, 24, true, "Page (1:{1}) of database '{2}' is damaged: {0}. Its rows are not used.";
    PAGE_RESTORE_PENDING = 829, 21, false, "Page (1:{1}) of the database with ID {0} was found damaged and is not restored yet: its rows are not served.";
    BACKUP_DAMAGED_PAGE = 3043, 16, false, "The database '{0}' is not backed up: page (1:{1}) of its data file is damaged.";
    CLIENT_LOGINS_FULL = 17809, 20, true, "Closed without a login: {0} connections to the client port wait to log in, which is the bound, and this one has waited longest of those from its address. [CLIENT: {1}]";
    CLIENT_LOGIN_TIMED_OUT = 17830, 20, true, "Closed without a login: {0} seconds have passed since it connected to the client port. [CLIENT: {1}]";
    LOGIN_FAILED = 18456, 14, true, "'{0}' may not log in.";
    MASTER_DAMAGED = 3411, 21, true, "The instance does not start: {0}. Restore or rebuild master.";
    // Principals, certificates, keys
    LOGIN_INVALID = 15007, 16, false, "There is no login '{0}', or it may not be seen.";
    DEFAULT_DATABASE_MISSING = 15010, 16, false, "There is no database '{0}' that could be the default.";
    LANGUAGE_MISSING = 15033, 16, false, "There is no language '{0}'.";
    CHANGE_WITHOUT_EXPIRATION = 15099, 16, false, "MUST_CHANGE needs CHECK_EXPIRATION = ON.";
    EXPIRATION_WITHOUT_POLICY = 15122, 16, false, "CHECK_EXPIRATION = ON needs CHECK_POLICY = ON.";
    SID_LENGTH = 15419, 16, false, "The SID of a login with a password has {0} bytes.";
    SID_TAKEN = 15433, 16, false, "The SID is that of another login.";
    WINDOWS_ACCOUNT_MISSING = 15401, 16, false, "Windows knows no account '{0}'.";
    WINDOWS_ACCOUNT_UNKNOWN = 15404, 16, false, "No domain controller could be asked about the account '{0}': {1}.";
    PRINCIPAL_EXISTS = 15025, 16, false, "There is a login '{0}' already.";
    USER_EXISTS = 15023, 16, false, "The database has a user or role '{0}' already.";
    LOGIN_HAS_USER = 15063, 16, false, "The login has a user in this database already, under another name.";
    ROLE_MISSING = 15014, 16, false, "The current database has no role '{0}'.";
    SPECIAL_USER = 15405, 16, false, "'{0}' is a special user and can be in no role.";
    MEMBER_MISSING = 15410, 11, false, "The database has no user or role '{0}'.";
    ROLE_IN_ITSELF = 15413, 11, false, "A role cannot be a member of itself.";
    CANNOT_DROP = 15150, 16, false, "The {0} '{1}' cannot be dropped.";
    CANNOT_FIND = 15151, 16, false, "There is no {0} '{1}', or it may not be seen or changed.";
    CERTIFICATE_FILE = 15208, 16, false, "The file or key '{0}' cannot be used: {1}.";
    CERTIFICATE_SUBJECT = 15212, 16, false, "A certificate's subject has 1 to {0} characters.";
    CERTIFICATE_EXPIRY_BEFORE_START = 15213, 16, false, "Note: the certificate expires before it starts to be valid.";
    CERTIFICATE_EXPIRED = 15214, 16, false, "Note: the certificate has expired already.";
    CERTIFICATE_NOT_YET_VALID = 15215, 16, false, "Note: the certificate is not valid yet.";
    CERTIFICATE_EXISTS = 15232, 16, false, "The name '{0}' is taken by a certificate, or this very certificate is in the database already.";
    CERTIFICATE_WRITE = 15240, 16, false, "The file '{0}' cannot be written: {1}. It must not exist yet, and the service account must be allowed to.";
    CERTIFICATE_NO_PRIVATE_KEY = 15246, 16, false, "The certificate '{0}' has no private key.";
    CERTIFICATE_DATA = 15297, 16, false, "These are no data of a certificate or key.";
    CERTIFICATE_SIGNATURE = 15299, 16, false, "The certificate's public key is not signed as it should be.";
    KEY_WRONG_DECRYPTOR = 15313, 16, false, "The key is not protected by what was named.";
    KEY_NOT_OPEN = 15315, 16, false, "The key '{0}' was not opened.";
    PRIVATE_KEY_FORMAT = 15464, 16, false, "The private key has a form or length that is not supported.";
    PRIVATE_KEY_PASSWORD = 15465, 16, false, "The password does not open the private key.";
    PRIVATE_KEY_MISMATCH = 15474, 16, false, "The private key does not belong to the certificate.";
    PRIVATE_KEY_NOT_ENCRYPTED = 9639, 16, false, "A password was given for a private key that is under none.";
    NO_PERMISSION = 15247, 16, false, "The login may not do this.";
    CANNOT_OWN = 15345, 16, false, "'{0}' cannot own a certificate: it is a role, or its login is mapped to a certificate.";
    CERTIFICATE_MAPPED = 15559, 10, false, "The certificate '{0}' is not dropped: the login '{1}' is mapped to it.";
    CERTIFICATE_IN_USE = 15352, 16, false, "The certificate '{0}' is not dropped: something depends on it.";
    PRINCIPAL_OWNS = 15141, 16, false, "The principal '{0}' is not dropped: it owns at least one {1}.";
    PRINCIPAL_MISSING = 15403, 16, false, "There is no principal '{0}' with access to the server, or it may not be seen.";
    NAME_TAKEN = 15530, 16, false, "The name \"{1}\" is taken by another {0}.";
    MASTER_KEY_EXISTS = 15578, 16, false, "The database has a master key already.";
    MASTER_KEY_IN_USE = 15580, 16, false, "The master key is not dropped: it protects the private key of the certificate '{0}'.";
    MASTER_KEY_MISSING = 15581, 16, false, "This needs the master key of the database: create it, or open it in this session.";
    MASTER_ONLY = 4621, 16, false, "Permissions on the server are changed in the database master.";
    CASCADE_NEEDED = 4611, 16, false, "The principal may pass the permission on: to revoke or deny it, say CASCADE.";
    GRANTOR_CANNOT_GRANT = 4613, 16, false, "The grantor may not pass this permission on.";
    SPECIAL_ROLE = 4617, 16, false, "The permissions of fixed roles do not change.";
    SPECIAL_PRINCIPAL = 4624, 16, false, "Permissions and memberships of sa, of the owner and of yourself cannot be changed.";
    PRINCIPAL_HAS_GRANTED = 15173, 16, false, "The principal '{0}' is not dropped: permissions it granted are in force. Revoke them first.";
    LOGIN_CONNECTED = 15434, 16, false, "The login '{0}' is not dropped: it is connected.";
    DATE_CONVERSION = 241, 16, false, "'{0}' is no date or time.";
    // Endpoint DDL
    PARAMETER_REQUIRED = 7801, 15, false, "{0} is missing.";
    CLAUSE_NOT_USABLE = 7803, 15, false, "{1} takes no {0}.";
    VALUE_OUT_OF_RANGE = 7810, 15, false, "{0} is no value for {1}, which goes from {2} to {3}.";
    PARAMETER_TWICE = 7816, 15, false, "'{0}' is given twice.";
    CANNOT_CHANGE_PROTOCOL = 7860, 15, false, "ALTER ENDPOINT changes neither the protocol nor the payload of an endpoint: drop it and create it anew.";
    PROTOCOL_PAYLOAD = 7861, 15, false, "{0} does not carry {1}.";
    ADMIN_ENDPOINT = 7864, 16, false, "The endpoint of the dedicated administrator connection is neither created nor altered by statements.";
    RESERVED_ENDPOINT_NAME = 7869, 16, false, "'{0}' is no name for an endpoint: what begins with '{1}' is reserved.";
    AFFINITY_NOT_SUPPORTED = 7870, 16, false, "Endpoints of this type have no AFFINITY.";
    CLAUSE_OF_OTHER_TYPE = 7871, 16, false, "'{0}' is no clause of {1} endpoints.";
    BUILT_IN_ENDPOINT = 7873, 16, false, "The endpoint '{0}' belongs to the instance itself and is not dropped.";
    EDITION_LACKS = 7878, 16, false, "{0} is not supported in the {1}: its endpoint can only have ROLE = WITNESS.";
    IPV6_NOT_CANONICAL = 7887, 20, true, "The IPv6 address '{0}' must be written as '{1}'.";
    IPV6_UNRECOGNISED = 7888, 20, true, "'{0}' is not an IPv6 address that can be listened on. Write an IPv6 address in quotation marks, an IPv4 address without.";
    CANNOT_REGISTER = 7890, 16, false, "The endpoint cannot listen on port {0}, which may be in use by another process: {1}. The endpoint is kept as configured.";
    ENDPOINT_TYPE_EXISTS = 7862, 16, false, "The instance has an endpoint of this type, and one is all it may have: alter that one, or drop it first.";
    ALTER_NOTHING = 7863, 16, false, "ALTER ENDPOINT names nothing to change.";
    BINDING_TAKEN = 7874, 16, false, "Another endpoint of this instance has port {0} at the same address: choose another, or change that endpoint first.";
    CERTIFICATE_UNSUITABLE = 28055, 16, false, "An endpoint cannot authenticate with the certificate '{0}': it needs a private key under the master key of the database, and today (UTC) within its dates.";
    // Listener
    LISTENER_PORT_BUSY = 26023, 16, true, "Cannot listen at [ {0} <{1}> {2} ]: another process has the TCP port.";
    CANNOT_LISTEN_ADDRESS = 26024, 16, true, "Cannot listen at [ '{0}' <{1}> {2} ]: {3}.";
    FIPS_MODE = 28077, 10, false, "Database mirroring's transport is in FIPS compliance mode.";
    RC4_NOT_IN_FIPS = 28078, 10, false, "FIPS mode rules RC4 out: write ALGORITHM AES.";
    SPN_NOT_REGISTERED = 26037, 10, true, "The service principal name '{0}' could not be registered for {1}: {2}. Kerberos will not find this instance; other authentication is not affected.";
    SPN_REGISTERED = 26059, 10, true, "The service principal name '{0}' is registered for {1}.";
    NOW_LISTENING = 9690, 10, true, "The Database Mirroring endpoint listens on port {0}.";
    STOPPED_LISTENING = 9691, 10, false, "The Database Mirroring endpoint listens no more.";
    CANNOT_LISTEN_IN_USE = 9692, 16, false, "The Database Mirroring endpoint does not listen: port {0} belongs to another process.";
    CANNOT_LISTEN = 9693, 16, false, "The Database Mirroring endpoint does not listen: {0}.";
    ENDPOINT_DISABLED_OR_STOPPED = 9666, 10, false, "The Database Mirroring endpoint is disabled or stopped.";
    TRANSPORT_DISABLED = 1486, 10, false, "The endpoint's configuration disables the transport of database mirroring.";
    // Handshake
    NO_COMPATIBLE = 28027, 10, false, "The two endpoints have no {0} in common.";
    HANDSHAKE_NOT_SENT = 28028, 10, false, "The peer closed the connection before the next message of the handshake could be sent.";
    HANDSHAKE_UNEXPECTED = 28029, 10, false, "The handshake met {0}, which does not belong in its state {1}.";
    HANDSHAKE_OS_CALL = 28031, 10, false, "The operating system refused a step of the handshake: {0}.";
    ARBITRATION_NEW_LOST = 28032, 10, false, "Another connection stands for this peer: this new one closes.";
    ARBITRATION_OLD_LOST = 28033, 10, false, "There is a newer connection with this peer, which takes over: this old one closes.";
    NO_CONNECT_PERMISSION = 28034, 10, false, "The login '{0}' lacks CONNECT on the endpoint.";
    PEER_CERTIFICATE_INVALID = 28035, 10, false, "The peer's certificate is not accepted: {0}.";
    OWN_CERTIFICATE_INVALID = 28036, 10, false, "This endpoint's own certificate cannot be used: {0}. Look at sys.certificates and sys.database_mirroring_endpoints in master.";
    PRIVATE_KEY_UNUSABLE = 28037, 10, false, "The private key of this endpoint's certificate cannot be used: error {0}.";
    HANDSHAKE_VERIFICATION = 28038, 10, false, "The two sides did not see the same handshake.";
    NOT_THE_PACKAGE = 28039, 10, false, "A token of Windows authentication is not of the package that was agreed.";
    CORRUPT_MESSAGE = 28040, 10, false, "A message with a damaged header came in ({0}).";
    CORRUPT_ARBITRATION_REQUEST = 28042, 16, false, "A request of the arbitration came in that cannot be read ({0}).";
    CORRUPT_ARBITRATION_RESPONSE = 28043, 16, false, "An answer of the arbitration came in that cannot be read ({0}).";
    NOT_ENCRYPTED_AS_CONFIGURED = 28044, 16, false, "A message came in that is not encrypted and signed as was agreed.";
    CERTIFICATE_DIFFERS = 28045, 10, false, "The peer's certificate is another than the one in master of the same issuer and serial number.";
    LOGIN_SUCCEEDED = 28046, 10, true, "Login to Database Mirroring: '{0}' by {1}. [CLIENT: {2}]";
    LOGIN_FAILED_UNKNOWN = 28047, 10, true, "Login to Database Mirroring refused: '{0}'. [CLIENT: {1}]";
    LOGIN_FAILED_USER = 28048, 10, true, "Login to Database Mirroring refused to '{0}': '{1}'. [CLIENT: {2}]";
    PRE_MASTER_SECRET_SIZE = 28059, 16, false, "The secret the peer sent for the keys has another size or form than it must have.";
    CONFIRM_STATUS = 28070, 10, false, "Windows authentication was confirmed with {0}, which is no status to be expected.";
    SIGNATURE_INVALID = 28061, 16, false, "A message came in whose signature is not right.";
    WRONG_DIRECTION = 28079, 10, false, "A token of Windows authentication came from the wrong side.";
    ENDPOINT_NOT_CONFIGURED = 28080, 10, false, "There is no Database Mirroring endpoint.";
    LOGIN_TIMED_OUT = 9760, 10, false, "The connection was idle: the login did not complete within {0} seconds.";
    // The manual's number for a deprecated algorithm, of severity 16; as a warning it is ours.
    RC4_DEPRECATED = 33128, 10, true, "{0} uses RC4, which is deprecated. Name AES in ALGORITHM on both endpoints.";
    WINDOWS_IMPOSSIBLE = 28190, 10, true, "The Database Mirroring endpoint names Windows authentication, and the service account {0} is nobody on the network. Connections need certificates: let AUTHENTICATION name one, or run the instance under a domain account.";
    NETWORK_SERVICE_ADVISED = 28191, 10, true, "The Database Mirroring endpoint names Windows authentication, and the instance runs under Network Service: its peers need a login for the computer account {0}, with CONNECT. Certificates are recommended for built-in accounts.";
    // Transport
    // 9642, 1474, 1479 and 1480 are logged although the tables of messages do not flag them (E58).
    TRANSPORT_ERROR = 9642, 16, true, "A connection of Database Mirroring failed. Error: {0}, State: {1}. (Here: {2}, far address: '{3}')";
    REMOTE_LOGIN_DENIED = 9752, 10, false, "The connection was refused: the account of the remote server, '{0}', has no enabled login on this server.";
    CONNECT_FAILED = 9754, 10, false, "The connection could not be opened: '{0}'.";
    PROTOCOL_ERROR = 9757, 10, false, "The peer broke the protocol: {0}.";
    DNS_FAILED = 9783, 10, false, "The name could not be resolved: '{0}'.";
    // Sessions
    WITNESS_NO_ENTRY = 1402, 20, true, "The witness knows no session {0}. Set it again from a partner.";
    MIRROR_BUSY = 1404, 16, false, "Another command of this session is under way: try again when it is over.";
    ALREADY_MIRRORED = 1405, 16, false, "The database \"{0}\" is mirrored already.";
    FORCE_UNSAFE = 1406, 16, false, "Service cannot be forced here without harm. To use \"{0}\", remove mirroring and recover it.";
    REMOTE_UNRELATED = 1407, 16, false, "The partner's copy of \"{0}\" was not restored from a backup of this one.";
    REMOTE_NOT_RECOVERED_ENOUGH = 1408, 16, false, "The partner's copy of \"{0}\" lacks log this one has given up: restore the log backups there, WITH NORECOVERY.";
    REMOTE_ALREADY_MIRRORED = 1410, 16, false, "The partner's copy of \"{0}\" is mirrored already.";
    REMOTE_LACKS_LOG_CHAIN = 1478, 16, false, "The partner's copy of \"{0}\" lacks log that no log backup has yet: back the log up here and restore it there.";
    REMOTE_NOT_IN_RANGE = 1412, 16, false, "The partner's copy of \"{0}\" ends at a point that is not in the local log.";
    CONTACT_LOST_BEFORE_START = 1413, 16, true, "The link to the partner broke before mirroring had begun: nothing was set up. Run the statement again once it is there.";
    NOT_MIRRORED = 1416, 16, false, "The database \"{0}\" is not mirrored.";
    PARTNER_NOT_FOUND = 1418, 16, false, "Nobody answers as a partner at \"{0}\". Check the address, and that both endpoints are started, reachable and let each other in.";
    REMOTE_NOT_RESTORING = 1419, 16, false, "The partner's copy of \"{0}\" is not there as a restoring database: check its name, and restore it WITH NORECOVERY.";
    REMOTE_TIMED_OUT = 1421, 16, true, "The instance '{0}' did not answer in time: the command may be half done. Run it again.";
    MIRROR_NOT_CAUGHT_UP = 1422, 16, false, "The mirror lacks recent changes of \"{0}\": no failover is possible now.";
    BAD_PROPERTY_VALUE = 1425, 16, false, "{0} is no value for {1}: it must be from {2} to {3}.";
    WITNESS_NEEDS_ALL = 1426, 16, false, "A witness is set while all three instances see each other and the mirror has caught up: try again then.";
    CANNOT_BE_WITNESS = 1427, 16, false, "The instance '{0}' cannot be the witness.";
    WITNESS_IS_PARTNER = 1429, 16, false, "A partner of the session cannot be its witness.";
    NEITHER_AVAILABLE = 1431, 16, false, "Neither the partner nor the witness of \"{0}\" can be reached: try again when one of them can.";
    WITNESS_CHANGE_UNCERTAIN = 1433, 16, false, "The three instances lost sight of each other while the witness was set: it may be set on some of them only. Look at their views, and set it again.";
    UNEXPECTED_MESSAGE = 1434, 16, true, "What {1} sent for Database Mirroring does not belong here: {0}.";
    MESSAGE_NOT_SENT = 1437, 16, true, "A message could not be sent to '{1}': {0}.";
    NO_WITNESS = 1439, 16, false, "The session of \"{0}\" has no witness.";
    ACTIVE_PRINCIPAL = 1440, 10, true, "Database '{0}' is mirrored, with the principal copy here.";
    ACTIVE_MIRROR = 1441, 10, true, "Database '{0}' is mirrored, with the mirror copy here.";
    TERMINATED = 1443, 10, true, "Mirroring of database '{0}' has ended.";
    RECOVERY_BYPASSED_MIRROR = 1444, 10, true, "Database '{0}' is a mirror copy and stays unrecovered.";
    RECOVERY_BYPASSED_QUORUM = 1445, 10, true, "Database '{0}' is mirrored and stays unrecovered until its session has quorum. Look for what changed: links, endpoints, permissions of accounts and certificates.";
    ALREADY_WITNESS = 1446, 10, false, "The instance \"{0}\" is the witness already.";
    BOTH_PARTNERS_NEEDED = 1447, 16, false, "ALTER DATABASE \"{0}\" needs both partners up and connected: try again then.";
    REMOTE_MISSING = 1448, 16, false, "The partner has no database \"{0}\".";
    ADDRESS_SYNTAX = 1449, 16, false, "'{0}' is no server network address: {1}.";
    PARTNER_IS_SELF = 1452, 16, false, "An instance cannot be its own partner.";
    PAGE_REPAIR_ATTEMPT = 1432, 10, false, "Page (1:{0}) of database \"{1}\" is damaged: the partner is asked for its copy.";
    CANNOT_RESUME = 1462, 16, false, "The session of database \"{0}\" cannot be resumed: redo failed on the mirror, and would fail again. Remove mirroring, restore the mirror, set it up again.";
    PARTNER_ERROR = 1453, 17, true, "Instance '{0}', the other partner of database '{1}', met error {2} (state {3}, severity {4}): the session is suspended. Look at its log. A session suspended for a page resumes by itself once the page is repaired; otherwise mend the cause there, and RESUME.";
    MIRROR_ERROR = 1454, 17, true, "Instance '{0}' met error {1} (state {2}, severity {3}) as a partner of database '{4}': the session is suspended. If a page cannot be read (824, or 823 with error 23), the partner is asked for it, and the session resumes once it is here; otherwise mend the cause, and RESUME.";
    CANNOT_FORCE = 1455, 16, false, "Service of \"{0}\" cannot be forced in the state it is in.";
    REMOTE_MIRRORED_ELSEWHERE = 1460, 16, false, "The partner's copy of \"{0}\" waits for another partner: end that session there first.";
    EDITION_WITHOUT_MIRRORING = 1463, 16, false, "The edition of this instance can be no partner of a mirroring session.";
    PAGE_REPAIRED = 1461, 10, false, "Page (1:{0}) of database \"{1}\" is repaired with the partner's copy.";
    REMOTE_NOT_RECOVERING = 1464, 16, false, "The partner's copy of \"{0}\" is recovered: restore it WITH NORECOVERY.";
    PAGE_REPAIR_FAILED = 1481, 10, false, "Page (1:{0}) of database \"{1}\" is not repaired: the partner cannot be reached, or its copy is damaged too.";
    NOT_FULL_RECOVERY = 1465, 16, false, "Mirroring needs the recovery model FULL, which database \"{0}\" does not have.";
    SUSPECT_DATABASE = 1467, 16, false, "Database \"{0}\" is suspect or in emergency mode, and cannot be mirrored.";
    OPERATION_ON_MIRRORED = 1468, 16, false, "Database \"{0}\" is mirrored, and this cannot be done to it before mirroring is removed.";
    NOT_PRINCIPAL = 1470, 16, false, "This setting of \"{0}\" is changed on the principal.";
    EDITION_CANNOT_CHANGE_SAFETY = 1473, 16, false, "The edition of this instance cannot change SAFETY.";
    BULK_LOGGED_CHANGES = 1475, 16, false, "Database \"{0}\" may hold bulk-logged changes that no log backup has: back its log up here, and restore that on the mirror.";
    CONNECTION_ERROR = 1474, 16, true, "The mirroring connection to '{2}' failed with error {0}: '{1}'.";
    TIMEOUT_TOO_LARGE = 1476, 16, false, "A partner timeout of {0} s is too long: at most 32767.";
    FAILOVER_NEEDS_FULL = 1477, 16, false, "A manual failover of \"{0}\" needs SAFETY FULL: set it first.";
    CONNECTION_TIMED_OUT = 1479, 16, true, "The mirroring connection to \"{0}\" is given up for database \"{1}\": no answer for {2} seconds.";
    ALERT_OLDEST_UNSENT = 32040, 10, true, "Monitor of database '{0}': the oldest log not sent yet is {1} minutes old, which is more than the threshold of {2}.";
    ALERT_UNSENT_LOG = 32042, 10, true, "Monitor of database '{0}': {1} KB of log wait to be sent, which is more than the threshold of {2}.";
    ALERT_UNRESTORED_LOG = 32043, 10, true, "Monitor of database '{0}': {1} KB of log wait to be redone, which is more than the threshold of {2}.";
    ALERT_COMMIT_OVERHEAD = 32044, 10, true, "Monitor of database '{0}': a commit waits {1} ms for the mirror on average, which is more than the threshold of {2}.";
    ROLE_CHANGE = 1480, 10, true, "Database \"{0}\" changes its role from \"{1}\" to \"{2}\": {3}.";
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
        assert_eq!(hostile.text, "'{0} {1} {{2}' may not log in.");
        let crossed = msg::CONNECTION_ERROR.with(&[&"{1}", &"{2}", &"{0}"]);
        assert_eq!(
            crossed.text,
            "The mirroring connection to '{0}' failed with error {1}: '{2}'."
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
    fn an_error_prints_with_number_level_and_state() {
        let error = msg::PARTNER_NOT_FOUND.with(&[&"TCP://beta:7022"]);
        assert!(
            error.to_string().starts_with(
                "Msg 1418, Level 16, State 1: Nobody answers as a partner at \"TCP://beta:7022\"."
            )
        );
        assert_eq!(message(1418), Some(&msg::PARTNER_NOT_FOUND));
    }
}
