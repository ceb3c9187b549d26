//! Other people's NTLM and Kerberos against ours: `sspi` at either end of an exchange, `picky-krb` on every message and
//! cipher. Their randomness is the operating system's; nothing here depends on it.

use picky_krb::crypto::{ChecksumSuite, CipherSuite};
use serde::{Serialize, de::DeserializeOwned};
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, DataRepresentation, Ntlm, SecurityBuffer,
    SecurityStatus, ServerRequestFlags, Sspi, SspiImpl, Username,
};

use super::super::envelope::{From, unwrap, wrap};
use super::super::kerberos::crypto::{self as ours, Usage};
use super::super::kerberos::message::*;
use super::*;

const PASSWORD: &str = "Pass§word";

fn identity(account: &AccountName) -> AuthIdentity {
    AuthIdentity {
        username: Username::new(account.name(), Some(account.domain())).expect("a name"),
        password: PASSWORD.to_owned().into(),
    }
}

/// The secret an exchange of ours ends with if the session key is this one.
fn secret(peer: &Ntlm) -> [u8; 32] {
    let keys = peer.query_context_session_key().expect("established");
    Done::new(Package::Ntlm, None, keys.session_key.as_ref(), None).secret
}

fn buffers(token: &[u8]) -> Vec<SecurityBuffer> {
    vec![SecurityBuffer::new(token.to_vec(), BufferType::Token)]
}

/// `sspi` takes one step as the initiator.
fn initiate(ntlm: &mut Ntlm, token: &[u8]) -> Vec<u8> {
    let mut credentials = ntlm
        .acquire_credentials_handle()
        .with_credential_use(CredentialUse::Outbound)
        .with_auth_data(&identity(&alpha()))
        .execute(ntlm)
        .expect("credentials");
    let (mut input, mut output) = (buffers(token), buffers(&[]));
    let mut builder = ntlm
        .initialize_security_context()
        .with_credentials_handle(&mut credentials.credentials_handle)
        .with_context_requirements(ClientRequestFlags::CONFIDENTIALITY | ClientRequestFlags::INTEGRITY)
        .with_target_data_representation(DataRepresentation::Native)
        .with_target_name(SPN)
        .with_input(&mut input)
        .with_output(&mut output);
    ntlm.initialize_security_context_impl(&mut builder)
        .expect("a step")
        .resolve_to_result()
        .expect("a step");
    output.swap_remove(0).buffer
}

/// `sspi` takes one step as the acceptor.
fn accept(ntlm: &mut Ntlm, token: &[u8]) -> Vec<u8> {
    let mut credentials = ntlm
        .acquire_credentials_handle()
        .with_credential_use(CredentialUse::Inbound)
        .with_auth_data(&identity(&alpha()))
        .execute(ntlm)
        .expect("credentials");
    let (mut input, mut output) = (buffers(token), buffers(&[]));
    let builder = ntlm
        .accept_security_context()
        .with_credentials_handle(&mut credentials.credentials_handle)
        .with_context_requirements(ServerRequestFlags::ALLOCATE_MEMORY)
        .with_target_data_representation(DataRepresentation::Native)
        .with_input(&mut input)
        .with_output(&mut output);
    let result = ntlm
        .accept_security_context_impl(builder)
        .expect("a step")
        .resolve_to_result()
        .expect("a step");
    if [
        SecurityStatus::CompleteAndContinue,
        SecurityStatus::CompleteNeeded,
    ]
    .contains(&result.status)
    {
        ntlm.complete_auth_token(&mut output)
            .expect("the response is right");
    }
    output.swap_remove(0).buffer
}

