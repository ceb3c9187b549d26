//! An endpoint of two methods: silence, words out of place and refusals where the second method is due, on either side.

use std::time::Duration;

use mirrorlab::driver::clock::Clock;
use mirrorlab::driver::net::{NetRead, NetWrite};
use mirrorlab::sim::world::{SimClock, SimRead, SimWrite};
use mirrorlab::wire::frame::{FrameDecoder, FrameType, LOGIN_PAYLOAD_BYTES_MAX, Protocol, put_frame};
use mirrorlab::wire::login::{AlgorithmCode, AuthMethod, CONFIRMED, LevelCode, LoginMessage, Offer};

use crate::callees::{answer_calls, assert_none_open, calls, lay_bait};
use crate::foe::Plan;
use crate::rig::{Rig, with_pair};

/// The attacker's messages: the offer, the refusal of the first method, and what comes then.
const REFUSAL: usize = 1;
const SECOND: usize = 2;

/// A pair with an endpoint of both methods on this instance; the partners go on by certificate.
fn with_two_methods(on: &'static str, test: impl AsyncFnOnce(&Rig)) {
    with_pair("pair", async |rig| {
        let both = format!(
            "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE {on}_cert WINDOWS NTLM);"
        );
        rig.must(on, &both).await;
        rig.pass(Duration::from_secs(8)).await;
        rig.assert_served().await;
        test(rig).await;
    });
}

fn frame(sequence: usize, message: &LoginMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, message.kind(), sequence as u64, &message.payload());
    bytes
}

#[test]
fn silence_before_the_second_method_ends_at_the_login_deadline() {
    with_two_methods("beta", async |rig| {
        let since = rig.world.now();
        let attack = rig.begin(rig.torn(), Plan::until(SECOND, |_| Vec::new()));
        rig.pass(Duration::from_secs(10)).await;
        let state = "SELECT login_state FROM sys.dm_db_mirroring_connections WHERE is_accept = 1 AND login_state <> 12";
        assert_eq!(rig.number("beta", state).await, 5, "TWO ASC");
        rig.assert_served().await;
        let report = attack.await.expect("the attacker lives");
        assert_eq!(report.kinds(), [2, 4], "the answer, and the refusal in turn");
        assert_ne!(report.end, "open", "{report:?}");
        let bound = Duration::from_secs(20)..Duration::from_secs(21);
        assert!(bound.contains(&report.after), "{report:?}");
        rig.assert_named(since, &report, 9760);
    });
}

#[test]
fn nothing_but_a_token_is_taken_where_the_second_method_is_due() {
    with_two_methods("beta", async |rig| {
        let words = [
            (LoginMessage::Reject, 28031),
            (LoginMessage::Confirm(CONFIRMED), 28029),
            (LoginMessage::Validation([1; 32]), 28029),
            (LoginMessage::Accepted([1; 32]), 28029),
            (LoginMessage::ArbitrationResponse, 28029),
            (LoginMessage::Token(vec![1, 2, 3]), 28031),
        ];
        for (message, number) in words {
            let since = rig.world.now();
            let what = message.kind().to_string();
            let bytes = frame(SECOND, &message);
            let report = rig
                .attack(rig.torn(), Plan::until(SECOND, move |_| bytes.clone()))
                .await;
            report.assert_refused(&what);
            rig.assert_named(since, &report, number);
        }
        rig.assert_served().await;
    });
}

/// He could prove himself by the first method and refuses it, as somebody on the way would, once and again.
#[test]
fn a_forged_refusal_buys_no_third_method() {
    with_two_methods("beta", async |rig| {
        let since = rig.world.now();
        let both = rig.torn().local.config.authentication;
        let mut insider = rig.insider();
        insider.local.config.authentication = both;
        let refusals = [
            frame(REFUSAL, &LoginMessage::Reject),
            frame(SECOND, &LoginMessage::Reject),
        ];
        let report = rig
            .attack(insider, Plan::until(REFUSAL, move |_| refusals.concat()))
            .await;
        assert_ne!(report.end, "open", "{report:?}");
        assert!(report.since_deed < Duration::from_secs(1), "{report:?}");
        assert!(!report.was_online, "{report:?}");
        rig.assert_named(since, &report, 28031);
    });
}

/// What a caller that has refused its first method hears from the attacker.
#[derive(Clone, Copy)]
enum Answer {
    Nothing,
    /// A confirmation may have been on its way; one after the other is no way to hold a login open.
    Confirmations,
    Message(fn() -> LoginMessage),
}

/// Answers a call with an offer of both methods, and what the caller says then with `answer`.
async fn refuse_the_first(answer: Answer, mut read: SimRead, mut write: SimWrite, clock: SimClock) {
    let mut decoder = FrameDecoder::new(Protocol::Mirroring, LOGIN_PAYLOAD_BYTES_MAX);
    let (mut buffer, mut heard) = (vec![0; 4096], Vec::new());
    while heard.last() != Some(&FrameType::REJECT) {
        while let Some((header, _)) = decoder.next_frame().expect("an honest caller") {
            heard.push(header.kind);
            if header.kind == FrameType::NEGOTIATE_OFFER {
                let offer = Offer {
                    methods: vec![AuthMethod::CERTIFICATE, AuthMethod::NTLM],
                    level: LevelCode::REQUIRED,
                    algorithms: vec![AlgorithmCode::AES],
                };
                let mut bytes = Protocol::Mirroring.preamble().to_vec();
                bytes.extend(frame(0, &LoginMessage::Answer(offer)));
                drop(write.write_all(&bytes).await);
            }
        }
        if heard.last() == Some(&FrameType::REJECT) {
            break;
        }
        match read.read(&mut buffer).await {
            Ok(n @ 1..) => decoder.push(&buffer[..n]),
            Ok(0) | Err(_) => return,
        }
    }
    match answer {
        Answer::Nothing => {}
        Answer::Message(make) => drop(write.write_all(&frame(1, &make())).await),
        Answer::Confirmations => {
            for number in 1.. {
                let confirm = frame(number, &LoginMessage::Confirm(CONFIRMED));
                if write.write_all(&confirm).await.is_err() {
                    return;
                }
                let next = clock.now().at + Duration::from_millis(100);
                clock.sleep_until(next).await;
            }
        }
    }
    while let Ok(1..) = read.read(&mut buffer).await {}
}

#[test]
fn a_caller_that_waits_for_the_refusal_of_its_first_method_is_not_held() {
    with_two_methods("alpha", async |rig| {
        lay_bait(rig).await;
        rig.must("alpha", "ALTER MASTER KEY DROP ENCRYPTION BY SERVICE MASTER KEY;")
            .await;
        // Who only waits names what is wrong with itself, and ends with the statement that wanted the partner.
        let cases = [
            ("foe", Answer::Nothing, 28037),
            ("fiend", Answer::Confirmations, 28037),
            ("rogue", Answer::Message(|| LoginMessage::Token(vec![1])), 28029),
            (
                "villain",
                Answer::Message(|| LoginMessage::Accepted([1; 32])),
                28029,
            ),
        ];
        for (foe, answer, number) in cases {
            answer_calls(rig, foe, move |read, write, clock| {
                refuse_the_first(answer, read, write, clock)
            });
            let since = rig.world.now();
            calls(rig, foe).await;
            rig.pass(Duration::from_secs(21)).await;
            let lines = rig.log("alpha", since);
            let ended = |l: &String| l.contains(foe) && l.contains(&format!("Error: {number},"));
            assert!(lines.iter().any(ended), "{foe}: {lines:?}");
            assert_none_open(rig, foe).await;
            rig.assert_served().await;
        }
    });
}
