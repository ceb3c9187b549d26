//! The transition table as a person reads it. Every schedule holds each state change against it; the reasons are the rows
//! of the reference's table.

use crate::types::{MirroringState, PartnerRole, TRANSITIONS};

#[test]
fn the_transition_table() {
    let mut table = String::new();
    for (from, to, whose, why) in TRANSITIONS {
        let from = from.map_or("none", MirroringState::desc);
        let whose = match whose {
            Some(PartnerRole::Principal) => " (principal only)",
            Some(PartnerRole::Mirror) => " (mirror only)",
            None => "",
        };
        table.push_str(&format!("{from} -> {}{whose}: {why}\n", to.desc()));
    }
    insta::assert_snapshot!(table);
}