#[test]
fn our_acceptor_lets_another_initiator_in() {
    let mut lab = Lab::new();
    let mut peer = Ntlm::new();
    let mut acceptor = Acceptor::new(WindowsProtocol::Ntlm, &lab.beta, [1; 32]);
    let negotiate = wrap(Package::Ntlm, From::Initiator, &initiate(&mut peer, &[]));
    let Step::Token(challenge) = acceptor.token(&negotiate, START) else {
        panic!("challenged");
    };
    let (_, challenge) = unwrap(&challenge, From::Acceptor).expect("an envelope");
    let authenticate = wrap(Package::Ntlm, From::Initiator, &initiate(&mut peer, challenge));
    let Step::AskController(request) = acceptor.token(&authenticate, START) else {
        panic!("validated");
    };
    let answer = lab.ask(&request, true, START).expect("reached");
    match acceptor.answered(Ok(&answer), START) {
        Step::Done(done) => {
            assert_eq!(done.secret, secret(&peer));
            assert_eq!(done.peer.map(|p| p.account), Some(alpha()));
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn our_initiator_is_let_in_by_another_acceptor() {
    let lab = Lab::new();
    let mut peer = Ntlm::new();
    let (mut initiator, step) = Initiator::start(WindowsProtocol::Ntlm, &lab.alpha, SPN, [1; 32], START);
    let Step::Token(negotiate) = step else {
        panic!("{step:?}")
    };
    let (_, negotiate) = unwrap(&negotiate, From::Initiator).expect("an envelope");
    let challenge = wrap(Package::Ntlm, From::Acceptor, &accept(&mut peer, negotiate));
    match initiator.token(&challenge, START) {
        Step::Done(done) => {
            let token = done.token.clone().expect("the response");
            let (_, authenticate) = unwrap(&token, From::Initiator).expect("an envelope");
            accept(&mut peer, authenticate);
            assert_eq!(done.secret, secret(&peer));
        }
        step => panic!("{step:?}"),
    }
}

/// Reads as `T` and writes the same bytes again.
fn is_their<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let read: T = picky_asn1_der::from_bytes(bytes).expect("their type");
    assert_eq!(picky_asn1_der::to_vec(&read).expect("their bytes"), bytes);
}

#[test]
fn every_kerberos_message_is_theirs_byte_for_byte() {
    use picky_krb::{data_types as theirs, messages};
    let mut lab = Lab::new();
    let (mut initiator, step) = Initiator::start(WindowsProtocol::Kerberos, &lab.alpha, SPN, [1; 32], START);
    let Step::AskController(request) = step else {
        panic!("{step:?}")
    };
    is_their::<messages::AsReq>(&request);
    let answer = lab.ask(&request, true, START).expect("reached");
    is_their::<messages::AsRep>(&answer);
    let Step::AskController(request) = initiator.answered(Ok(&answer), START) else {
        panic!("a ticket is asked for");
    };
    is_their::<messages::TgsReq>(&request);
    lab.directory.set_disabled(&alpha(), true).expect("there");
    let refusal = lab.ask(&request, true, START).expect("reached");
    is_their::<messages::KrbError>(&refusal);
    lab.directory.set_disabled(&alpha(), false).expect("there");
    let answer = lab.ask(&request, true, START).expect("reached");
    is_their::<messages::TgsRep>(&answer);
    let Step::Token(token) = initiator.answered(Ok(&answer), START) else {
        panic!("the ticket is shown");
    };
    let (_, shown) = unwrap(&token, From::Initiator).expect("an envelope");
    is_their::<messages::ApReq>(shown);
    let mut acceptor = Acceptor::new(WindowsProtocol::Kerberos, &lab.beta, [2; 32]);
    let Step::Done(done) = acceptor.token(&token, START) else {
        panic!("accepted")
    };
    let reply = done.token.expect("a proof");
    let (_, reply) = unwrap(&reply, From::Acceptor).expect("an envelope");
    is_their::<messages::ApRep>(reply);

    let request = ApRequest::decode(shown).expect("ours");
    let key = *lab.beta.service().secret.aes256();
    let inside = open_theirs(&key, Usage::Ticket, &request.ticket.sealed.cipher);
    is_their::<theirs::EncTicketPart>(&inside);
    let session_key = TicketPart::decode(&inside).expect("ours").session_key;
    let cipher = &request.authenticator.cipher;
    is_their::<theirs::Authenticator>(&open_theirs(&session_key, Usage::ApRequestAuthenticator, cipher));
    let sealed = ApReply::open_envelope(reply).expect("ours");
    is_their::<theirs::EncApRepPart>(&open_theirs(&session_key, Usage::ApReply, &sealed.cipher));
}

fn open_theirs(key: &[u8; 32], usage: Usage, sealed: &[u8]) -> Vec<u8> {
    let cipher = CipherSuite::Aes256CtsHmacSha196.cipher();
    cipher
        .decrypt(key, usage as i32, sealed)
        .expect("their cipher opens it")
}

#[test]
fn ciphers_and_keys_are_theirs() {
    let cipher = CipherSuite::Aes256CtsHmacSha196.cipher();
    let key = ours::string_to_key(PASSWORD, "ADVENTURE-WORKS.COMAlphaSvc");
    let theirs = cipher.generate_key_from_password(PASSWORD.as_bytes(), b"ADVENTURE-WORKS.COMAlphaSvc");
    assert_eq!(theirs.expect("a key"), key);
    for length in 0..70 {
        let message: Vec<u8> = (0..length).collect();
        let sealed = ours::seal(&key, Usage::TgsReply, [7; 16], &message);
        assert_eq!(open_theirs(&key, Usage::TgsReply, &sealed), message);
        let sealed = cipher
            .encrypt(&key, Usage::TgsReply as i32, &message)
            .expect("sealed");
        assert_eq!(ours::open(&key, Usage::TgsReply, &sealed), Some(message.clone()));
        let sum = ChecksumSuite::HmacSha196Aes256.hasher();
        assert_eq!(
            sum.checksum(&key, Usage::TgsRequestChecksum as i32, &message)
                .expect("summed"),
            ours::checksum(&key, Usage::TgsRequestChecksum, &message)
        );
    }
}
