//! A partner that says that its database cannot be used, to its witness: as if its link had been lost, and nobody else's.

use std::collections::VecDeque;

use crate::session::{Witness, WitnessInput, WitnessOutput};
use crate::types::{DatabaseName, Guid, PartnerRole, Safety};
use crate::wire::mirroring::{Body, Denial, Message, WitnessAttach};

const SESSION: Guid = Guid::from_bytes([9; 16]);
const ALPHA: Guid = Guid::from_bytes([1; 16]);
const BETA: Guid = Guid::from_bytes([2; 16]);
/// The greeting number of each.
const ALPHAS: u64 = 11;
const BETAS: u64 = 12;

fn introduction(role: PartnerRole, invite: bool) -> Body {
    let (name, partner_name) = match role {
        PartnerRole::Principal => ("ALPHA", "BETA"),
        PartnerRole::Mirror => ("BETA", "ALPHA"),
    };
    Body::WitnessAttach(Box::new(WitnessAttach {
        invite,
        database: DatabaseName::new("Sales"),
        family: Guid::from_bytes([7; 16]),
        name: name.into(),
        partner_name: partner_name.into(),
        role,
        safety: Safety::Full,
        safety_sequence: 1,
        timeout_seconds: 10,
        suspended: false,
        suspend_sequence: 1,
        synchronized: role == PartnerRole::Principal,
    }))
}

/// What the witness says to `peer`'s message, its records written at once.
fn say(witness: &mut Witness, peer: Guid, link: u64, body: Body) -> Vec<Body> {
    let message = Message {
        session: SESSION,
        role_sequence: 1,
        link,
        body,
    };
    let mut out = VecDeque::new();
    witness.handle(WitnessInput::From { peer, message }, &mut out);
    let mut said = Vec::new();
    while let Some(output) = out.pop_front() {
        match output {
            WitnessOutput::Persist { ticket, .. } => {
                witness.handle(WitnessInput::Persisted { ticket }, &mut out)
            }
            WitnessOutput::To { peer: to, message } if to == peer => said.push(message.body),
            _ => {}
        }
    }
    said
}

fn takeover(witness: &mut Witness) -> Vec<Body> {
    let request = 5;
    let body = Body::TakeoverRequest {
        request,
        to: 2,
        forced: false,
    };
    say(witness, BETA, BETAS, body)
}

#[test]
fn its_witness_takes_it_for_lost_and_its_mirror_may_take_over() {
    let mut witness = Witness::new(SESSION);
    say(
        &mut witness,
        ALPHA,
        ALPHAS,
        introduction(PartnerRole::Principal, true),
    );
    say(
        &mut witness,
        BETA,
        BETAS,
        introduction(PartnerRole::Mirror, false),
    );
    say(
        &mut witness,
        ALPHA,
        ALPHAS,
        introduction(PartnerRole::Principal, false),
    );
    let denied = |said: &[Body]| {
        matches!(
            said,
            [Body::TakeoverDenied {
                denial: Denial::PrincipalConnected,
                ..
            }]
        )
    };
    assert!(denied(&takeover(&mut witness)));
    // A word of an earlier introduction is none.
    say(&mut witness, ALPHA, ALPHAS - 1, Body::Unavailable);
    assert!(witness.sees("ALPHA") && denied(&takeover(&mut witness)));
    say(&mut witness, ALPHA, ALPHAS, Body::Unavailable);
    assert!(!witness.sees("ALPHA") && witness.sees("BETA"));
    let said = takeover(&mut witness);
    assert!(
        matches!(&said[..], [Body::WitnessReport { owner, .. }] if owner == "BETA"),
        "{said:?}"
    );
}
