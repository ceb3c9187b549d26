//! A `rustls` crypto provider whose randomness is the caller's.
//!
//! `rustls` asks for randomness through `'static` objects that know no connection. So the stream a connection draws
//! from is lent to this thread for the length of one call, by [`drawing_from`], and taken back after it; it is not
//! state that outlives a call. Without a stream a draw fails: nothing falls back to the operating system. All else in
//! the provider (AEAD, hash, HKDF, signatures) is a function of its inputs. Connections may interleave and threads may
//! run at once. Source: ours.

use std::cell::RefCell;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, ring,
};
use rustls::{NamedGroup, PeerMisbehaved};

thread_local! {
    /// The stream lent for the current call.
    static LENT: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
}

static RANDOM: Seeded = Seeded;

/// TLS 1.3 with one suite and one group, its randomness drawn from the stream [`drawing_from`] lends.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![&RANDOM],
        secure_random: &RANDOM,
        ..ring::default_provider()
    })
}

/// Runs `call` with `stream` lent to the provider on this thread; the stream moves on by what was drawn.
pub fn drawing_from<T>(stream: &mut ChaCha20Rng, call: impl FnOnce() -> T) -> T {
    let mut loan = Loan {
        before: LENT.replace(Some(stream.clone())),
        stream,
    };
    let result = call();
    loan.take_back();
    result
}

/// Puts back what was lent before, also when the call panics.
struct Loan<'a> {
    stream: &'a mut ChaCha20Rng,
    before: Option<ChaCha20Rng>,
}

impl Loan<'_> {
    fn take_back(&mut self) {
        if let Some(stream) = LENT.take() {
            *self.stream = stream;
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        LENT.set(self.before.take());
    }
}

/// Both the random source and the X25519 group; it has no state of its own.
#[derive(Debug)]
struct Seeded;

impl SecureRandom for Seeded {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        LENT.with_borrow_mut(|lent| match lent {
            Some(stream) => {
                stream.fill_bytes(buffer);
                Ok(())
            }
            None => Err(GetRandomFailed),
        })
    }
}

impl SupportedKxGroup for Seeded {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let mut secret = [0; 32];
        self.fill(&mut secret)?;
        let secret = x25519_dalek::StaticSecret::from(secret);
        let public = x25519_dalek::PublicKey::from(&secret);
        Ok(Box::new(Exchange { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    secret: x25519_dalek::StaticSecret,
    public: x25519_dalek::PublicKey,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let invalid = || rustls::Error::from(PeerMisbehaved::InvalidKeyShare);
        let peer: [u8; 32] = peer.try_into().map_err(|_| invalid())?;
        let shared = self.secret.diffie_hellman(&peer.into());
        if shared.was_contributory() {
            Ok(shared.as_bytes()[..].into())
        } else {
            Err(invalid())
        }
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn draw() -> [u8; 8] {
        let mut bytes = [0; 8];
        RANDOM.fill(&mut bytes).expect("a stream is lent");
        bytes
    }

    #[test]
    fn without_a_stream_nothing_is_drawn() {
        assert!(RANDOM.fill(&mut [0; 8]).is_err());
        assert!(RANDOM.start().is_err());
    }

    #[test]
    fn streams_interleave_and_nest_without_touching_each_other() {
        let stream = |n| ChaCha20Rng::from_seed([n; 32]);
        let (mut a, mut b) = (stream(1), stream(2));
        let alone: Vec<[u8; 8]> = drawing_from(&mut stream(1), || (0..4).map(|_| draw()).collect());
        let mut seen = vec![drawing_from(&mut a, draw)];
        drawing_from(&mut b, draw);
        seen.extend(drawing_from(&mut a, || {
            let first = draw();
            drawing_from(&mut b, draw);
            [first, draw()]
        }));
        seen.push(drawing_from(&mut a, draw));
        assert_eq!(seen, alone);
        assert!(RANDOM.fill(&mut [0; 8]).is_err(), "the stream was taken back");
    }

    #[test]
    fn a_panic_gives_the_stream_back() {
        let mut stream = ChaCha20Rng::from_seed([1; 32]);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drawing_from(&mut stream, || panic!("on purpose"));
        }));
        assert!(outcome.is_err());
        assert!(RANDOM.fill(&mut [0; 8]).is_err());
    }

    #[test]
    fn a_key_share_without_contribution_is_refused() {
        let mut stream = ChaCha20Rng::from_seed([1; 32]);
        let start = |stream: &mut ChaCha20Rng| drawing_from(stream, || RANDOM.start()).expect("started");
        assert!(start(&mut stream).complete(&[0; 32]).is_err());
        assert!(start(&mut stream).complete(&[0; 31]).is_err());
        assert!(start(&mut stream).complete(&[9; 32]).is_ok());
    }
}
