//! `sys.server_permissions`, `sys.server_principals`, `sys.database_principals`, `sys.database_role_members` and
//! `sys.certificates`.
//!
//! Binary values travel as their printed text, `0x…`. Source: documented, the pages of these names.

use super::column::{Coded, view_row};
use crate::types::WallTime;

view_row! {
    /// One permission granted, denied or revoked. `kind` is blank-padded to four characters.
    ServerPermissionRow {
        class: Coded => class: TinyInt, class_desc: NVarChar(60);
        major_id: i64 => major_id: Int;
        minor_id: i64 => minor_id: Int;
        grantee_principal_id: i64 => grantee_principal_id: Int;
        grantor_principal_id: i64 => grantor_principal_id: Int;
        kind: &'static str => type: Char(4);
        permission_name: &'static str => permission_name: NVarChar(128);
        /// `D`, `R`, `G` or `W`.
        state: &'static str => state: Char(1);
        state_desc: &'static str => state_desc: NVarChar(60);
    }
}

view_row! {
    /// One login or server role.
    ServerPrincipalRow {
        name: String => name: SysName;
        principal_id: i64 => principal_id: Int;
        sid: String => sid: VarBinary(85);
        /// `S` SQL login, `U` Windows login, `G` Windows group, `R` server role, `C` login mapped to a certificate.
        kind: &'static str => type: Char(1);
        type_desc: &'static str => type_desc: NVarChar(60);
        is_disabled: bool => is_disabled: Bit;
        create_date: WallTime => create_date: DateTime;
        modify_date: WallTime => modify_date: DateTime;
        default_database_name: Option<String> => default_database_name: SysName;
        default_language_name: Option<String> => default_language_name: SysName;
        credential_id: Option<i64> => credential_id: Int;
        owning_principal_id: Option<i64> => owning_principal_id: Int;
        is_fixed_role: bool => is_fixed_role: Bit;
    }
}

view_row! {
    /// One user or role of the current database.
    DatabasePrincipalRow {
        name: String => name: SysName;
        principal_id: i64 => principal_id: Int;
        kind: &'static str => type: Char(1);
        type_desc: &'static str => type_desc: NVarChar(60);
        default_schema_name: Option<String> => default_schema_name: SysName;
        create_date: WallTime => create_date: DateTime;
        modify_date: WallTime => modify_date: DateTime;
        owning_principal_id: Option<i64> => owning_principal_id: Int;
        sid: Option<String> => sid: VarBinary(85);
        is_fixed_role: bool => is_fixed_role: Bit;
        authentication_type: Coded => authentication_type: Int, authentication_type_desc: NVarChar(60);
        default_language_name: Option<String> => default_language_name: SysName;
        default_language_lcid: Option<i64> => default_language_lcid: Int;
        allow_encrypted_value_modifications: bool => allow_encrypted_value_modifications: Bit;
    }
}

view_row! {
    /// One member of a role of the current database.
    DatabaseRoleMemberRow {
        role_principal_id: i64 => role_principal_id: Int;
        member_principal_id: i64 => member_principal_id: Int;
    }
}

view_row! {
    /// One certificate of the current database.
    CertificateRow {
        name: String => name: SysName;
        certificate_id: i64 => certificate_id: Int;
        /// The database principal that owns it.
        principal_id: Option<i64> => principal_id: Int;
        /// `NA`, `MK`, `PW` or `SK`.
        pvt_key_encryption_type: &'static str => pvt_key_encryption_type: Char(2);
        pvt_key_encryption_type_desc: &'static str => pvt_key_encryption_type_desc: NVarChar(60);
        is_active_for_begin_dialog: bool => is_active_for_begin_dialog: Bit;
        issuer_name: String => issuer_name: NVarChar(442);
        cert_serial_number: String => cert_serial_number: NVarChar(64);
        sid: Option<String> => sid: VarBinary(85);
        string_sid: Option<String> => string_sid: NVarChar(128);
        subject: String => subject: NVarChar(4000);
        expiry_date: WallTime => expiry_date: DateTime;
        start_date: WallTime => start_date: DateTime;
        thumbprint: String => thumbprint: VarBinary(32);
        attested_by: Option<String> => attested_by: NVarChar(260);
        pvt_key_last_backup_date: Option<WallTime> => pvt_key_last_backup_date: DateTime;
    }
}
