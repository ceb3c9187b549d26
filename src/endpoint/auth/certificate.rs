//! Certificate authentication: mutual TLS 1.3 carried as tokens, trust by exact copy.
//!
//! `rustls` proves on each side that the peer holds the private key of the certificate it shows; what this file adds is
//! the trust: the shown certificate must be one imported into `master`, byte for byte, and in date at the system's wall
//! clock. No chain, no revocation, no resumption (which would skip the dates). Of a failed exchange nothing is sent,
//! not even TLS's alert. Source: documented, *Transport Security* (private key proves, public copy checks); the
//! exchange itself is ours.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, PeerMisbehaved, ServerConfig,
    ServerConnection, SignatureScheme,
};

use crate::crypto::certificate::{self, OutOfDate};
use crate::crypto::provider::{drawing_from, provider};
use crate::types::WallTime;

use super::super::error::{
    LoginError, OWN_CERTIFICATE_BYTES_MAX, OwnCertificateProblem, PeerCertificateProblem,
};
use super::super::local::{LocalEndpoint, Side, TrustedCertificate};
use super::{Mechanism, NoController, Principal, Step};

/// TLS wants a name; it is not sent, and nothing is checked against it.
const NAME: &str = "endpoint.invalid";

/// One side of a certificate exchange.
#[derive(Debug)]
pub struct CertificateExchange {
    tls: rustls::Connection,
    stream: ChaCha20Rng,
    trust: Arc<Trust>,
}

impl CertificateExchange {
    /// Fails if this endpoint's own certificate cannot be used at `wall`.
    pub fn begin(
        side: Side,
        local: &Arc<LocalEndpoint>,
        seed: [u8; 32],
        wall: WallTime,
    ) -> Result<Self, LoginError> {
        let own = usable_certificate(local, wall)?;
        let trust = Arc::new(Trust {
            local: Arc::clone(local),
            provider: provider(),
            wall: AtomicI64::new(wall.unix_millis()),
            verdict: Mutex::new(None),
        });
        let mut stream = ChaCha20Rng::from_seed(seed);
        let tls = drawing_from(&mut stream, || match side {
            Side::Initiator => initiator(own, &trust),
            Side::Acceptor => acceptor(own, &trust),
        })
        .map_err(|e| LoginError::PrivateKey(e.to_string()))?;
        Ok(CertificateExchange { tls, stream, trust })
    }

    fn receive(&mut self, mut token: &[u8]) -> Result<(), rustls::Error> {
        let tls = &mut self.tls;
        drawing_from(&mut self.stream, || {
            while !token.is_empty() {
                // Reading from a slice fails only where the connection's own buffer is full.
                let taken = tls.read_tls(&mut token);
                if !taken.is_ok_and(|count| count > 0) {
                    return Err(rustls::Error::General("the token is too long".into()));
                }
                let state = tls.process_new_packets()?;
                if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                    return Err(rustls::Error::General(
                        "the token holds more than a handshake".into(),
                    ));
                }
            }
            Ok(())
        })
    }

    fn outgoing(&mut self) -> Vec<u8> {
        let tls = &mut self.tls;
        drawing_from(&mut self.stream, || {
            let mut token = Vec::new();
            // Writing to a vector does not fail.
            while tls.wants_write() && tls.write_tls(&mut token).is_ok() {}
            token
        })
    }

    fn is_finished(&self) -> bool {
        !self.tls.is_handshaking()
    }
}

impl Mechanism for CertificateExchange {
    fn step(&mut self, wall: WallTime, token: Option<&[u8]>) -> Result<Step, LoginError> {
        self.trust.wall.store(wall.unix_millis(), Ordering::Relaxed);
        if let Some(token) = token {
            self.receive(token).map_err(|e| match self.trust.take_verdict() {
                Some(problem) => LoginError::PeerCertificate(problem),
                None if e == PeerMisbehaved::InvalidKeyShare.into() => LoginError::KeyShare,
                None => LoginError::Exchange(e.to_string()),
            })?;
        }
        let outgoing = self.outgoing();
        match (self.is_finished(), outgoing.is_empty()) {
            (true, empty) => Ok(Step::Finished((!empty).then_some(outgoing))),
            (false, false) => Ok(Step::Continue(outgoing)),
            (false, true) => Err(LoginError::Exchange("the token is incomplete".to_owned())),
        }
    }

    fn answered(&mut self, _: WallTime, _: Result<&[u8], NoController>) -> Result<Step, LoginError> {
        Err(LoginError::Exchange("nobody was asked".to_owned()))
    }

    fn export(&self, label: &'static str, context: &[u8], secret: &mut [u8]) -> Result<(), LoginError> {
        let exported = self
            .tls
            .export_keying_material(secret, label.as_bytes(), Some(context));
        exported
            .map(drop)
            .map_err(|e| LoginError::Exchange(e.to_string()))
    }

    fn peer(&self) -> Option<Principal> {
        if !self.is_finished() {
            return None;
        }
        let shown = self.tls.peer_certificates()?.first()?;
        let trusted = self
            .trust
            .local
            .trusted
            .iter()
            .find(|t| t.der == shown.as_ref())?;
        Some(Principal {
            name: trusted.login.as_ref().unwrap_or(&trusted.owner_user).clone(),
            has_login: trusted.login.is_some(),
            connect: trusted.login.is_some() && trusted.connect,
            certificate_id: Some(trusted.certificate_id),
            certificate: Some(certificate::thumbprint_of(shown)),
            remote_user: None,
        })
    }
}

