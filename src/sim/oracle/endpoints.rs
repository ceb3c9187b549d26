//! What the oracles of endpoint and transport remember: how every endpoint is configured, and every connection from its
//! first moment on, with what was configured on its own side then.
//!
//! The configuration is that of the catalog, told when a statement has taken effect; what a login made of it is not asked.

use std::collections::BTreeMap;

use crate::types::{
    ConnectionId, EndpointEvent, EndpointSettings, Event, Guid, InstanceEvent, InstanceName, Source, Stamped,
    WorldEvent,
};

/// One side of one connection.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// When it began, in events.
    began: u64,
    pub accepted: bool,
    /// The peer's end, where this side accepted it.
    from: Option<String>,
    /// This side's endpoint when it began.
    pub own: Option<EndpointSettings>,
    /// Who is at the other end, once logged in.
    pub peer: Option<Guid>,
}

#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// Events so far.
    clock: u64,
    names: BTreeMap<Guid, InstanceName>,
    /// The endpoint of each instance, and since when it is configured like this.
    settings: BTreeMap<InstanceName, (u64, Option<EndpointSettings>)>,
    streams: BTreeMap<(InstanceName, ConnectionId), Stream>,
}

impl Endpoints {
    pub(super) fn observe(&mut self, stamped: &Stamped) {
        match (&stamped.source, &stamped.event) {
            (_, Event::World(WorldEvent::ProcessKilled { instance })) => {
                self.streams.retain(|(who, _), _| who != instance);
            }
            (Source::Instance(who), Event::Instance(InstanceEvent::Started { instance, .. })) => {
                self.names.insert(*instance, who.clone());
            }
            (Source::Instance(who), Event::Endpoint(event)) => self.on_endpoint(who, event),
            _ => {}
        }
    }

    fn on_endpoint(&mut self, who: &InstanceName, event: &EndpointEvent) {
        self.clock += 1;
        match event {
            EndpointEvent::Configured { settings } => self.configured(who, Some((**settings).clone())),
            EndpointEvent::Dropped { .. } => self.configured(who, None),
            EndpointEvent::Accepted { connection, from } => self.begins(who, *connection, Some(from.clone())),
            EndpointEvent::Connecting { connection, .. } => self.begins(who, *connection, None),
            EndpointEvent::LoggedIn { connection, peer, .. } => {
                if let Some(stream) = self.streams.get_mut(&(who.clone(), *connection)) {
                    stream.peer = Some(*peer);
                }
            }
            EndpointEvent::Closed { connection, .. } | EndpointEvent::ConnectFailed { connection, .. } => {
                self.streams.remove(&(who.clone(), *connection));
            }
            _ => {}
        }
    }

    /// An instance that is started again tells of the same endpoint: nothing has changed then.
    fn configured(&mut self, who: &InstanceName, settings: Option<EndpointSettings>) {
        if self.settings(who) != settings.as_ref() {
            self.settings.insert(who.clone(), (self.clock, settings));
        }
    }

    fn begins(&mut self, who: &InstanceName, connection: ConnectionId, from: Option<String>) {
        let stream = Stream {
            began: self.clock,
            accepted: from.is_some(),
            from,
            own: self.settings(who).cloned(),
            peer: None,
        };
        self.streams.insert((who.clone(), connection), stream);
    }

    /// The endpoint an instance has now.
    pub(super) fn settings(&self, who: &InstanceName) -> Option<&EndpointSettings> {
        self.settings.get(who).and_then(|(_, settings)| settings.as_ref())
    }

    pub(super) fn name(&self, instance: Guid) -> Option<&InstanceName> {
        self.names.get(&instance)
    }

    pub(super) fn stream(&self, who: &InstanceName, connection: ConnectionId) -> Option<&Stream> {
        self.streams.get(&(who.clone(), connection))
    }

    /// Connections that are logged in on the side of `who`, not closed there since.
    pub(super) fn online(&self, who: &InstanceName) -> impl Iterator<Item = (ConnectionId, &Stream)> {
        let own = self.streams.iter().filter(move |((w, _), _)| w == who);
        own.filter(|(_, stream)| stream.peer.is_some())
            .map(|((_, connection), stream)| (*connection, stream))
    }

    /// Both endpoints of a connection that `who` has logged in: its own first, as it was when the connection began.
    /// Nothing if the other one was changed since, so that it is not certain which of its settings the login met.
    pub(super) fn both(
        &self,
        who: &InstanceName,
        connection: ConnectionId,
    ) -> Option<(&EndpointSettings, &EndpointSettings)> {
        let stream = self.stream(who, connection)?;
        let (since, theirs) = self.settings.get(self.name(stream.peer?)?)?;
        let unchanged = *since <= stream.began;
        Some((stream.own.as_ref()?, theirs.as_ref().filter(|_| unchanged)?))
    }

    /// The side that accepted the connection between two ends, if it is logged in.
    pub(super) fn between(&self, from: &str, to: &str) -> Option<(&InstanceName, ConnectionId)> {
        let is_between = |stream: &Stream| {
            let end = stream.from.as_deref();
            stream.peer.is_some() && (end == Some(from) || end == Some(to))
        };
        let mut found = self.streams.iter().filter(|(_, stream)| is_between(stream));
        found.next().map(|((who, connection), _)| (who, *connection))
    }
}
