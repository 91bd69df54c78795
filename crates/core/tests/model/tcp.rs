//! TCP's states as the tables of the field's documents have them: rows of text, a column for each state.

pub type State = &'static str;

const COLUMNS: &str = "NO ES SS SR FW TW CL CW LA LI SA";

/// Direction and event, then the state that follows each column's.
const NORMAL: [(&str, &str); 12] = [
    ("in syn", "SR ES ES SR SR SR SR SR SR SR SR"),
    ("in fin", "CL CW SS TW TW TW CL CW LA LI TW"),
    ("in ack", "ES ES SS ES FW TW CL CW CL LI ES"),
    ("in rst", "CL CL CL SR CL CL CL CL LA LI SR"),
    ("out syn", "SS ES SS SR SS SS SS SS SS LI SR"),
    ("out fin", "TW FW SS TW FW TW CL TW LA LI TW"),
    ("out ack", "ES ES SS ES FW TW CL CW LA ES ES"),
    ("out rst", "CL CL SS CL CL TW CL CL CL CL CL"),
    ("only syn", "SR ES ES SR SR SR SR SR SR SR SR"),
    ("only fin", "CL FW SS TW FW TW CL CW LA LI TW"),
    ("only ack", "ES ES SS ES FW TW CL CW CL LI ES"),
    ("only rst", "CL CL CL SR CL CL CL CL LA LI CL"),
];

/// The rows that are others with `secure_tcp`.
const SECURE: [(&str, &str); 6] = [
    ("in syn", "SR ES ES SR SR SR SR SR SR SR SA"),
    ("in fin", "CL CW SS TW TW TW CL CW LA LI SA"),
    ("in ack", "ES ES SS SR FW TW CL CW CL LI SA"),
    ("in rst", "CL CL CL SR CL CL CL CL LA LI CL"),
    ("out syn", "SS ES SS SA SS SS SS SS SS LI SA"),
    ("only syn", "SA ES ES SR SA SA SA SA SA SA SA"),
];

/// Code, name, timeout in seconds, whether it counts as active.
const STATES: [(State, &str, u32, bool); 11] = [
    ("NO", "NONE", 2, false),
    ("ES", "ESTABLISHED", 900, true),
    ("SS", "SYN_SENT", 120, true),
    ("SR", "SYN_RECV", 60, true),
    ("FW", "FIN_WAIT", 120, false),
    ("TW", "TIME_WAIT", 120, false),
    ("CL", "CLOSE", 10, false),
    ("CW", "CLOSE_WAIT", 60, false),
    ("LA", "LAST_ACK", 30, false),
    ("LI", "LISTEN", 120, false),
    ("SA", "SYNACK", 120, true),
];

/// The flags' letters, of which the first that is there counts.
const EVENTS: [(char, &str); 4] = [('R', "rst"), ('S', "syn"), ('F', "fin"), ('A', "ack")];

/// The state after a segment with these flags (letters). `direction` is in, out or only.
pub fn next(secure: bool, direction: &str, flags: &str, state: State) -> State {
    let Some((_, event)) = EVENTS.iter().find(|(letter, _)| flags.contains(*letter)) else { return "CL" };
    let is_wanted = |(name, _): &&(&str, &'static str)| {
        name.split_once(' ').is_some_and(|(of, what)| of == direction && what == *event)
    };
    let secured = SECURE.iter().find(is_wanted).filter(|_| secure);
    let (_, row) = secured.or_else(|| NORMAL.iter().find(is_wanted)).expect("a row for each");
    let column = COLUMNS.split(' ').position(|column| column == state).expect("a column for each");
    &row[3 * column..3 * column + 2]
}

fn of(state: State) -> (State, &'static str, u32, bool) {
    *STATES.iter().find(|(code, ..)| *code == state).expect("a state")
}

pub fn name(state: State) -> &'static str {
    of(state).1
}

pub fn timeout(state: State) -> u32 {
    of(state).2
}

pub fn is_active(state: State) -> bool {
    of(state).3
}
