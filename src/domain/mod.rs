//! Windows domains as pure values: what a domain controller knows and answers, and both sides of NTLM, Kerberos and
//! NEGOTIATE.
//!
//! [`Initiator`] and [`Acceptor`] carry out one authentication for whoever owns the connection, who never learns which
//! package runs: they ask for tokens to be sent and for the domain controller to be asked ([`Step`]). A [`Controller`] is
//! a function from request bytes to answer bytes over a [`Directory`]. Nothing here opens a connection, reads a clock or
//! draws randomness that was not handed in; every decoder takes arbitrary bytes.
//!
//! Source: NTLM documented (MS-NLMP), Kerberos documented (RFC 4120, MS-KILE); the envelope of tokens, the messages of
//! pass-through validation and what a controller replicates are ours.

mod account;
mod controller;
mod directory;
mod envelope;
mod exchange;
mod failure;
mod frame;
mod kerberos;
mod logon;
mod ntlm;
mod query;
mod service_account;
#[cfg(test)]
mod tests;

pub use account::{AccountName, NAME_CHARS_MAX, Secret, Sid, WindowsIdentity};
pub use controller::Controller;
pub use directory::{Account, Directory, DirectoryError, SpnError};
pub use exchange::{Acceptor, Done, Initiator, Step, WindowsProtocol};
pub use failure::{NoController, Package, SecurityCode, WindowsFailure};
pub use frame::{CONTROLLER_MESSAGE_BYTES_MAX, FrameError, FrameReader, encode_frame};
pub use logon::{Credentials, LogonSession};
pub use query::{Answer, Channel, Query, Validation};
pub use service_account::{ServiceAccount, ServiceAccountError};
