//! What the last look at a database may find, as far as the scenario itself explains it. Source: ours.

use super::fault::DAMAGING;
use crate::error::msg;

/// Whether a serving principal may refuse a full read with error `number`, after faults of the kinds `fired`.
///
/// What a damaged page held is refused, which is right as long as something has damaged a disk.
pub(super) fn may_refuse<'a>(number: u32, fired: impl IntoIterator<Item = &'a str>) -> bool {
    number == msg::PAGE_RESTORE_PENDING.number && fired.into_iter().any(|kind| DAMAGING.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_page_is_refused_only_where_a_disk_was_harmed() {
        assert!(may_refuse(829, ["kill", "bit_rot"]));
        assert!(!may_refuse(829, ["kill", "power_loss", "disk_slow"]));
        assert!(!may_refuse(829, []));
        assert!(!may_refuse(208, ["bit_rot"]));
    }
}
