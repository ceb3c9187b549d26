//! What the last look at a database may find, as far as the scenario itself explains it. Source: ours.

use std::collections::BTreeSet;

use super::fault::DAMAGING;
use super::scenario::{Action, Scenario, Setup};
use super::script::CLIENT_TABLE;
use crate::error::msg;

/// Whether a serving principal may refuse a full read with error `number`, after faults of the kinds `fired`.
///
/// What a damaged page held is refused, which is right as long as something has damaged a disk.
pub(super) fn may_refuse<'a>(number: u32, fired: impl IntoIterator<Item = &'a str>) -> bool {
    number == msg::PAGE_RESTORE_PENDING.number && fired.into_iter().any(|kind| DAMAGING.contains(&kind))
}

/// The keys that the statements of a scenario may have written in the clients' table: every integer of a text that names it.
pub(super) fn keys_named(scenario: &Scenario) -> BTreeSet<i64> {
    let set_up = scenario.setup.iter().filter_map(|piece| match piece {
        Setup::Sql { sql, .. } => Some(sql),
        Setup::CopyFile { .. } | Setup::Wait { .. } => None,
    });
    let steps = scenario.steps.iter().filter_map(|step| match &step.action {
        Action::Sql { sql, .. } => Some(sql),
        _ => None,
    });
    set_up.chain(steps).flat_map(|sql| keys_in(sql)).collect()
}

fn keys_in(sql: &str) -> BTreeSet<i64> {
    let table = CLIENT_TABLE.to_ascii_lowercase();
    if !sql.to_ascii_lowercase().contains(&table) {
        return BTreeSet::new();
    }
    let numbers = sql.split(|c: char| !c.is_ascii_digit() && c != '-');
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_statements_are_those_of_the_clients_table() {
        let keys = keys_in("USE Sales; INSERT INTO ledger (id, value) VALUES (-3, 30), (900001, 1);");
        assert_eq!(keys, [-3, 1, 30, 900_001].into());
        assert_eq!(keys_in("INSERT INTO Other (id) VALUES (4);"), BTreeSet::new());
    }

    #[test]
    fn a_damaged_page_is_refused_only_where_a_disk_was_harmed() {
        assert!(may_refuse(829, ["kill", "bit_rot"]));
        assert!(!may_refuse(829, ["kill", "power_loss", "disk_slow"]));
        assert!(!may_refuse(829, []));
        assert!(!may_refuse(208, ["bit_rot"]));
    }
}
