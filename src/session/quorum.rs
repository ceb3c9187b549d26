//! The quorum rule: whether a principal may serve, given whom it is connected to.
//!
//! Source: documented, *Quorum: How a Witness Affects Database Availability*; that a restarted principal needs to be
//! told that it still owns its role is scenario 1 and 2 of that page.

/// How a principal stands to one of the two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    Down,
    /// Connected; it has not yet said, on this connection, whose the principal role is.
    Up,
    /// Connected, and it confirmed that this instance owns the principal role.
    Confirmed,
}

/// What the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Serve,
    /// Go on if serving (what waits for the mirror goes on waiting), else wait: the witness is about to answer.
    Keep,
    /// Not in quorum: stop serving.
    Stop,
}

/// Whether a principal may serve. `witness` is `None` if none is set: then there is no quorum, and it always may.
pub fn verdict(serving: bool, partner: Tie, witness: Option<Tie>) -> Verdict {
    match (partner, witness) {
        (_, None) | (Tie::Confirmed, _) | (_, Some(Tie::Confirmed)) => Verdict::Serve,
        (_, Some(Tie::Up)) if serving => Verdict::Keep,
        _ => Verdict::Stop,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for serving in [true, false] {
            for partner in [Tie::Down, Tie::Up, Tie::Confirmed] {
                for witness in [None, Some(Tie::Down), Some(Tie::Up), Some(Tie::Confirmed)] {
                    let verdict = verdict(serving, partner, witness);
                    writeln!(
                        table,
                        "serving={serving} partner={partner:?} witness={witness:?}: {verdict:?}"
                    )
                    .unwrap();
                }
            }
        }
        insta::assert_snapshot!(table, @"
        serving=true partner=Down witness=None: Serve
        serving=true partner=Down witness=Some(Down): Stop
        serving=true partner=Down witness=Some(Up): Keep
        serving=true partner=Down witness=Some(Confirmed): Serve
        serving=true partner=Up witness=None: Serve
        serving=true partner=Up witness=Some(Down): Stop
        serving=true partner=Up witness=Some(Up): Keep
        serving=true partner=Up witness=Some(Confirmed): Serve
        serving=true partner=Confirmed witness=None: Serve
        serving=true partner=Confirmed witness=Some(Down): Serve
        serving=true partner=Confirmed witness=Some(Up): Serve
        serving=true partner=Confirmed witness=Some(Confirmed): Serve
        serving=false partner=Down witness=None: Serve
        serving=false partner=Down witness=Some(Down): Stop
        serving=false partner=Down witness=Some(Up): Stop
        serving=false partner=Down witness=Some(Confirmed): Serve
        serving=false partner=Up witness=None: Serve
        serving=false partner=Up witness=Some(Down): Stop
        serving=false partner=Up witness=Some(Up): Stop
        serving=false partner=Up witness=Some(Confirmed): Serve
        serving=false partner=Confirmed witness=None: Serve
        serving=false partner=Confirmed witness=Some(Down): Serve
        serving=false partner=Confirmed witness=Some(Up): Serve
        serving=false partner=Confirmed witness=Some(Confirmed): Serve
        ");
    }
}
