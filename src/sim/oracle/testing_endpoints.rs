//! Hand-made histories of endpoints, certificates and logins: alpha is the side that is looked at, beta the other.

use super::testing::{identity, on, started, world};
use crate::types::{
    ClosedBy, ConnectionId, EncryptionInUse, EndpointEvent, EndpointSettings, HeldCertificate, InstanceEvent,
    ServerAddress, Stamped, WorldEvent,
};

/// alpha's connection with beta in [`login`], and its own to beta in [`login_initiated`].
pub(in crate::sim::oracle) const ACCEPTED: ConnectionId = ConnectionId(2);
pub(in crate::sim::oracle) const INITIATED: ConnectionId = ConnectionId(3);

const BETA: &str = "10.0.0.2:5000";
const ALPHA: &str = "10.0.0.1:7022";

/// A started endpoint with certificates.
pub(in crate::sim::oracle) fn with(level: &str, algorithms: &[&str]) -> EndpointSettings {
    EndpointSettings {
        id: 65_536,
        name: "Mirroring".into(),
        state: "STARTED".into(),
        port: 7022,
        role: "ALL".into(),
        methods: vec!["CERTIFICATE".into()],
        level: level.into(),
        algorithms: algorithms.iter().map(|a| (*a).to_owned()).collect(),
    }
}

pub(in crate::sim::oracle) fn in_state(state: &str) -> EndpointSettings {
    EndpointSettings {
        state: state.into(),
        ..with("REQUIRED", &["AES"])
    }
}

pub(in crate::sim::oracle) fn in_role(role: &str) -> EndpointSettings {
    EndpointSettings {
        role: role.into(),
        ..with("REQUIRED", &["AES"])
    }
}

pub(in crate::sim::oracle) fn configured(second: u64, who: &str, settings: &EndpointSettings) -> Stamped {
    let settings = Box::new(settings.clone());
    on(second, who, EndpointEvent::Configured { settings })
}

pub(in crate::sim::oracle) fn dropped(second: u64, who: &str) -> Stamped {
    let name = "Mirroring".into();
    on(second, who, EndpointEvent::Dropped { name })
}

pub(in crate::sim::oracle) fn listening(second: u64, who: &str, port: u16) -> Stamped {
    on(second, who, EndpointEvent::Listening { port })
}

/// alpha and beta run, with endpoints of these levels and algorithms.
pub(in crate::sim::oracle) fn endpoints(alpha: (&str, &[&str]), beta: (&str, &[&str])) -> Vec<Stamped> {
    vec![
        started(0, "alpha"),
        started(0, "beta"),
        configured(0, "alpha", &with(alpha.0, alpha.1)),
        configured(0, "beta", &with(beta.0, beta.1)),
        listening(0, "alpha", 7022),
    ]
}

/// alpha accepts a connection.
pub(in crate::sim::oracle) fn accepted(second: u64, connection: ConnectionId) -> Stamped {
    let from = BETA.into();
    on(second, "alpha", EndpointEvent::Accepted { connection, from })
}

/// alpha opens one.
pub(in crate::sim::oracle) fn connecting(second: u64, connection: ConnectionId) -> Stamped {
    let address = ServerAddress::new("beta", 7022);
    on(second, "alpha", EndpointEvent::Connecting { connection, address })
}

pub(in crate::sim::oracle) fn logged_in(
    second: u64,
    connection: ConnectionId,
    accepted: bool,
    encryption: EncryptionInUse,
) -> Stamped {
    logged_in_as(second, connection, accepted, encryption, "beta")
}

/// alpha has let this instance in, by its login.
pub(in crate::sim::oracle) fn logged_in_as(
    second: u64,
    connection: ConnectionId,
    accepted: bool,
    encryption: EncryptionInUse,
    peer: &str,
) -> Stamped {
    let event = EndpointEvent::LoggedIn {
        connection,
        peer: identity(peer),
        accepted,
        principal: format!("{peer}_login"),
        authentication: "CERTIFICATE".into(),
        encryption,
        local_level: "SUPPORTED".into(),
        connect_granted: true,
    };
    on(second, "alpha", event)
}

/// alpha accepts a connection of beta's, and its login ends well.
pub(in crate::sim::oracle) fn login(second: u64, encryption: EncryptionInUse) -> [Stamped; 2] {
    [
        accepted(second, ACCEPTED),
        logged_in(second, ACCEPTED, true, encryption),
    ]
}

/// alpha opens a connection to beta, and its login ends well.
pub(in crate::sim::oracle) fn login_initiated(second: u64, encryption: EncryptionInUse) -> [Stamped; 2] {
    [
        connecting(second, INITIATED),
        logged_in(second, INITIATED, false, encryption),
    ]
}

pub(in crate::sim::oracle) fn closed(second: u64, connection: ConnectionId) -> Stamped {
    let closed = EndpointEvent::Closed {
        connection,
        by: ClosedBy::Local,
        error: None,
    };
    on(second, "alpha", closed)
}

pub(in crate::sim::oracle) fn clear_on_the_wire(second: u64) -> Stamped {
    let (from, to) = (BETA.into(), ALPHA.into());
    world(second, WorldEvent::ClearSessionMessage { from, to })
}

pub(in crate::sim::oracle) fn sealed_on_the_wire(second: u64) -> Stamped {
    let (from, to) = (ALPHA.into(), BETA.into());
    world(second, WorldEvent::SealedSessionMessage { from, to })
}

/// `who` holds certificates: thumbprint, whether with its key, and the owner's login.
pub(in crate::sim::oracle) fn holds(second: u64, who: &str, certificates: &[(&str, bool, &str)]) -> Stamped {
    let held = certificates
        .iter()
        .map(|(thumbprint, key, login)| HeldCertificate {
            thumbprint: (*thumbprint).into(),
            has_private_key: *key,
            login: Some((*login).into()),
        });
    let certificates = held.collect();
    on(second, who, InstanceEvent::CertificatesHeld { certificates })
}
