//! What persistence engines took from packets: kept beside the connection table, by the entry of the template.

use std::collections::HashMap;
use std::net::IpAddr;

use ipvs_flow::{Address, EntryIndex};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::command::EngineData;
use crate::explain::Journal;
use crate::persistence_engine::Engine;

/// What a template of an engine stands for: in the table's key a hash has its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The client's network.
    pub(crate) network: IpAddr,
    /// The service's engine.
    pub(crate) engine: Engine,
    /// What it took from the packet.
    pub(crate) data: &'a [u8],
}

impl Caller<'_> {
    /// What stands in the place of the client's address in the key of its template. Calls of one client, a gateway for
    /// example, are so spread over the table; who does not know `hash_key` cannot choose two that meet.
    pub(crate) fn address(&self, hash_key: [u64; 2]) -> Address {
        use core::hash::Hasher;
        let mut hasher = SipHasher13::new_with_keys(hash_key[0], hash_key[1]);
        match self.network {
            IpAddr::V4(network) => hasher.write(&network.octets()),
            IpAddr::V6(network) => hasher.write(&network.octets()),
        }
        hasher.write(self.engine.name().as_bytes());
        hasher.write(&[0]);
        hasher.write(self.data);
        Address::from(hasher.finish128().as_bytes())
    }
}

/// By template.
#[derive(Debug, Default)]
pub(crate) struct TemplateData {
    kept: HashMap<EntryIndex, Kept>,
    before: Journal<Option<Kept>>,
}

/// As [`Caller`], to be kept.
#[derive(Debug)]
struct Kept {
    network: IpAddr,
    engine: Engine,
    data: Box<[u8]>,
}

impl TemplateData {
    /// Keeps what a new template stands for.
    pub(crate) fn keep(&mut self, template: EntryIndex, caller: Caller<'_>) {
        let Caller { network, engine, data } = caller;
        let old = self.kept.insert(template, Kept { network, engine, data: data.into() });
        self.before.keep(template.0, || old);
    }

    /// The template has ended.
    pub(crate) fn forget(&mut self, template: EntryIndex) {
        let old = self.kept.remove(&template);
        self.before.keep(template.0, || old);
    }

    /// Changes are to be taken back from now on.
    pub(crate) fn begin_trial(&mut self) {
        self.before.begin();
    }

    /// Takes back the changes of the trial.
    pub(crate) fn end_trial(&mut self) {
        for (index, old) in self.before.end() {
            match old {
                Some(old) => self.kept.insert(EntryIndex(index), old),
                None => self.kept.remove(&EntryIndex(index)),
            };
        }
    }

    /// Whether a template that was found by its hash stands for `caller`, to the byte.
    pub(crate) fn is_of(&self, template: EntryIndex, caller: Caller<'_>) -> bool {
        self.kept.get(&template).is_some_and(|kept| {
            kept.network == caller.network
                && kept.engine.name() == caller.engine.name()
                && *kept.data == *caller.data
        })
    }

    /// As listings show it: the client's network, the engine and its data. `None` if an engine has no part in the template.
    pub(crate) fn shown(&self, template: EntryIndex) -> Option<(IpAddr, EngineData)> {
        let kept = self.kept.get(&template)?;
        Some((kept.network, EngineData { name: kept.engine.name().to_owned(), data: kept.data.clone() }))
    }

    /// The templates that have data.
    #[cfg(test)]
    pub(crate) fn templates(&self) -> impl Iterator<Item = EntryIndex> {
        self.kept.keys().copied()
    }
}
