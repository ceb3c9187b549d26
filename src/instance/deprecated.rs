//! Deprecated features in use: how often, and the notice in the trace.
//!
//! Database mirroring is to go in a version not yet named, RC4 in the next one; the product counts each use and traces it.
//! Source: documented, *SQL Server, Deprecated Features Object*, *Deprecation Announcement* and *Deprecation Final Support
//! Event Class*; what counts as one use, and the words of the notice, are ours.

use super::Instance;
use super::trace::Surroundings;

/// A feature that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// An `ALTER DATABASE … SET PARTNER` or `SET WITNESS` was run.
    DatabaseMirroring,
    /// An endpoint that names RC4 began to listen, or a connection uses it.
    Rc4,
}

impl Feature {
    const ALL: [Feature; 2] = [Feature::DatabaseMirroring, Feature::Rc4];

    /// The counter's instance. Source: documented.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::DatabaseMirroring => "DATABASE_MIRRORING",
            Feature::Rc4 => "Deprecated encryption algorithm",
        }
    }

    /// Whether the next version is to be without it.
    pub const fn is_final(self) -> bool {
        matches!(self, Feature::Rc4)
    }

    pub const fn notice(self) -> &'static str {
        match self {
            Feature::DatabaseMirroring => {
                "Database mirroring was used. A future version will be without it: plan to go over to availability \
                 groups, or to log shipping where the edition has none."
            }
            Feature::Rc4 => {
                "RC4 was used. The next version will be without it: let the endpoints of both sides name AES."
            }
        }
    }
}

/// Uses since the instance started.
#[derive(Debug, Default)]
pub struct Deprecated {
    mirroring: u64,
    rc4: u64,
}

impl Deprecated {
    /// Every feature, used or not.
    pub fn counts(&self) -> impl Iterator<Item = (Feature, u64)> {
        Feature::ALL.into_iter().map(|feature| {
            let uses = match feature {
                Feature::DatabaseMirroring => self.mirroring,
                Feature::Rc4 => self.rc4,
            };
            (feature, uses)
        })
    }
}

impl Instance {
    /// One use of a feature that is to go.
    pub(super) fn note_deprecated(&mut self, feature: Feature) {
        match feature {
            Feature::DatabaseMirroring => self.deprecated.mirroring += 1,
            Feature::Rc4 => self.deprecated.rc4 += 1,
        }
        let around = Surroundings {
            wall: self.now.wall,
            server_name: &self.config.server_name,
            database_id: None,
            connection: None,
            login_sid: None,
        };
        self.trace.record_deprecated(feature, &around);
    }
}
