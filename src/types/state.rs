//! The documented roles, states and codes. Views print them through `code` and `desc` only, so that code, view and
//! manual cannot drift apart. Source: documented, *sys.database_mirroring* and *sys.database_mirroring_witnesses*.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Number of role switches of a session, plus one. The higher one owns the principal role.
pub type RoleSequence = u32;

/// Which of the two partners an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PartnerRole {
    Principal,
    Mirror,
}

impl PartnerRole {
    pub const fn code(self) -> i64 {
        match self {
            PartnerRole::Principal => 1,
            PartnerRole::Mirror => 2,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            PartnerRole::Principal => "PRINCIPAL",
            PartnerRole::Mirror => "MIRROR",
        }
    }

    pub const fn other(self) -> PartnerRole {
        match self {
            PartnerRole::Principal => PartnerRole::Mirror,
            PartnerRole::Mirror => PartnerRole::Principal,
        }
    }
}

impl fmt::Display for PartnerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}

/// What an instance is to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    Principal,
    Mirror,
    Witness,
}

/// The state of a session as one partner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MirroringState {
    Suspended,
    Disconnected,
    Synchronizing,
    PendingFailover,
    Synchronized,
}

impl MirroringState {
    pub const fn code(self) -> i64 {
        match self {
            MirroringState::Suspended => 0,
            MirroringState::Disconnected => 1,
            MirroringState::Synchronizing => 2,
            MirroringState::PendingFailover => 3,
            MirroringState::Synchronized => 4,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            MirroringState::Suspended => "SUSPENDED",
            MirroringState::Disconnected => "DISCONNECTED",
            MirroringState::Synchronizing => "SYNCHRONIZING",
            MirroringState::PendingFailover => "PENDING_FAILOVER",
            MirroringState::Synchronized => "SYNCHRONIZED",
        }
    }
}

impl fmt::Display for MirroringState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.desc())
    }
}

/// The name of an id of the product's *Database Mirroring State Change* event. Source: documented; 13 third-party.
pub const fn state_change_name(id: u8) -> &'static str {
    match id {
        0 => "Null Notification",
        1 => "Synchronized Principal with Witness",
        2 => "Synchronized Principal without Witness",
        3 => "Synchronized Mirror with Witness",
        4 => "Synchronized Mirror without Witness",
        5 => "Connection with Principal Lost",
        6 => "Connection with Mirror Lost",
        7 => "Manual Failover",
        8 => "Automatic Failover",
        9 => "Mirroring Suspended",
        10 => "No Quorum",
        11 => "Synchronizing Mirror",
        12 => "Principal Running Exposed",
        13 => "Synchronizing Principal",
        _ => "unknown",
    }
}

/// Transaction safety as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Safety {
    Off,
    Full,
}

impl Safety {
    pub const fn code(self) -> i64 {
        match self {
            Safety::Off => 1,
            Safety::Full => 2,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            Safety::Off => "OFF",
            Safety::Full => "FULL",
        }
    }
}

/// A partner's link to the witness, or to the other partner, as that partner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LinkState {
    Unknown,
    Connected,
    Disconnected,
}

impl LinkState {
    pub const fn code(self) -> i64 {
        match self {
            LinkState::Unknown => 0,
            LinkState::Connected => 1,
            LinkState::Disconnected => 2,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            LinkState::Unknown => "UNKNOWN",
            LinkState::Connected => "CONNECTED",
            LinkState::Disconnected => "DISCONNECTED",
        }
    }
}

/// What protects the messages of a connection that is up. Codes of `sys.dm_db_mirroring_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EncryptionInUse {
    None,
    Rc4,
    Aes,
}

impl EncryptionInUse {
    pub const fn code(self) -> i64 {
        match self {
            EncryptionInUse::None => 0,
            EncryptionInUse::Rc4 => 1,
            EncryptionInUse::Aes => 2,
        }
    }

    pub const fn desc(self) -> &'static str {
        match self {
            EncryptionInUse::None => "NONE",
            EncryptionInUse::Rc4 => "RC4",
            EncryptionInUse::Aes => "AES",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: documented, *sys.database_mirroring*, *sys.dm_db_mirroring_connections*.
    #[test]
    fn each_code_has_its_text_as_the_views_pages_say() {
        let states = [
            MirroringState::Suspended,
            MirroringState::Disconnected,
            MirroringState::Synchronizing,
            MirroringState::PendingFailover,
            MirroringState::Synchronized,
        ];
        assert_eq!(
            states.map(|s| (s.code(), s.desc())),
            [
                (0, "SUSPENDED"),
                (1, "DISCONNECTED"),
                (2, "SYNCHRONIZING"),
                (3, "PENDING_FAILOVER"),
                (4, "SYNCHRONIZED"),
            ]
        );
        assert_eq!(
            [PartnerRole::Principal, PartnerRole::Mirror].map(|r| (r.code(), r.desc())),
            [(1, "PRINCIPAL"), (2, "MIRROR")]
        );
        assert_eq!(
            [Safety::Off, Safety::Full].map(|s| (s.code(), s.desc())),
            [(1, "OFF"), (2, "FULL")]
        );
        assert_eq!(
            [LinkState::Unknown, LinkState::Connected, LinkState::Disconnected].map(|l| (l.code(), l.desc())),
            [(0, "UNKNOWN"), (1, "CONNECTED"), (2, "DISCONNECTED")]
        );
        assert_eq!(
            [EncryptionInUse::None, EncryptionInUse::Rc4, EncryptionInUse::Aes].map(|e| (e.code(), e.desc())),
            [(0, "NONE"), (1, "RC4"), (2, "AES")]
        );
    }

    /// Source: documented, *Database Mirroring State Change Event Class*; 13 third-party.
    #[test]
    fn each_id_of_a_state_change_has_its_name() {
        let names: Vec<&str> = (0..=14).map(state_change_name).collect();
        assert_eq!(
            names,
            [
                "Null Notification",
                "Synchronized Principal with Witness",
                "Synchronized Principal without Witness",
                "Synchronized Mirror with Witness",
                "Synchronized Mirror without Witness",
                "Connection with Principal Lost",
                "Connection with Mirror Lost",
                "Manual Failover",
                "Automatic Failover",
                "Mirroring Suspended",
                "No Quorum",
                "Synchronizing Mirror",
                "Principal Running Exposed",
                "Synchronizing Principal",
                "unknown",
            ]
        );
    }
}
