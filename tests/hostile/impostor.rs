//! Somebody who has a partner's certificate, as everybody may, and signs with a key of his own.

use std::sync::Arc;
use std::time::Duration;

use mirrorlab::crypto::provider::{drawing_from, provider};
use mirrorlab::driver::clock::Clock;
use mirrorlab::driver::net::{Net, NetRead, NetStream, NetWrite};
use mirrorlab::endpoint::connection::{Connection, ConnectionOutput};
use mirrorlab::sim::world::ProcessEnv;
use mirrorlab::types::ConnectionId;
use mirrorlab::wire::frame::{FrameDecoder, FrameType, LOGIN_PAYLOAD_BYTES_MAX, Protocol, put_frame};
use mirrorlab::wire::login::LoginMessage;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, ResolvesClientCert};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::foe::Foe;
use crate::rig::{Rig, stolen, with_trio};

/// Shorter than the login deadline: whoever is believed is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What he shows, and the key he signs with, whichever it is of.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// He does not care to whom he talks.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// His half of the handshake, with a certificate and a key that nothing compares.
fn handshake(der: Vec<u8>, pkcs8: Vec<u8>) -> ClientConnection {
    let provider = provider();
    let key = PrivatePkcs8KeyDer::from(pkcs8).into();
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let shown = Shown(Arc::new(CertifiedKey::new(vec![der.into()], key)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("known")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(Arc::new(shown));
    let name = ServerName::try_from("anybody").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("configured")
}

/// The kinds of the messages he was told, and whether the endpoint closed before his patience ended.
#[derive(Debug)]
struct Told {
    from: String,
    kinds: Vec<FrameType>,
    closed: bool,
}

async fn impersonate(env: ProcessEnv, foe: Foe, mut tls: ClientConnection) -> Told {
    let stream = env.net.connect(&foe.target).await.expect("the target listens");
    let mut told = Told {
        from: stream.local_addr().expect("connected").to_string(),
        kinds: Vec::new(),
        closed: false,
    };
    let (mut read, mut write) = stream.into_split();
    let now = env.clock.now();
    let mut honest = Connection::initiate(ConnectionId(1), Arc::new(foe.local), String::new(), foe.seed, now);
    honest.on_connected(now);
    while let Some(output) = honest.poll() {
        if let ConnectionOutput::Send(offer) = output {
            write.write_all(&offer).await.expect("open");
        }
    }
    let mut random = ChaCha20Rng::from_seed(foe.seed);
    let mut decoder = FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX);
    let mut buffer = vec![0; 16 << 10];
    let mut sequence = 1;
    loop {
        while let Some((header, payload)) = decoder.next_frame().expect("an honest endpoint") {
            told.kinds.push(header.kind);
            let message = LoginMessage::decode(header.kind, payload).expect("an honest endpoint");
            let token = match message {
                LoginMessage::Answer(_) => Vec::new(),
                LoginMessage::Token(token) => token,
                _ => return told,
            };
            let mine = drawing_from(&mut random, || {
                let mut rest = token.as_slice();
                while !rest.is_empty() {
                    tls.read_tls(&mut rest).expect("a slice");
                    tls.process_new_packets().expect("an honest endpoint");
                }
                let mut mine = Vec::new();
                while tls.wants_write() {
                    tls.write_tls(&mut mine).expect("a vector");
                }
                mine
            });
            let token = LoginMessage::Token(mine);
            let mut bytes = Vec::new();
            put_frame(&mut bytes, token.kind(), sequence, &token.payload());
            sequence += 1;
            write.write_all(&bytes).await.expect("open");
        }
        let got = tokio::select! {
            biased;
            got = read.read(&mut buffer) => got,
            () = env.clock.sleep_until(now.at + PATIENCE) => return told,
        };
        match got {
            Ok(n @ 1..) => decoder.push(&buffer[..n]),
            Ok(0) | Err(_) => {
                told.closed = true;
                return told;
            }
        }
    }
}

/// Shows `der` to beta and signs with `pkcs8`.
async fn attempt(rig: &Rig, der: Vec<u8>, pkcs8: Vec<u8>) -> Told {
    let (tell, told) = tokio::sync::oneshot::channel();
    let foe = rig.insider();
    let mut random = ChaCha20Rng::from_seed([99; 32]);
    let tls = drawing_from(&mut random, || handshake(der, pkcs8));
    let system = rig.world.find_system(foe.system).expect("one of his systems");
    rig.world
        .spawn(system, foe.system, move |env| async move {
            drop(tell.send(impersonate(env, foe, tls).await));
        })
        .expect("its system is up");
    told.await.expect("the attacker lives")
}

#[test]
fn a_partners_certificate_is_no_proof_without_its_key() {
    with_trio(async |rig| {
        let own = stolen();
        let honest = attempt(rig, own.der, own.private_key_pkcs8).await;
        assert!(!honest.closed, "with the right key he is waited for: {honest:?}");
        assert_eq!(
            honest.kinds,
            [FrameType::NEGOTIATE_ANSWER, FrameType::TOKEN],
            "and his validation is next"
        );
        for partner in ["alpha", "gamma"] {
            let since = rig.world.now();
            let public = rig.read(partner, &format!(r"C:\certs\{partner}.cer"));
            let told = attempt(rig, public, stolen().private_key_pkcs8).await;
            assert_eq!(told.kinds, honest.kinds, "{partner}: {told:?}");
            assert!(told.closed, "{partner}: {told:?}");
            rig.assert_named_at(since, &told.from, 28038);
        }
    });
}
