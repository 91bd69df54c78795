//! What each scheduler chooses, from a list of what it may know, the newest destination first.

use std::net::IpAddr;

/// A destination as a scheduler sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: u64,
    pub weight: i64,
    pub overloaded: bool,
    pub active: u64,
    pub inactive: u64,
}

impl Candidate {
    fn usable(&self) -> bool {
        self.weight > 0 && !self.overloaded
    }

    fn overhead(&self) -> u64 {
        257 * self.active + self.inactive
    }
}

/// What rr and wrr remember.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pointer: Option<u64>,
    level: i64,
}

pub const NAMES: [&str; 11] = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "sh", "dh", "none"];

pub const SH_FALLBACK: u32 = 0x08;
pub const SH_PORT: u32 = 0x10;

/// The memory of a scheduler that begins with this list.
pub fn begin(list: &[Candidate]) -> Memory {
    Memory { pointer: None, level: highest_and_step(list).0 }
}

/// One destination was added or edited; the list is as it is now.
pub fn changed(name: &str, memory: &mut Memory, list: &[Candidate]) {
    if name == "wrr" {
        let (highest, step) = highest_and_step(list);
        memory.pointer = None;
        if memory.level > highest || memory.level == 0 {
            memory.level = highest;
        } else if step > 1 {
            memory.level = memory.level / step * step + 1;
        }
    }
}

/// `gone` is about to be removed from this list.
pub fn removed(name: &str, memory: &mut Memory, before: &[Candidate], gone: u64) {
    if name == "rr" && memory.pointer == Some(gone) {
        let position = before.iter().position(|it| it.id == gone).expect("it is there");
        memory.pointer = position.checked_sub(1).map(|previous| before[previous].id);
    }
    let after: Vec<_> = before.iter().filter(|it| it.id != gone).cloned().collect();
    changed(name, memory, &after);
}

fn highest_and_step(list: &[Candidate]) -> (i64, i64) {
    let greatest = list.iter().map(|it| it.weight).max().unwrap_or(0);
    let divides_all = |divisor: i64| list.iter().all(|it| it.weight % divisor == 0);
    let step = (1..=greatest).rev().find(|divisor| divides_all(*divisor)).unwrap_or(1);
    (greatest - (step - 1), step)
}

/// The choice for a packet with this source and destination.
pub fn choose(
    name: &str,
    memory: &mut Memory,
    list: &[Candidate],
    flags: u32,
    source: (IpAddr, u16),
    destination: IpAddr,
) -> Option<u64> {
    let usable = || list.iter().filter(|it| it.usable());
    let least = |load: fn(&Candidate) -> u64, by_weight: bool| {
        // A strictly smaller quotient wins, so of equals the first.
        let mut best: Option<&Candidate> = None;
        for it in usable() {
            let weight = |of: &Candidate| if by_weight { of.weight as u64 } else { 1 };
            if best.is_none_or(|best| load(it) * weight(best) < load(best) * weight(it)) {
                best = Some(it);
            }
        }
        best
    };
    let heaviest = |mut candidates: Vec<&Candidate>| {
        // Stable: of equals the first stays first.
        candidates.sort_by_key(|it| -it.weight);
        candidates.first().map(|it| it.id)
    };
    match name {
        "rr" => round_robin(memory, list),
        "wrr" => weighted_round_robin(memory, list),
        "lc" => least(Candidate::overhead, false).map(|it| it.id),
        "wlc" => least(Candidate::overhead, true).map(|it| it.id),
        "sed" => least(|it| it.active + 1, true).map(|it| it.id),
        "nq" => {
            usable().find(|it| it.active == 0).or_else(|| least(|it| it.active + 1, true)).map(|it| it.id)
        }
        "fo" => heaviest(usable().collect()),
        "ovf" => heaviest(usable().filter(|it| it.active <= it.weight as u64).collect()),
        "sh" => source_hashing(list, flags, source),
        "dh" => {
            let bucket = hash(fold(destination));
            let at = list.get(bucket % list.len().max(1))?;
            at.usable().then_some(at.id)
        }
        _ => None,
    }
}

fn round_robin(memory: &mut Memory, list: &[Candidate]) -> Option<u64> {
    let pointer = list.iter().position(|it| Some(it.id) == memory.pointer);
    let mut turned = list.to_vec();
    turned.rotate_left(pointer.map_or(0, |position| position + 1) % list.len().max(1));
    memory.pointer = Some(turned.iter().find(|it| it.usable())?.id);
    memory.pointer
}

fn weighted_round_robin(memory: &mut Memory, list: &[Candidate]) -> Option<u64> {
    let (highest, step) = highest_and_step(list);
    if !list.iter().any(Candidate::usable) {
        // A walk that began behind a destination at the lowest level comes back there; others end at the head.
        if highest > 0 && (memory.pointer.is_none() || memory.level > step) {
            *memory = Memory { pointer: None, level: highest };
        }
        return None;
    }
    let mut position =
        list.iter().position(|it| Some(it.id) == memory.pointer).map_or(0, |position| position + 1);
    loop {
        match list.get(position) {
            Some(it) if !it.overloaded && it.weight >= memory.level => {
                memory.pointer = Some(it.id);
                return memory.pointer;
            }
            Some(_) => position += 1,
            None => {
                position = 0;
                memory.level -= step;
                if memory.level <= 0 {
                    memory.level = highest;
                }
            }
        }
    }
}

fn source_hashing(list: &[Candidate], flags: u32, (client, port): (IpAddr, u16)) -> Option<u64> {
    let mut table: Vec<&Candidate> = Vec::new();
    while table.len() < 256 && !list.is_empty() {
        for it in list {
            for _ in 0..it.weight.max(1) {
                table.push(it);
            }
        }
    }
    let at = |bucket: usize| table.get(bucket % 256).filter(|it| it.usable()).map(|it| it.id);
    let key = if flags & SH_PORT != 0 { fold(client).wrapping_add(u32::from(port)) } else { fold(client) };
    let bucket = hash(key);
    at(bucket).or_else(|| {
        let rolled = |offset| (offset + bucket) % 256 + bucket;
        (0..256).filter(|_| flags & SH_FALLBACK != 0).find_map(|offset| at(rolled(offset)))
    })
}

fn hash(value: u32) -> usize {
    (u64::from(value) * 0x61C8_8647 % (1 << 32) / (1 << 24)) as usize
}

fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => u32::from_be_bytes(address.octets()),
        IpAddr::V6(address) => {
            let words = address.octets();
            words
                .chunks(4)
                .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
                .fold(0, |a, b| a ^ b)
        }
    }
}
