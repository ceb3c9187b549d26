//! What `master` holds for the endpoint, told to the trace where it has changed.
//!
//! Whoever judges a run can so compare what a login came to with what was configured on both sides, without asking the
//! endpoint. Nothing here is read by the instance itself.

use super::Instance;
use super::catalog::{Endpoint, PrivateKey};
use crate::crypto::certificate;
use crate::types::{EndpointEvent, EndpointSettings, HeldCertificate, InstanceEvent};

/// What was told last.
#[derive(Debug, Default)]
pub struct Told {
    endpoint: Option<EndpointSettings>,
    certificates: Vec<HeldCertificate>,
    may_connect: Vec<String>,
}

impl Instance {
    /// Tell of the endpoint, the certificates and the permission to connect, if they are not what was told last.
    pub(super) fn tell_what_is_held(&mut self) {
        let endpoint = self.catalog.endpoint().map(settings);
        if endpoint != self.told.endpoint {
            let before = std::mem::replace(&mut self.told.endpoint, endpoint.clone());
            match (before, endpoint) {
                (_, Some(settings)) => {
                    let settings = Box::new(settings);
                    self.emit(EndpointEvent::Configured { settings });
                }
                (Some(gone), None) => self.emit(EndpointEvent::Dropped { name: gone.name }),
                (None, None) => {}
            }
        }
        let certificates = self.held_certificates();
        if certificates != self.told.certificates {
            self.told.certificates.clone_from(&certificates);
            self.emit(InstanceEvent::CertificatesHeld { certificates });
        }
        self.tell_who_may_connect();
    }

    /// Tell it as soon as the catalog says it: a login may meet the change before the disk has it.
    pub(super) fn tell_who_may_connect(&mut self) {
        let all = self.catalog.logins().map(|login| login.name.clone());
        let logins: Vec<String> = all.filter(|name| self.catalog.may_connect(name)).collect();
        if logins != self.told.may_connect {
            self.told.may_connect.clone_from(&logins);
            self.emit(InstanceEvent::MayConnect { logins });
        }
    }

    fn held_certificates(&self) -> Vec<HeldCertificate> {
        let held = self.catalog.certificates().map(|held| HeldCertificate {
            thumbprint: certificate::thumbprint_of(&held.der),
            has_private_key: matches!(held.private_key, Some(PrivateKey::MasterKey(_))),
            login: self.catalog.login_of_user(&held.owner).map(|l| l.name.clone()),
        });
        held.collect()
    }
}

fn settings(endpoint: &Endpoint) -> EndpointSettings {
    let config = &endpoint.config;
    let methods = config.authentication.methods();
    let algorithms = config.encryption.algorithms();
    EndpointSettings {
        id: endpoint.id,
        name: config.name.clone(),
        state: config.state.desc().to_owned(),
        port: config.port.number(),
        role: config.role.to_string(),
        methods: methods.iter().map(|m| m.desc().to_owned()).collect(),
        level: config.encryption.level().desc().to_owned(),
        algorithms: algorithms.iter().map(|a| a.desc().to_owned()).collect(),
    }
}
