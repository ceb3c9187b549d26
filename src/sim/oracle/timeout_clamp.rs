//! A partner timeout below five seconds is taken, and counts as five; one above 32767 is an error.
//!
//! That it counts as five is held by the promises about early and late time-outs. Source: documented, *ALTER DATABASE
//! Database Mirroring*; message 1476.

use super::{Oracle, Violation};
use crate::types::{ClientEvent, Event, InstanceName, Stamped, WorldEvent};

const NAME: &str = "timeout-clamp";

/// The largest timeout that can be set, in seconds, and the message for one beyond it.
const MOST: u64 = 32_767;
const OUT_OF_RANGE: u32 = 1476;

#[derive(Debug, Default)]
pub(super) struct TimeoutClamp {
    /// The value that was asked for, until the answer comes.
    asked: Option<u64>,
}

impl TimeoutClamp {
    fn judge(&mut self, error: Option<u32>, on: &InstanceName, stamped: &Stamped, out: &mut Vec<Violation>) {
        let Some(seconds) = self.asked.take() else { return };
        let problem = match (seconds > MOST, error) {
            (true, None) => format!("{on} took a partner timeout of {seconds} s"),
            (false, Some(OUT_OF_RANGE)) => format!("{on} refused a partner timeout of {seconds} s"),
            _ => return,
        };
        out.push(Violation::of(NAME, &[on], problem, stamped.at));
    }
}

impl Oracle for TimeoutClamp {
    fn observe(&mut self, stamped: &Stamped, out: &mut Vec<Violation>) {
        match &stamped.event {
            Event::World(WorldEvent::Step { text }) => {
                let upper = text.to_ascii_uppercase();
                let value = upper.split_once("PARTNER TIMEOUT ").map(|(_, rest)| rest);
                self.asked =
                    value.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
            }
            Event::Client(ClientEvent::Batch { on, reply }) => {
                let error = reply.error().map(|error| error.number);
                self.judge(error, on, stamped, out);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::error::msg;
    use crate::types::{Reply, ReplyItem};

    fn answered(seconds: u64, refused: bool) -> Vec<Stamped> {
        let text = format!("sql on alpha: ALTER DATABASE Sales SET PARTNER TIMEOUT {seconds};");
        let error = ReplyItem::Error(msg::TIMEOUT_TOO_LARGE.with(&[&seconds]));
        let reply = Reply {
            items: refused.then_some(error).into_iter().collect(),
        };
        let on = InstanceName::new("alpha");
        vec![world_step(1, &text), client(1, ClientEvent::Batch { on, reply })]
    }

    #[test]
    fn small_values_are_taken_and_large_ones_refused() {
        assert_quiet::<TimeoutClamp>(&answered(0, false));
        assert_quiet::<TimeoutClamp>(&answered(32_767, false));
        assert_quiet::<TimeoutClamp>(&answered(32_768, true));
    }

    #[test]
    fn the_other_way_round_is_seen() {
        assert_red::<TimeoutClamp>(&answered(4, true), NAME);
        assert_red::<TimeoutClamp>(&answered(32_768, false), NAME);
    }
}
