//! The scheduler: one future that polls the root, the processes in the order they were woken, and the wire.
//!
//! When nobody is ready and nothing is due it waits, and tokio's paused clock jumps to the next timer. There is no other
//! task, so the order of everything is this loop's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use crate::types::Timestamp;

use super::process::{ROOT, Wakeup, watched};
use super::{World, WorldError};

pub(super) struct Scheduler<F> {
    world: World,
    root: Pin<Box<F>>,
    wakeup: Arc<Wakeup>,
    waker: Waker,
    /// Rings when the wire has something to deliver.
    timer: Pin<Box<Sleep>>,
    armed: Option<Timestamp>,
    /// A kernel may have something to send: somebody was polled or a packet was handed over since the last look.
    stirred: bool,
}

impl<F: Future> Scheduler<F> {
    /// To be called inside the runtime.
    pub(super) fn new(world: World, root: F) -> Self {
        let wakeup = Wakeup::new(ROOT, world.ready());
        let waker = Waker::from(wakeup.clone());
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        wakeup.queue();
        Scheduler {
            world,
            root: Box::pin(root),
            wakeup,
            waker,
            timer,
            armed: None,
            stirred: true,
        }
    }

    /// Polls whoever is ready; the outcome if the root ended or the run failed.
    fn run_ready(&mut self) -> Option<Result<F::Output, WorldError>> {
        let ready = self.world.ready();
        while let Some(id) = ready.pop() {
            self.stirred = true;
            if id == ROOT {
                self.wakeup.taken();
                let mut cx = Context::from_waker(&self.waker);
                let (polled, panic) = watched(|| self.root.as_mut().poll(&mut cx));
                if let Some(message) = panic {
                    return Some(Err(self.world.panicked("scenario", message)));
                }
                if let Poll::Ready(output) = polled {
                    return Some(Ok(output));
                }
            } else if let Err(error) = self.world.poll_process(id) {
                return Some(Err(error));
            }
        }
        None
    }

    /// Moves packets until none can move now or somebody is ready. Whether somebody is.
    fn move_packets(&mut self) -> bool {
        loop {
            let collected = std::mem::take(&mut self.stirred) && self.world.collect();
            let delivered = self.world.deliver_due();
            self.stirred = collected || delivered;
            if !self.world.ready().is_empty() {
                return true;
            }
            if !self.stirred {
                return false;
            }
        }
    }

    /// Sets the timer to the next delivery. Whether it is due already.
    fn arm(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.world.next_due() else {
            return false;
        };
        if self.armed != Some(due) {
            self.timer.as_mut().reset(self.world.instant(due));
            self.armed = Some(due);
        }
        let rung = self.timer.as_mut().poll(cx).is_ready();
        if rung {
            self.armed = None;
        }
        rung
    }
}

impl<F: Future> Future for Scheduler<F> {
    type Output = Result<F::Output, WorldError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.world.ready().begin(cx.waker());
        loop {
            if let Some(outcome) = this.run_ready() {
                return Poll::Ready(outcome);
            }
            if !this.move_packets() && !this.arm(cx) {
                break;
            }
        }
        this.world.ready().end();
        Poll::Pending
    }
}
