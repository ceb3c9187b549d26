//! The clock seam.

use crate::types::{Now, Timestamp};

/// Both clocks of one system. Monotonic time never goes back; wall time has the system's offset and drift.
#[expect(
    async_fn_in_trait,
    reason = "single-threaded by design; no Send bound is wanted"
)]
pub trait Clock: Clone + 'static {
    fn now(&self) -> Now;

    /// Returns at `at` or, with the runtime's granularity of 1 ms, just after; at once if `at` has passed.
    async fn sleep_until(&self, at: Timestamp);
}
