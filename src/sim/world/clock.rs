//! The clock seam of a simulated system: the world's time, and the system's wall clock over it.

use crate::driver::clock::Clock;
use crate::types::{Now, Timestamp};

use super::World;
use super::system::SystemId;

/// Both clocks of one system.
#[derive(Clone)]
pub struct SimClock {
    pub(super) world: World,
    pub(super) system: SystemId,
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let at = self.world.now();
        Now {
            at,
            wall: self.world.wall(self.system),
        }
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.world.run_until(at).await;
    }
}
