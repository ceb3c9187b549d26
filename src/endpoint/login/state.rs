//! The states of a login, as the manual names and numbers them.

/// `login_state` of `sys.dm_db_mirroring_connections`. Source: documented; the sentences are paraphrased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginState {
    Initial = 0,
    WaitLoginNegotiate = 1,
    OneIsc = 2,
    OneAsc = 3,
    TwoIsc = 4,
    TwoAsc = 5,
    WaitIscConfirm = 6,
    WaitAscConfirm = 7,
    WaitReject = 8,
    WaitPreMasterSecret = 9,
    WaitValidation = 10,
    WaitArbitration = 11,
    Online = 12,
    Error = 13,
}

impl LoginState {
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The documented name.
    pub const fn name(self) -> &'static str {
        match self {
            LoginState::Initial => "INITIAL",
            LoginState::WaitLoginNegotiate => "WAIT LOGIN NEGOTIATE",
            LoginState::OneIsc => "ONE ISC",
            LoginState::OneAsc => "ONE ASC",
            LoginState::TwoIsc => "TWO ISC",
            LoginState::TwoAsc => "TWO ASC",
            LoginState::WaitIscConfirm => "WAIT ISC Confirm",
            LoginState::WaitAscConfirm => "WAIT ASC Confirm",
            LoginState::WaitReject => "WAIT REJECT",
            LoginState::WaitPreMasterSecret => "WAIT PRE-MASTER SECRET",
            LoginState::WaitValidation => "WAIT VALIDATION",
            LoginState::WaitArbitration => "WAIT ARBITRATION",
            LoginState::Online => "ONLINE",
            LoginState::Error => "ERROR",
        }
    }

    /// `login_state_desc`.
    pub const fn desc(self) -> &'static str {
        match self {
            LoginState::Initial => "Connection handshake is initializing.",
            LoginState::WaitLoginNegotiate => "Connection handshake is waiting for Login Negotiate message.",
            LoginState::OneIsc => {
                "Connection handshake has initialized and sent security context for authentication."
            }
            LoginState::OneAsc => {
                "Connection handshake has received and accepted security context for authentication."
            }
            LoginState::TwoIsc => {
                "Connection handshake has initialized and sent security context for authentication. An optional mechanism is available."
            }
            LoginState::TwoAsc => {
                "Connection handshake has received and sent accepted security context for authentication. An optional mechanism is available."
            }
            LoginState::WaitIscConfirm => {
                "Connection handshake is waiting for Initialize Security Context Confirmation message."
            }
            LoginState::WaitAscConfirm => {
                "Connection handshake is waiting for Accept Security Context Confirmation message."
            }
            LoginState::WaitReject => "Connection handshake is waiting for SSPI rejection message.",
            LoginState::WaitPreMasterSecret => {
                "Connection handshake is waiting for Pre-Master Secret message."
            }
            LoginState::WaitValidation => "Connection handshake is waiting for Validation message.",
            LoginState::WaitArbitration => "Connection handshake is waiting for Arbitration message.",
            LoginState::Online => {
                "Connection handshake is complete and is online (ready) for message exchange."
            }
            LoginState::Error => "Connection is in error.",
        }
    }
}