/// The endpoint's own certificate, if it is there, opens, and is in date.
fn usable_certificate(local: &LocalEndpoint, wall: WallTime) -> Result<Identity, LoginError> {
    use OwnCertificateProblem::{Missing, NoPrivateKey, OutOfDate, TooLarge, Unreadable};
    let unusable = LoginError::OwnCertificate;
    let own = local.own_certificate.as_ref().ok_or(unusable(Missing))?;
    let key = own.private_key_pkcs8.as_ref().ok_or(unusable(NoPrivateKey))?;
    if !local.master_key_open {
        return Err(LoginError::PrivateKey(
            "15581 (the database master key of master cannot be opened)".to_owned(),
        ));
    }
    if own.der.len() > OWN_CERTIFICATE_BYTES_MAX {
        return Err(unusable(TooLarge(own.der.len())));
    }
    let facts = certificate::parse(&own.der).map_err(|e| unusable(Unreadable(e.to_string())))?;
    facts.check_dates(wall).map_err(|e| unusable(OutOfDate(e)))?;
    let chain = vec![CertificateDer::from(own.der.clone())];
    Ok((chain, PrivatePkcs8KeyDer::from(key.clone()).into()))
}

/// What a side shows, and the key that proves it.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn initiator((chain, key): Identity, trust: &Arc<Trust>) -> Result<rustls::Connection, rustls::Error> {
    let provider = Arc::clone(&trust.provider);
    let time: Arc<dyn TimeProvider> = Arc::clone(trust) as _;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(trust) as _;
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    let name = ServerName::try_from(NAME).expect("the constant is a DNS name");
    Ok(ClientConnection::new(Arc::new(config), name)?.into())
}

fn acceptor((chain, key): Identity, trust: &Arc<Trust>) -> Result<rustls::Connection, rustls::Error> {
    let provider = Arc::clone(&trust.provider);
    let time: Arc<dyn TimeProvider> = Arc::clone(trust) as _;
    let verifier: Arc<dyn ClientCertVerifier> = Arc::clone(trust) as _;
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(ServerConnection::new(Arc::new(config))?.into())
}

/// Whom this endpoint trusts, and when; also the clock `rustls` reads.
#[derive(Debug)]
struct Trust {
    local: Arc<LocalEndpoint>,
    provider: Arc<CryptoProvider>,
    /// The system's wall clock at the current step, in Unix milliseconds.
    wall: AtomicI64,
    /// Why the peer's certificate was refused: `rustls` has no room for it.
    verdict: Mutex<Option<PeerCertificateProblem>>,
}

impl Trust {
    fn wall(&self) -> WallTime {
        WallTime::from_unix_millis(self.wall.load(Ordering::Relaxed))
    }

    fn take_verdict(&self) -> Option<PeerCertificateProblem> {
        match self.verdict.lock() {
            Ok(mut verdict) => verdict.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        }
    }

    fn verify(&self, shown: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        check_peer(&self.local.trusted, self.wall(), shown).map_err(|problem| {
            let text = problem.to_string();
            match self.verdict.lock() {
                Ok(mut verdict) => *verdict = Some(problem),
                Err(poisoned) => *poisoned.into_inner() = Some(problem),
            }
            rustls::Error::General(text)
        })
    }
}

/// Looks the shown certificate up in `master`: its exact copy must be there and in date.
fn check_peer(
    trusted: &[TrustedCertificate],
    wall: WallTime,
    shown: &[u8],
) -> Result<(), PeerCertificateProblem> {
    let facts = certificate::parse(shown).map_err(|e| PeerCertificateProblem::Unreadable(e.to_string()))?;
    if !trusted.iter().any(|t| t.der == shown) {
        let is_namesake = |der: &[u8]| {
            certificate::parse(der)
                .is_ok_and(|t| t.issuer_der == facts.issuer_der && t.serial == facts.serial)
        };
        return Err(match trusted.iter().any(|t| is_namesake(&t.der)) {
            true => PeerCertificateProblem::Differs,
            false => PeerCertificateProblem::NotFound,
        });
    }
    facts
        .check_dates(wall)
        .map_err(|e: OutOfDate| PeerCertificateProblem::OutOfDate(e))
}

impl TimeProvider for Trust {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from(self.wall().unix_secs()).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)))
    }
}

/// The part of a verifier that is the same for both sides: signatures of TLS 1.3, as the library checks them.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Err(only_tls13())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(
                message,
                cert,
                dss,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(end_entity).map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}

fn only_tls13() -> rustls::Error {
    rustls::Error::PeerIncompatible(rustls::PeerIncompatible::SignatureAlgorithmsExtensionRequired)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library hands over what the peer showed before anybody has looked into it.
    #[test]
    fn what_is_no_certificate_is_named() {
        for shown in [&b""[..], b"not a certificate", &[0x30; 64]] {
            let problem = check_peer(&[], WallTime::default(), shown).expect_err("it is none");
            assert!(
                matches!(problem, PeerCertificateProblem::Unreadable(_)),
                "{problem}"
            );
            let error = LoginError::PeerCertificate(problem).to_sql();
            assert_eq!((error.number, error.state), (28035, 91));
            assert!(error.text.contains("9766"), "{error}");
        }
    }
}
