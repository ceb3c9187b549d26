//! Every ROLE of an endpoint against every other, for partners and for the three of a session with a witness.
//!
//! Source: documented, *ALTER DATABASE Database Mirroring* (ROLE = PARTNER or ALL on both partners, WITNESS or ALL on the
//! witness); the numbers where the pages are silent are decision E9.

use std::time::Duration;

use super::rig::{Rig, set_partner, with_rig};

const ROLES: [&str; 3] = ["PARTNER", "WITNESS", "ALL"];

/// Gives the endpoint this ROLE, whatever it had.
async fn set_role(rig: &Rig, on: &str, role: &str) {
    let alter = format!("ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = {role});");
    rig.must(on, &alter).await;
}

#[test]
fn partners_are_two_that_may_be_partners() {
    for principal in ROLES {
        for mirror in ROLES {
            with_rig("trio_unmirrored", "", async move |rig| {
                set_role(rig, "alpha", principal).await;
                set_role(rig, "beta", mirror).await;
                // Nobody is asked where the own ROLE says no; of the other's the login tells.
                let answer = rig.number("beta", &set_partner("alpha")).await;
                assert_eq!(
                    answer,
                    if mirror == "WITNESS" { 1418 } else { 0 },
                    "mirror {mirror}"
                );
                let expected = if [principal, mirror].contains(&"WITNESS") {
                    1418
                } else {
                    0
                };
                let answer = rig.number("alpha", &set_partner("beta")).await;
                assert_eq!(answer, expected, "principal {principal}, mirror {mirror}");
                for (on, role) in [("alpha", principal), ("beta", mirror)] {
                    let log = rig.log(on, Default::default());
                    let told = log.iter().any(|line| line.starts_with("1486 "));
                    assert_eq!(told, role == "WITNESS", "{on} as {role}: {log:?}");
                }
            });
        }
    }
}

#[test]
fn a_witness_is_one_that_may_be_a_witness() {
    const SET_WITNESS: &str = "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022';";
    for partners in [["PARTNER", "PARTNER"], ["PARTNER", "ALL"], ["ALL", "PARTNER"]] {
        for witness in ROLES {
            with_rig("trio_unmirrored", "", async move |rig| {
                for (on, role) in ["alpha", "beta", "gamma"]
                    .iter()
                    .zip([partners[0], partners[1], witness])
                {
                    set_role(rig, on, role).await;
                }
                rig.must("beta", &set_partner("alpha")).await;
                rig.must("alpha", &set_partner("beta")).await;
                rig.pass(Duration::from_secs(5)).await;
                let expected = if witness == "PARTNER" { 1427 } else { 0 };
                let answer = rig.number("alpha", SET_WITNESS).await;
                assert_eq!(answer, expected, "partners {partners:?}, witness {witness}");
            });
        }
    }
}
