//! Kerberos 5 as Windows domains use it: tickets from the controller, and both sides of their use.
//!
//! The initiator proves its password to the controller (AS), gets a ticket for the service principal name (TGS) and
//! shows it to the acceptor (AP), which opens it with its own password's key and asks nobody; both prove themselves. One
//! encryption type, AES256-CTS-HMAC-SHA1-96. Everybody's clock has to be within five minutes of who checks. A ticket
//! names the account and its SID in place of Windows' PAC; tickets between domains are issued without referrals (ours, see
//! `directory`). Source: documented, RFC 4120, MS-KILE.

mod acceptor;
mod cache;
pub(super) mod crypto;
mod der;
mod initiator;
mod issuer;
pub(super) mod message;

pub(super) use acceptor::Acceptor;
pub(super) use cache::Cache;
pub(super) use initiator::Initiator;
pub(super) use issuer::answer;

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use crate::types::WallTime;

/// How far clocks may be apart. Source: documented (Windows' default).
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a ticket lives. Source: documented (Windows' default).
const TICKET_LIFETIME: Duration = Duration::from_secs(10 * 3_600);

/// Whether two clocks are within [`SKEW_MAX`], to the second.
fn is_close(one: WallTime, other: WallTime) -> bool {
    one.unix_secs().abs_diff(other.unix_secs()) <= SKEW_MAX.as_secs()
}

/// The realm of a domain.
fn realm(dns_domain: &str) -> String {
    dns_domain.to_uppercase()
}

fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}
