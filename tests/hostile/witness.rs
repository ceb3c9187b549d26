//! An attacker who is let in at the witness, under a name and a login of his own: he takes no partner's place there.
//!
//! The session's GUID and the partners' names are in views; only which two instances came with them is not for him to say.

use std::time::Duration;

use mirrorlab::endpoint::connection::Connection;
use mirrorlab::types::{DatabaseName, Guid, Now, PartnerRole, RoleSequence, Safety};
use mirrorlab::wire::mirroring::{Body, Message, WitnessAttach};

use crate::foe::Plan;
use crate::rig::{stolen, with_trio};

/// The name he gives, and the name of whom he calls his partner.
type Names = (&'static str, &'static str);

/// An introduction under these names, and then all a partner can ask of its witness.
fn poses(session: Guid, (name, partner_name): Names, role: PartnerRole, role_sequence: RoleSequence) -> Plan {
    let attach = |invite| {
        Body::WitnessAttach(Box::new(WitnessAttach {
            invite,
            database: DatabaseName::new("Sales"),
            family: Guid::from_bytes([6; 16]),
            name: name.into(),
            partner_name: partner_name.into(),
            role,
            safety: Safety::Off,
            safety_sequence: 9,
            timeout_seconds: 5,
            suspended: true,
            suspend_sequence: 9,
            synchronized: true,
        }))
    };
    let bodies = [
        attach(false),
        attach(true),
        Body::SyncState {
            request: 2,
            synchronized: false,
        },
        Body::TakeoverRequest {
            request: 3,
            to: role_sequence + 1,
            forced: true,
        },
        Body::Removed,
    ];
    let messages = bodies.map(|body| Message {
        session,
        role_sequence,
        link: 1,
        body,
    });
    let messages = messages.map(|m| m.encode().expect("it fits"));
    Plan::online(move |connection: &mut Connection, now: Now| {
        messages.iter().for_each(|message| connection.send(now, message));
        Vec::new()
    })
}

#[test]
fn nobody_takes_a_partners_place_at_the_witness() {
    with_trio(async |rig| {
        rig.let_in("gamma", &stolen().der).await;
        let session = rig.session().await;
        let before = rig.session_at_all().await;
        let since = rig.world.now();
        let mut attacks = Vec::new();
        for names in [("ALPHA", "BETA"), ("BETA", "ALPHA"), ("ALPHA", "FOE")] {
            for role in [PartnerRole::Principal, PartnerRole::Mirror] {
                for role_sequence in [1, 2, 9] {
                    let plan = poses(session, names, role, role_sequence);
                    attacks.push(rig.begin(rig.insider_at("gamma"), plan));
                }
            }
        }
        rig.pass(Duration::from_secs(2)).await;
        assert_eq!(rig.session_at_all().await, before);
        let lines = rig.log("gamma", since);
        let named = |line: &&String| line.contains("'stolen'") && line.contains("(1427)");
        assert_eq!(
            lines.iter().filter(named).count(),
            5 * attacks.len(),
            "each message is refused: {lines:?}"
        );

        // The witness still listens to the partners it had. The trace does not tell who resumes the session.
        rig.misleads("suspend-is-sticky");
        let suspended = "SELECT COUNT(*) FROM sys.database_mirroring_witnesses WHERE is_suspended = 1";
        for (option, expected) in [("SUSPEND", 1), ("RESUME", 0)] {
            rig.must("alpha", &format!("ALTER DATABASE Sales SET PARTNER {option};"))
                .await;
            rig.pass(Duration::from_secs(1)).await;
            assert_eq!(rig.number("gamma", suspended).await, expected, "{option}");
        }
        for attack in attacks {
            let report = attack.await.expect("he lives");
            assert!(report.was_online, "{report:?}");
            let told = report.told.iter().map(|bytes| Message::decode(bytes));
            let told: Vec<Body> = told.map(|m| m.expect("a message").body).collect();
            let refused = Body::WitnessRefused { number: 1427 };
            assert_eq!(told, [refused.clone(), refused], "an answer to each introduction");
        }
    });
}
