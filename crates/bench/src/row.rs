//! One line of the outcome: one measure of one path.

use serde::Serialize;

use crate::path::Path;
use crate::statistics::{Percentiles, Spread};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Packets of 64 bytes a second, of so many flows.
    Packets(u32),
    /// First segments of new connections a second, from random clients, that reach a server.
    Syns,
    /// Complete connections of real sockets a second, with a byte each way.
    Connections,
    /// Bits a second of one TCP connection to the server.
    Bulk,
    /// Round trips of a datagram while half the load goes through that the path can take.
    Latency,
    /// Memory of one connection.
    Memory,
    /// Packets a second while destinations' weights are changed, against those without.
    Storm,
    /// Round trips at half load while destinations' weights are changed.
    StormLatency,
}

impl Measure {
    /// As in names of rows, before the path.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Packets(_) => "packets",
            Self::Syns => "syns",
            Self::Connections => "connections",
            Self::Bulk => "bulk",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Storm => "storm",
            Self::StormLatency => "storm-latency",
        }
    }

    /// Of the values.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Packets(_) => "packets/s",
            Self::Syns | Self::Connections => "connections/s",
            Self::Bulk => "bit/s",
            Self::Latency | Self::StormLatency => "us",
            Self::Memory => "bytes/connection",
            // Packets a second with changes, of those without.
            Self::Storm => "share of calm",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There are values.
    Measured,
    /// The path is not there: a program or a feature is missing. `notes` say which.
    Missing,
    /// It could not be measured. `notes` say why.
    Failed,
}

/// A row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Name, as `--only` takes it.
    pub name: String,
    /// What is measured.
    #[serde(skip)]
    pub measure: Measure,
    /// The path.
    pub path: Path,
    /// Flows, where that matters.
    pub flows: Option<u32>,
    /// How it went.
    pub outcome: Outcome,
    /// Unit of values and spread.
    pub unit: &'static str,
    /// Median, least and greatest of the values.
    pub spread: Option<Spread>,
    /// One value of each round.
    pub values: Vec<f64>,
    /// Packets a second of processor time, one value of each round, where one processor does all of it: on a quiet machine `values`, on a
    /// busy one what they would be. NaN (in JSON null) for a round in which ipvsd's daemon did most of it.
    pub values_at_work: Vec<f64>,
    /// Processor time per packet in nanoseconds, generator and sink included: of the one processor that does all, or else of the whole
    /// machine.
    pub cpu_ns_per_packet: Option<f64>,
    /// Share of the sent frames that arrived.
    pub delivered: Option<f64>,
    /// Share of the frames that ipvsd's program forwarded by itself.
    pub in_program: Option<f64>,
    /// Of latencies, all rounds together.
    pub percentiles: Option<Percentiles>,
    /// What a reader must know of it.
    pub notes: Vec<String>,
}

impl Row {
    /// A row without values.
    pub(crate) fn new(measure: Measure, path: Path) -> Self {
        let (flows, suffix) = match measure {
            Measure::Packets(flows) => (Some(flows), format!("-{}", short(flows))),
            _ => (None, String::new()),
        };
        Self {
            name: format!("{}-{}{suffix}", measure.name(), path.name()),
            measure,
            path,
            flows,
            outcome: Outcome::Measured,
            unit: measure.unit(),
            spread: None,
            values: Vec::new(),
            values_at_work: Vec::new(),
            cpu_ns_per_packet: None,
            delivered: None,
            in_program: None,
            percentiles: None,
            notes: Vec::new(),
        }
    }

    /// Says something once.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Gives it up.
    pub(crate) fn give_up(&mut self, outcome: Outcome, why: impl Into<String>) {
        self.outcome = outcome;
        self.note(why);
    }
}

/// A number of flows: 1, 64k, 1m.
pub(crate) fn short(flows: u32) -> String {
    match flows {
        _ if flows >= 1 << 20 && flows.is_multiple_of(1 << 20) => format!("{}m", flows >> 20),
        _ if flows >= 1 << 10 && flows.is_multiple_of(1 << 10) => format!("{}k", flows >> 10),
        _ => flows.to_string(),
    }
}
