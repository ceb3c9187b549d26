//! Interruptions at every point of something.

use super::harness::Trio;

/// Does `then` at every message and every write of what `begin` begins, each time with a new trio; to how many.
pub fn at_every_move(begin: impl Fn() -> Trio, mut then: impl FnMut(Trio)) -> usize {
    let mut moves = 0;
    loop {
        let mut trio = begin();
        if !(0..moves).all(|_| trio.advance()) {
            return moves;
        }
        then(trio);
        moves += 1;
    }
}
