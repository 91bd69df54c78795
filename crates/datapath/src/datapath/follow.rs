//! What the program and the host port are told of changes: of the network's, and of what the director wants.

use std::net::IpAddr;

use ipvs_core::{DestinationChange, Instant, Interest, InterestChange};
use ipvs_flow::steady::{TIMEOUTS, TIMEOUTS_NUMBER};

use super::Datapath;
use crate::Mode;
use crate::fast_path::{FastPath, exits, ports};
use crate::network::Event;
use crate::program::Endpoint;

impl Datapath {
    /// Finds out by which interfaces frames may leave from the program, and tells it.
    pub(crate) fn renew_exits(&mut self) {
        let Some(fast_path) = &mut self.fast_path else { return };
        let exits = exits::of(&self.attached, &mut fast_path.features);
        if !fast_path.ways.set_exits(exits, &self.network) {
            return;
        }
        for attached in &self.attached {
            let exit = fast_path.ways.is_exit(attached.index);
            tracing::info!(interface = attached.name, exit, "whether the XDP program sends by it");
        }
        self.tell_ports();
    }

    /// Tells the program of the attached interfaces, and of VLAN devices on them.
    pub(crate) fn tell_ports(&mut self) {
        let Some(fast_path) = &mut self.fast_path else { return };
        let (ways, program) = (&fast_path.ways, &mut self.program);
        let is_exit = |interface| ways.is_exit(interface);
        let (links, puts_off) = (self.network.links(), fast_path.puts_off());
        let ports = ports::of(&self.attached, links, is_exit, puts_off, |index| program.port_place(index));
        let told = std::mem::take(&mut fast_path.ports);
        let gone = told.keys().filter(|place| !ports.contains_key(place)).map(|place| (*place, None));
        let new = ports.iter().filter(|(place, port)| told.get(place) != Some(port));
        for (place, port) in gone.chain(new.map(|(place, port)| (*place, Some(port)))) {
            if let Err(error) = program.set_port(place, port) {
                tracing::warn!(?port, %error, "could not change the XDP program's map");
            }
        }
        fast_path.ports = ports;
    }

    /// Takes changes of destinations, and the timeouts of states.
    pub fn follow_director(&mut self, changes: &[DestinationChange], timeouts: &[u32; TIMEOUTS]) {
        let Some(fast_path) = &mut self.fast_path else { return };
        fast_path.follow(changes, &self.network);
        if self.timeouts[..TIMEOUTS_NUMBER] != timeouts[..TIMEOUTS_NUMBER] {
            let number = self.timeouts[TIMEOUTS_NUMBER].wrapping_add(1);
            self.timeouts = *timeouts;
            self.timeouts[TIMEOUTS_NUMBER] = number;
            if let Err(error) = self.program.set_timeouts(&self.timeouts) {
                tracing::warn!(%error, "could not change the XDP program's map");
            }
        }
    }

    /// Keeps the ways that the program uses as the network has them; returns when to look again.
    pub(super) fn follow_ways(&mut self, now: Instant) -> Option<Instant> {
        let renewals = self.network.take_renewals();
        let fast_path = self.fast_path.as_mut()?;
        if renewals.all || !renewals.neighbours.is_empty() {
            fast_path.generation = fast_path.generation.wrapping_add(1);
            if let Err(error) = self.program.set_network_generation(fast_path.generation) {
                tracing::warn!(%error, "could not change the XDP program's map");
            }
        }
        if renewals.all {
            fast_path.ways.renew_all(&self.network);
        }
        for (interface, neighbour) in renewals.neighbours {
            fast_path.ways.renew_behind(interface, neighbour, &self.network);
        }
        let due = fast_path.ways.is_due(now);
        let again = fast_path.confirm(now, &mut self.network);
        if renewals.all {
            self.tell_ports();
        }
        if renewals.all || due {
            self.renew_exits();
        }
        again
    }

