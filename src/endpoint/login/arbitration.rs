//! Both sides say who they are and which connection they keep. The one file that can make a [`LoggedIn`].

use super::common::Common;
use super::{Action, Login, LoginState, Next, Proved};
use crate::endpoint::config::{EncryptionLevel, EndpointRole, Method};
use crate::endpoint::error::LoginError;
use crate::endpoint::local::Side;
use crate::types::{EncryptionInUse, Guid, ServerAddress};
use crate::wire::DecodeError;
use crate::wire::frame::ARBITRATION_REQUEST;
use crate::wire::login::{Arbitration, LoginMessage};

/// Both: let in; waits for the peer's identity, this instance's verdict and the peer's.
#[derive(Debug)]
pub struct WaitArbitration {
    pub(super) common: Common,
    pub(super) proved: Proved,
    pub(super) peer: Option<PeerIdentity>,
    pub(super) is_kept: bool,
    pub(super) peer_keeps: bool,
}

impl WaitArbitration {
    pub(super) fn on_request(
        mut self,
        request: Arbitration,
        out: &mut Vec<Action>,
    ) -> Result<Next, LoginError> {
        if self.peer.is_some() {
            return Err(self.unexpected("second arbitration request"));
        }
        let peer = PeerIdentity {
            arbitration_id: request.arbitration_id,
            server_name: request.server_name,
            role: role(request.role)?,
            version: request.version,
            address: request.address,
            principal: self.proved.principal.name.clone(),
        };
        self.peer = Some(peer.clone());
        out.push(Action::Arbitrate(peer));
        Ok(Next::login(Login::WaitArbitration(self)))
    }

    pub(super) fn on_response(mut self) -> Result<Next, LoginError> {
        if self.peer_keeps {
            return Err(self.unexpected("second arbitration response"));
        }
        self.peer_keeps = true;
        Ok(self.into_next())
    }

    /// Whether the peer has said who it is, and no verdict was given yet.
    pub fn awaits_verdict(&self) -> bool {
        self.peer.is_some() && !self.is_kept
    }

    /// Whether it is left to the initiator which of its connections it uses.
    pub fn is_initiators_choice(&self) -> bool {
        self.common.side == Side::Acceptor && self.peer.is_some() && !self.peer_keeps
    }

    /// This instance will use the connection.
    pub fn keep(mut self, out: &mut Vec<Action>) -> Next {
        out.push(Action::Send(LoginMessage::ArbitrationResponse));
        self.is_kept = true;
        self.into_next()
    }

    fn unexpected(&self, event: &str) -> LoginError {
        LoginError::Unexpected {
            event: event.to_owned(),
            state: LoginState::WaitArbitration.name(),
        }
    }

    fn into_next(self) -> Next {
        match self.peer {
            Some(peer) if self.is_kept && self.peer_keeps => Next::online(LoggedIn {
                peer,
                side: self.common.side,
                method: self.proved.method,
                encryption: self.proved.encryption,
                local_level: self.common.local.config.encryption.level(),
                peer_certificate_id: self.proved.principal.certificate_id,
                peer_certificate: self.proved.principal.certificate,
                connect_granted: match self.common.side {
                    Side::Acceptor => self.proved.principal.connect,
                    Side::Initiator => true,
                },
                proof: Proof,
            }),
            peer => Next::login(Login::WaitArbitration(WaitArbitration { peer, ..self })),
        }
    }
}

/// What was agreed and proved by the time a connection is online. Made by [`WaitArbitration`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    pub peer: PeerIdentity,
    pub side: Side,
    pub method: Method,
    pub encryption: EncryptionInUse,
    pub local_level: EncryptionLevel,
    pub peer_certificate_id: Option<i64>,
    /// The thumbprint of the certificate the peer showed.
    pub peer_certificate: Option<String>,
    /// The acceptor's verdict: on the initiator, that it was let in.
    pub connect_granted: bool,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proof;

/// Who the peer says it is, after it proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    pub arbitration_id: Guid,
    pub server_name: String,
    pub role: EndpointRole,
    /// The product's year.
    pub version: u16,
    /// The server network address of the peer's own endpoint, if it knows it.
    pub address: Option<ServerAddress>,
    /// The login checked for CONNECT on the acceptor; on the initiator the owner of the acceptor's certificate.
    pub principal: String,
}

/// The owner's answer to an arbitration request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArbitrationVerdict {
    /// This connection is to be used; an older one with the same peer, if any, loses.
    Keep,
    /// A previous connection with the same peer will be used (28032).
    LostToOlder,
    /// The instance that the peer says it is comes, or came, under another login (28032, and the logs say so).
    NameTaken,
}

fn role(code: u8) -> Result<EndpointRole, LoginError> {
    match code {
        1 => Ok(EndpointRole::Partner),
        2 => Ok(EndpointRole::Witness),
        3 => Ok(EndpointRole::All),
        _ => Err(LoginError::Decode(DecodeError::Malformed {
            message: ARBITRATION_REQUEST,
            reason: "its role is unknown",
        })),
    }
}
