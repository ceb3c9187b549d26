//! What every state carries, and the secrets that a finished token exchange leaves.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use sha2::{Digest, Sha256};

use super::offer::{offer, terms};
use super::{Action, Login, Next, WaitArbitration, name_terms};
use crate::crypto::record::SECRET_BYTES;
use crate::endpoint::auth::{Mechanism, Principal};
use crate::endpoint::config::Method;
use crate::endpoint::error::LoginError;
use crate::endpoint::local::{LocalEndpoint, Side};
use crate::endpoint::negotiate::{Agreed, Incompatible, Terms, negotiate};
use crate::types::EncryptionInUse;
use crate::wire::login::{Arbitration, Confirmation, LoginMessage, Offer};

const INITIATOR_CONFIRMS: &str = "EXPORTER-mirrorlab initiator confirms";
const ACCEPTOR_CONFIRMS: &str = "EXPORTER-mirrorlab acceptor confirms";
const INITIATOR_RECORDS: &str = "EXPORTER-mirrorlab initiator records";
const ACCEPTOR_RECORDS: &str = "EXPORTER-mirrorlab acceptor records";

/// What every state carries.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) side: Side,
    pub(super) local: Arc<LocalEndpoint>,
    /// Where the peer is: the address that was connected to, or the one it came from.
    pub(super) far: String,
    pub(super) stream: ChaCha20Rng,
    /// Offers and rejects as this side saw them.
    pub(super) transcript: Sha256,
}

impl Common {
    pub(super) fn new(side: Side, local: Arc<LocalEndpoint>, far: String, stream: ChaCha20Rng) -> Self {
        Common {
            side,
            local,
            far,
            stream,
            transcript: Sha256::new(),
        }
    }

    /// Records a message of the negotiation, said or heard.
    pub(super) fn note(&mut self, message: &LoginMessage) {
        let payload = message.payload();
        self.transcript.update([message.kind().0]);
        self.transcript.update((payload.len() as u64).to_be_bytes());
        self.transcript.update(payload);
    }

    pub(super) fn say(&mut self, message: LoginMessage, out: &mut Vec<Action>) {
        self.note(&message);
        out.push(Action::Send(message));
    }

    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.stream.fill_bytes(&mut seed);
        seed
    }

    fn incompatible(&self, what: Incompatible, remote: &Offer) -> LoginError {
        let own = offer(&self.local);
        LoginError::Incompatible {
            what,
            local: name_terms(what, &own),
            remote: name_terms(what, remote),
        }
    }

    /// The agreement, if there is one that this side may carry out.
    pub(super) fn agree(&self, remote: &Offer) -> Result<Agreed, LoginError> {
        let (own, far) = (Terms::of(&self.local.config), terms(remote)?);
        let agreed = match self.side {
            Side::Acceptor => negotiate(&own, &far),
            Side::Initiator => negotiate(&far, &own),
        };
        match agreed.map_err(|what| self.incompatible(what, remote))? {
            agreed if agreed.encryption == EncryptionInUse::Rc4 && self.local.fips_mode => {
                Err(LoginError::Rc4InFipsMode)
            }
            agreed => Ok(agreed),
        }
    }

    pub(super) fn negotiated(&self, remote: &Offer) -> Action {
        let names = |offer: &Offer| offer.methods.iter().map(ToString::to_string).collect();
        Action::Negotiated {
            local: names(&offer(&self.local)),
            remote: names(remote),
        }
    }

    /// Closes the exchange: who the peer is, both confirmations, and the record keys, bound to the transcript.
    pub(super) fn conclude(
        &self,
        mechanism: &dyn Mechanism,
        method: Method,
        encryption: EncryptionInUse,
    ) -> Result<(Proved, Secrets), LoginError> {
        let unnamed = || LoginError::Exchange("it is finished without a peer".to_owned());
        let proved = Proved {
            principal: mechanism.peer().ok_or_else(unnamed)?,
            method: mechanism.method(method),
            encryption,
        };
        let context = self.transcript.clone().finalize();
        let confirmation = |label| -> Result<Confirmation, LoginError> {
            let mut secret = [0; 32];
            mechanism.export(label, &context, &mut secret)?;
            Ok(secret)
        };
        let records = |label| -> Result<[u8; SECRET_BYTES], LoginError> {
            let mut secret = [0; SECRET_BYTES];
            mechanism.export(label, &context, &mut secret)?;
            Ok(secret)
        };
        let (own, far) = match self.side {
            Side::Initiator => (
                (INITIATOR_CONFIRMS, INITIATOR_RECORDS),
                (ACCEPTOR_CONFIRMS, ACCEPTOR_RECORDS),
            ),
            Side::Acceptor => (
                (ACCEPTOR_CONFIRMS, ACCEPTOR_RECORDS),
                (INITIATOR_CONFIRMS, INITIATOR_RECORDS),
            ),
        };
        let secrets = Secrets {
            own_confirmation: confirmation(own.0)?,
            far_confirmation: confirmation(far.0)?,
            keys: RecordKeys {
                encryption,
                send: records(own.1)?,
                receive: records(far.1)?,
            },
        };
        Ok((proved, secrets))
    }

    /// The login is done on both sides: protect what follows and say who this is.
    pub(super) fn arbitrate(self, proved: Proved, keys: RecordKeys, out: &mut Vec<Action>) -> Next {
        if proved.encryption != EncryptionInUse::None {
            out.push(Action::Protect(keys));
        }
        out.push(Action::Send(LoginMessage::ArbitrationRequest(Arbitration {
            arbitration_id: self.local.arbitration_id,
            server_name: self.local.server_name.clone(),
            role: self.local.config.role.code() as u8,
            version: self.local.version,
            address: self.local.address.clone(),
        })));
        Next::login(Login::WaitArbitration(WaitArbitration {
            common: self,
            proved,
            peer: None,
            is_kept: false,
            peer_keeps: false,
        }))
    }
}

/// What the token exchange proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    pub principal: Principal,
    pub method: Method,
    pub encryption: EncryptionInUse,
}

/// The secrets of the record ciphers, from this side's point of view.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKeys {
    pub encryption: EncryptionInUse,
    pub send: [u8; SECRET_BYTES],
    pub receive: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKeys")
    }
}

#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) own_confirmation: Confirmation,
    pub(super) far_confirmation: Confirmation,
    pub(super) keys: RecordKeys,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Compares in constant time.
    pub(super) fn check(&self, confirmation: &Confirmation) -> Result<(), LoginError> {
        let pairs = self.far_confirmation.iter().zip(confirmation);
        match pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) {
            0 => Ok(()),
            _ => Err(LoginError::Confirmation),
        }
    }
}