    /// Whether the program can look packets up in bulk.
    fn can_look_up_in_bulk(&self) -> bool {
        // In generic mode frames leave one by one.
        self.program.can_put_off() && self.attached.iter().all(|attached| attached.mode != Mode::Generic)
    }

    /// Says if packets are to be looked up in bulk always and cannot be.
    pub(crate) fn tell_of_bulk_lookup(&self) {
        let is_asked_for = self.fast_path.as_ref().is_some_and(FastPath::always_looks_up_in_bulk);
        if is_asked_for && !self.can_look_up_in_bulk() {
            tracing::warn!(
                "packets will not be looked up in bulk: not in generic mode, nor with frames in several buffers (use \
                 --xdp native, and MTUs for which frames have one buffer)"
            );
        }
    }

    /// Has the program look packets up in bulk when that is worth it; returns when to look again.
    pub(super) fn follow_bulk(&mut self, now: Instant) -> Option<Instant> {
        let possible = self.can_look_up_in_bulk();
        let fast_path = self.fast_path.as_mut()?;
        let before = fast_path.puts_off();
        let again = fast_path.follow_bulk(now, possible, &mut self.program);
        if fast_path.puts_off() != before {
            self.tell_ports();
        }
        again
    }

    /// Hears of changes in the network, if there is `news`, and acts on them; returns whether there may be more.
    pub(super) fn follow_network(&mut self, now: Instant, news: bool) -> bool {
        self.network.pass_time(now);
        if !news {
            return false;
        }
        let mut events = std::mem::take(&mut self.events);
        let more = self.network.update(&mut events);
        let mut new = Vec::new();
        let mut own_changed = false;
        for event in events.drain(..) {
            match event {
                Event::Neighbour(interface, address, state) => {
                    self.output.resolved(interface, address, state)
                }
                Event::Address(address) => {
                    own_changed = true;
                    match self.interests.follow(address, &mut self.program, &self.network) {
                        Ok(answered) => new.extend(answered),
                        Err(error) => {
                            tracing::warn!(%address, %error, "could not change the XDP program's map")
                        }
                    }
                }
                Event::Everything => {
                    own_changed = true;
                    match self.interests.follow_all(&mut self.program, &self.network) {
                        Ok(answered) => new.extend(answered),
                        Err(error) => tracing::warn!(%error, "could not change the XDP program's map"),
                    }
                    self.output.review_waiting(&mut self.network, now, true);
                }
            }
        }
        self.events = events;
        self.announce(new);
        if own_changed {
            self.follow_servers();
        }
        more
    }

    /// Takes changes of what the director must see. What the program's maps do not take is logged, and the packets
    /// concerned stay with the host.
    pub fn apply_interest(&mut self, changes: impl IntoIterator<Item = InterestChange>) {
        let mut new = Vec::new();
        for change in changes {
            match self.interests.apply(change, &mut self.program, &self.network) {
                Ok(answered) => new.extend(answered),
                Err(error) => tracing::warn!(?change, %error, "could not change the XDP program's map"),
            }
            self.netfilter.apply(change);
            let (InterestChange::Added(interest) | InterestChange::Removed(interest)) = change;
            if let Interest::Server { protocol, address, port } = interest {
                let server = Endpoint { protocol, address, port };
                let local = self.interests.is_local(&server);
                self.output.host.set_server(server, local);
                self.netfilter.set_local_server(&server, local);
            }
        }
        self.announce(new);
    }

    fn announce(&mut self, addresses: Vec<IpAddr>) {
        if addresses.is_empty() {
            return;
        }
        for address in addresses {
            self.output.announce(&self.network, address);
        }
        self.flush();
    }

    /// Leads the answers of those real servers that are on this host through the host port.
    fn follow_servers(&mut self) {
        match self.interests.follow_servers(&mut self.program, &self.network) {
            Ok((servers, changed)) => {
                for server in &changed {
                    self.netfilter.set_local_server(server, servers.contains(server));
                }
                self.output.host.set_servers(servers);
            }
            Err(error) => tracing::warn!(%error, "could not change the XDP program's map"),
        }
    }
}
