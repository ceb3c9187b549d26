//! The statements of the scenario's operator, and how each ended.
//!
//! A step is told before it is carried out, and its answers, one for each batch, after that; whatever else the operator
//! asks, he asks before or behind a step. Source: ours.

use crate::types::{ClientEvent, Event, InstanceName, WorldEvent};

/// The partner did not answer in time: the command may have been carried out. Source: documented, 1421.
const UNCERTAIN: u32 = 1421;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Refused,
    /// It may have been carried out.
    Uncertain,
}

/// The step that waits for its answer, if one does.
#[derive(Debug, Default)]
pub(super) struct Operator {
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    on: InstanceName,
    batches: usize,
}

/// The instance on which a step runs its statements.
pub(super) fn instance_of(step: &str) -> Option<InstanceName> {
    let (before, _) = step.strip_prefix("sql on ")?.split_once(": ")?;
    before.split(' ').next().map(InstanceName::new)
}

impl Operator {
    /// How the step ended that the event answers. One whose answer was lost never ends; the next step takes its place.
    pub fn observe(&mut self, event: &Event) -> Option<Ending> {
        match event {
            Event::World(WorldEvent::Step { text }) => {
                let separators = text.split(' ').filter(|word| word.eq_ignore_ascii_case("GO"));
                let batches = 1 + separators.count();
                self.asked = instance_of(text).map(|on| Asked { on, batches });
                None
            }
            Event::Client(ClientEvent::Batch { on, reply }) => {
                let asked = self.asked.as_mut().filter(|asked| asked.on == *on)?;
                let ending = match reply.error().map(|error| error.number) {
                    None if asked.batches > 1 => {
                        asked.batches -= 1;
                        return None;
                    }
                    None => Ending::Done,
                    Some(UNCERTAIN) => Ending::Uncertain,
                    Some(_) => Ending::Refused,
                };
                self.asked = None;
                Some(ending)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::msg;
    use crate::types::{Reply, ReplyItem};

    fn step(text: &str) -> Event {
        let text = text.to_owned();
        WorldEvent::Step { text }.into()
    }

    fn answer(on: &str, number: Option<u32>) -> Event {
        let error = number.map(|n| crate::error::message(n).expect("in the catalogue"));
        let items = error
            .map(|error| ReplyItem::Error(error.with(&[&"it"])))
            .into_iter()
            .collect();
        let (on, reply) = (InstanceName::new(on), Reply { items });
        ClientEvent::Batch { on, reply }.into()
    }

    fn endings(events: &[Event]) -> Vec<Option<Ending>> {
        let mut operator = Operator::default();
        events.iter().map(|event| operator.observe(event)).collect()
    }

    #[test]
    fn a_step_ends_with_the_answer_of_its_own_instance_and_once() {
        let events = [
            step("sql on beta as a: CHECKPOINT"),
            answer("alpha", None),
            answer("beta", Some(msg::CANNOT_FORCE.number)),
            answer("beta", None),
        ];
        assert_eq!(endings(&events), [None, None, Some(Ending::Refused), None]);
        let events = [step("wait 1s"), answer("beta", None)];
        assert_eq!(endings(&events), [None, None]);
    }

    #[test]
    fn a_step_of_several_batches_ends_with_the_last_or_with_an_error() {
        let two = step("sql on beta: CHECKPOINT GO CHECKPOINT");
        let (ok, late) = (answer("beta", None), answer("beta", Some(UNCERTAIN)));
        assert_eq!(
            endings(&[two.clone(), ok.clone(), ok.clone()]),
            [None, None, Some(Ending::Done)]
        );
        assert_eq!(endings(&[two, late]), [None, Some(Ending::Uncertain)]);
    }
}
