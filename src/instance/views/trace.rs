//! `sys.fn_trace_gettable`: the rows of the instance's trace, as a DBA reads them.
//!
//! The columns this project's events fill, under their documented names; the others do not exist. Source: documented,
//! the pages of the function and of each event class.

use super::column::{Coded, view_row};
use crate::types::{Guid, WallTime};

view_row! {
    /// One event. What a class does not use is NULL.
    TraceRow {
        text: Option<String> => TextData: NVarChar(4000);
        database_id: Option<u32> => DatabaseID: Int;
        /// No transaction is at work in what these classes tell.
        transaction_id: Option<i64> => TransactionID: BigInt;
        nt_user_name: Option<String> => NTUserName: NVarChar(256);
        nt_domain_name: Option<String> => NTDomainName: NVarChar(256);
        /// There are no session ids here.
        spid: Option<i64> => SPID: Int;
        start_time: WallTime => StartTime: DateTime;
        severity: Option<u32> => Severity: Int;
        /// The subclass with its name, as the trace categories list it.
        subclass: Option<Coded> => EventSubClass: Int, subclass_name: NVarChar(128);
        integer_data: Option<i64> => IntegerData: Int;
        server_name: String => ServerName: NVarChar(256);
        class: Coded => EventClass: Int, class_name: NVarChar(128);
        state: Option<u32> => State: Int;
        error: Option<u32> => Error: Int;
        object_name: Option<String> => ObjectName: NVarChar(256);
        database_name: Option<String> => DatabaseName: NVarChar(256);
        file_name: Option<String> => FileName: NVarChar(256);
        owner_name: Option<String> => OwnerName: NVarChar(256);
        role_name: Option<String> => RoleName: NVarChar(256);
        target_user_name: Option<String> => TargetUserName: NVarChar(256);
        login_sid: Option<String> => LoginSid: VarBinary(85);
        provider_name: Option<String> => ProviderName: NVarChar(256);
        request_id: Option<i64> => RequestID: Int;
        event_sequence: u64 => EventSequence: BigInt;
        guid: Option<Guid> => GUID: UniqueIdentifier;
        is_system: bool => IsSystem: Int;
        session_login_name: Option<String> => SessionLoginName: NVarChar(256);
    }
}

/// `EventClass` of the events there are.
pub const CLASS_ERROR_LOG: Coded = Coded::new(22, "ErrorLog");
pub const CLASS_DEPRECATION_ANNOUNCEMENT: Coded = Coded::new(125, "Deprecation Announcement");
pub const CLASS_DEPRECATION_FINAL_SUPPORT: Coded = Coded::new(126, "Deprecation Final Support");
pub const CLASS_MIRRORING_CONNECTION: Coded = Coded::new(151, "Database Mirroring Connection");
pub const CLASS_AUDIT_MIRRORING_LOGIN: Coded = Coded::new(154, "Audit Database Mirroring Login");
pub const CLASS_MIRRORING_STATE_CHANGE: Coded = Coded::new(167, "Database Mirroring State Change");
