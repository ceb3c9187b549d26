//! What Windows authentication reads: tokens of NTLM and Kerberos, the controller's questions and answers.
//!
//! The input says which message of a genuine exchange it replaces (first byte), and what with.

use std::cell::OnceCell;

use mirrorlab::domain::{
    Acceptor, AccountName, Controller, Credentials, Directory, FrameReader, Initiator, LogonSession, Step,
    WindowsProtocol, encode_frame,
};
use mirrorlab::types::WallTime;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{Seed, seed};

const SPN: &str = "MSSQLSvc/beta.lab.example:7022";
const DNS: &str = "lab.example";
/// No exchange has more messages.
const MESSAGES_MAX: usize = 16;

fn now() -> WallTime {
    WallTime::from_unix_secs(1_767_225_600)
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// Keys are made once for each thread: they are slow to make, on purpose.
fn directory() -> Directory {
    thread_local!(static MADE: OnceCell<Directory> = const { OnceCell::new() });
    let make = || {
        let mut directory = Directory::default();
        directory.add_domain("LAB", DNS, &mut rng(1)).expect("new");
        for name in ["sql", "ALPHA$", "BETA$"] {
            let account = AccountName::new("LAB", name);
            directory.add_account(&account, "Str0ng!Passw0rd").expect("new");
        }
        directory
            .add_spn(SPN, &AccountName::new("LAB", "sql"))
            .expect("new");
        directory
    };
    MADE.with(|made| made.get_or_init(make).clone())
}

fn session(directory: &Directory, computer: &str) -> LogonSession {
    let of = |name: &str| -> Credentials {
        directory
            .credentials(&AccountName::new("LAB", name))
            .expect("there")
    };
    LogonSession::new(of("sql"), of(computer))
}

#[derive(Clone, Copy, PartialEq)]
enum To {
    Initiator,
    Acceptor,
    /// From the controller to the one who asked.
    InitiatorAnswer,
    AcceptorAnswer,
}

/// An exchange in which message `at` is replaced: everything said up to there, what the controller was asked, and whether
/// whoever got the replaced message went on.
struct Played {
    said: Vec<Vec<u8>>,
    asked: Vec<Vec<u8>>,
    went_on: bool,
}

fn play(protocol: WindowsProtocol, at: usize, with: &[u8]) -> Played {
    let (mut directory, mut controller, mut random) = (directory(), Controller::new("LAB"), rng(2));
    let (alpha, beta) = (session(&directory, "ALPHA$"), session(&directory, "BETA$"));
    let (mut initiator, mut step) = Initiator::start(protocol, &alpha, SPN, [3; 32], now());
    let mut acceptor = Acceptor::new(protocol, &beta, [4; 32]);
    let mut played = Played {
        said: Vec::new(),
        asked: Vec::new(),
        went_on: true,
    };
    let mut is_initiator = true;
    for number in 0..MESSAGES_MAX {
        let (message, to) = match (step, is_initiator) {
            (Step::AskController(question), is_initiator) => {
                let answer = controller.answer(&mut directory, &question, now(), &mut random);
                played.asked.push(question);
                let to = if is_initiator {
                    To::InitiatorAnswer
                } else {
                    To::AcceptorAnswer
                };
                (answer, to)
            }
            (Step::Token(token), is_initiator) => {
                (token, if is_initiator { To::Acceptor } else { To::Initiator })
            }
            (Step::Done(done), is_initiator) => match done.token {
                Some(token) => (token, if is_initiator { To::Acceptor } else { To::Initiator }),
                None => return played,
            },
            (Step::Failed(failure), _) => panic!("a genuine exchange fails: {failure:?}"),
        };
        let message = if number == at { with.to_vec() } else { message };
        step = match to {
            To::Initiator => initiator.token(&message, now()),
            To::Acceptor => acceptor.token(&message, now()),
            To::InitiatorAnswer => initiator.answered(Ok(&message), now()),
            To::AcceptorAnswer => acceptor.answered(Ok(&message), now()),
        };
        played.said.push(message);
        is_initiator = matches!(to, To::Initiator | To::InitiatorAnswer);
        if number == at {
            played.went_on = !matches!(step, Step::Failed(_));
            return played;
        }
    }
    played
}

fn replaced(protocol: WindowsProtocol, bytes: &[u8]) -> bool {
    match bytes.split_first() {
        Some((at, with)) if usize::from(*at) < MESSAGES_MAX => {
            let played = play(protocol, usize::from(*at), with);
            played.went_on && played.said.len() > usize::from(*at)
        }
        _ => false,
    }
}

fn genuine(protocol: WindowsProtocol) -> Vec<Seed> {
    let said = play(protocol, MESSAGES_MAX, &[]).said;
    let number =
        |(n, message): (usize, Vec<u8>)| seed(format!("message_{n}"), [&[n as u8][..], &message].concat());
    said.into_iter().enumerate().map(number).collect()
}

pub fn ntlm(bytes: &[u8]) -> bool {
    replaced(WindowsProtocol::Ntlm, bytes)
}

pub fn ntlm_seeds() -> Vec<Seed> {
    genuine(WindowsProtocol::Ntlm)
}

pub fn kerberos(bytes: &[u8]) -> bool {
    replaced(WindowsProtocol::Kerberos, bytes)
}

pub fn kerberos_seeds() -> Vec<Seed> {
    genuine(WindowsProtocol::Kerberos)
}

/// A question to the controller.
pub fn controller(bytes: &[u8]) -> bool {
    let answer = Controller::new("LAB").answer(&mut directory(), bytes, now(), &mut rng(5));
    !answer.is_empty()
}

pub fn controller_seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, protocol) in [
        ("ntlm", WindowsProtocol::Ntlm),
        ("kerberos", WindowsProtocol::Kerberos),
    ] {
        let asked = play(protocol, MESSAGES_MAX, &[]).asked;
        seeds.extend(
            asked
                .into_iter()
                .enumerate()
                .map(|(n, question)| seed(format!("{name}_{n}"), question)),
        );
    }
    seeds
}

pub fn controller_frames(bytes: &[u8]) -> bool {
    let (mut whole, mut pieces) = (FrameReader::default(), FrameReader::default());
    whole.push(bytes);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let first = loop {
        match whole.next() {
            Ok(Some(message)) => one.push(message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    'pieces: for piece in bytes.chunks(5) {
        pieces.push(piece);
        loop {
            match pieces.next() {
                Ok(Some(message)) => other.push(message),
                Ok(None) => break,
                Err(_) => break 'pieces,
            }
        }
    }
    assert_eq!(one, other, "portions change nothing");
    let written: Vec<u8> = one.iter().flat_map(|message| encode_frame(message)).collect();
    assert!(bytes.starts_with(&written));
    first.is_ok() && !one.is_empty()
}

pub fn controller_frame_seeds() -> Vec<Seed> {
    vec![seed(
        "two",
        [encode_frame(b"question"), encode_frame(b"")].concat(),
    )]
}
