//! Words everything shares: log sequence numbers, times, addresses, names, identities, replies, events.
//!
//! Plain values without behaviour beyond parsing and printing. Knows nothing of wires, endpoints or sessions.

mod address;
mod change;
mod declaration;
mod event;
mod held;
mod id;
mod lsn;
mod page;
mod permission;
mod recovery_path;
mod reply;
mod state;
mod time;
mod transition;

pub use address::{AddressError, ServerAddress};
pub use change::RowChange;
pub use declaration::Declaration;
pub use event::{
    ClientEvent, ClosedBy, EndpointEvent, Event, InstanceEvent, LoginAudit, SessionEvent, Source, Stamped,
    SwitchKind, WorldEvent,
};
pub use held::{EndpointSettings, HeldCertificate};
pub use id::{ConnectionId, DatabaseName, Guid, InstanceName, TransactionId};
pub use lsn::Lsn;
pub use page::{DamagedPage, PageError, PageKey, ROWS_PER_PAGE, RepairStatus};
pub use permission::{Permission, SecurableClass};
pub use recovery_path::{PathStep, RecoveryPath, STEPS_MAX};
pub use reply::{Reply, ReplyItem, Value};
pub use state::{
    EncryptionInUse, LinkState, MirroringState, PartnerRole, Role, RoleSequence, Safety, state_change_name,
};
pub use time::{Now, PING_INTERVAL, Timestamp, WallTime};
pub use transition::{TRANSITIONS, Transition, is_legal_transition};
