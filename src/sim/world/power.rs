//! Processes and power: killing, pausing, pulling the plug, and what the kernels must forget for it.

use std::net::{IpAddr, SocketAddr};

use tokio::task::LocalSet;
use turmoil_net::{HostId, NetstatState};

use super::process::{Process, State};
use super::wire::reset_packet;
use super::{Kernels, ProcessId, SystemId, World};

impl World {
    /// Ends a process at once. Its sockets are closed by the operating system: FIN, or RST where input was unread. Its
    /// disk handle is dead before its destructors run. Whether it was alive.
    pub fn kill(&self, process: ProcessId) -> bool {
        let Some((tasks, host)) = self.end(process) else {
            return false;
        };
        self.count(|counters| counters.processes_killed += 1);
        turmoil_net::set_current(host);
        drop(tasks);
        true
    }

    /// Stops polling a process: its system goes on for it, acknowledging what arrives. Whether it was running.
    pub fn pause(&self, process: ProcessId) -> bool {
        self.change(process, State::Running, State::Paused)
    }

    /// Goes on polling; the process finds its timers overdue. Whether it was paused.
    pub fn resume(&self, process: ProcessId) -> bool {
        let paused = self.change(process, State::Paused, State::Running);
        if paused && let Some(process) = self.0.processes.borrow().get(process.index()) {
            process.wakeup.queue();
        }
        paused
    }

    /// Cuts a system's power: every process is gone, what it sent and was sent vanishes, unsynced writes are undone.
    /// Whether it was up.
    pub fn power_off(&self, system: SystemId) -> bool {
        let disk = {
            let mut systems = self.0.systems.borrow_mut();
            let system = &mut systems[system.index()];
            if !std::mem::replace(&mut system.up, false) {
                return false;
            }
            system.disk.clone()
        };
        let victims: Vec<ProcessId> = self.processes_on(system);
        for victim in &victims {
            self.0.processes.borrow()[victim.index()].dead.kill();
        }
        disk.lose_power();
        self.abort_connections(system);
        for victim in victims {
            self.kill(victim);
        }
        self.collect();
        self.0.wire.borrow_mut().forget_system(system);
        true
    }

    /// Gives a system its power back, with nothing running. Whether it was down.
    pub fn power_on(&self, system: SystemId) -> bool {
        !std::mem::replace(&mut self.0.systems.borrow_mut()[system.index()].up, true)
    }

    pub(super) fn state(&self, process: ProcessId) -> Option<State> {
        self.0
            .processes
            .borrow()
            .get(process.index())
            .map(|process| process.state)
    }

    fn change(&self, process: ProcessId, from: State, to: State) -> bool {
        let mut processes = self.0.processes.borrow_mut();
        match processes.get_mut(process.index()) {
            Some(process) if process.state == from => {
                process.state = to;
                true
            }
            _ => false,
        }
    }

    fn processes_on(&self, system: SystemId) -> Vec<ProcessId> {
        let processes = self.0.processes.borrow();
        let alive =
            |(_, process): &(usize, &Process)| process.system == system && process.state != State::Ended;
        let id = |(index, _)| ProcessId(u32::try_from(index).unwrap_or(u32::MAX));
        processes.iter().enumerate().filter(alive).map(id).collect()
    }

    /// Marks a process as ended and hands out what is to be dropped (nothing, if it is being polled right now).
    fn end(&self, process: ProcessId) -> Option<(Option<LocalSet>, HostId)> {
        let mut processes = self.0.processes.borrow_mut();
        let process = processes.get_mut(process.index())?;
        if process.state == State::Ended {
            return None;
        }
        process.state = State::Ended;
        process.dead.kill();
        let host = self.host(process.system);
        Some((process.tasks.take(), host))
    }

    /// Makes a system's own kernel forget its connections, so that its ports can be bound again.
    ///
    /// Half-open ones go with their listener: a reset would leave them behind.
    fn abort_connections(&self, system: SystemId) {
        for (local, peer, state) in self.connections(system) {
            if state != NetstatState::SynReceived {
                self.deliver_reset(peer, local);
            }
        }
    }

    /// Makes a kernel forget connections of `port` that its processes have closed and their peers have not.
    pub(super) fn forget_lingering(&self, system: SystemId, port: u16) {
        self.collect();
        for (local, peer, state) in self.connections(system) {
            let closing = matches!(
                state,
                NetstatState::FinWait1
                    | NetstatState::FinWait2
                    | NetstatState::LastAck
                    | NetstatState::Closing
            );
            if local.port() == port && closing {
                self.0.wire.borrow_mut().orphan(local, peer);
                self.deliver_reset(peer, local);
            }
        }
        self.collect();
    }

    fn connections(&self, system: SystemId) -> Vec<(SocketAddr, SocketAddr, NetstatState)> {
        if !matches!(&*self.0.kernels.borrow(), Kernels::InForce(_)) {
            return Vec::new();
        }
        let entries = turmoil_net::netstat(IpAddr::from(system.ip())).entries;
        let connection = |entry: turmoil_net::NetstatEntry| Some((entry.local, entry.peer?, entry.state?));
        entries.into_iter().filter_map(connection).collect()
    }

    fn deliver_reset(&self, from: SocketAddr, to: SocketAddr) {
        if let Kernels::InForce(guard) = &*self.0.kernels.borrow() {
            guard.deliver(reset_packet(from, to));
        }
    }
}
